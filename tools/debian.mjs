// Installs Debian packages that some tests need, as root on Debian and nowhere else. Elsewhere those tests are skipped
// with a message.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The program whose presence shows that a package is installed. */
const PROGRAMS = {
  chromium: 'chromium',
  'redis-server': 'redis-server',
  mosquitto: 'mosquitto',
  prometheus: 'promtool',
  'nginx-light': 'nginx',
  'etcd-server': 'etcd',
};

/** Keeps services from starting at installation: the tests start their own, on ports of their own. */
const APT_ENV = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };

function isInstalled(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return folders.some((folder) => isProgram(join(folder, PROGRAMS[name])));
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** For the whole installation: no cap of a stage counts during it. */
const CAP_MS = 240_000;

/** Installs the missing ones of these packages, if permitted, within four minutes; prints what it does. */
export function installFromDebian(names) {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return;
  console.log(`apt-get install ${missing.join(' ')}`);
  const deadline = performance.now() + CAP_MS;
  const apt = (...args) => {
    const timeout = Math.max(1, Math.ceil(deadline - performance.now()));
    return spawnSync('apt-get', args, { env: { ...process.env, ...APT_ENV }, encoding: 'utf8', timeout });
  };
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing];
  const first = apt(...install);
  if (first.status === 0) return;
  apt('update', '-q'); // the lists of a new machine are empty or old
  const second = apt(...install);
  if (second.status !== 0) console.log(`apt-get failed: ${second.error?.message ?? second.stderr}`);
}
