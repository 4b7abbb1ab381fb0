// Installs and builds what is missing, with nothing but Node. Safe to start twice at once; silent when there is nothing
// to do. It prints to stderr, so that the stdout of the command after it stays clean.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const lock = join(root, '.bootstrap.lock');
const log = (text) => process.stderr.write(`bootstrap: ${text}\n`);

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  log(`Rollcall needs Node 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

function run(command, args) {
  const shell = process.platform === 'win32';
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell });
  if (error) log(`${command} did not start: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

/** The pid in the lock, if that process is still alive. A lock that is not yet written counts as alive. */
function lockHolder() {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return String(pid);
  } catch (error) {
    return error.code === 'EPERM' ? 'unknown' : undefined;
  }
}

function takeLock() {
  for (let isReported = false; ;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      process.on('exit', () => rmSync(lock, { force: true }));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const pid = lockHolder();
    if (pid === undefined) rmSync(lock, { force: true });
    else if (!isReported) log(`waiting for another one (pid ${pid}); delete ${lock} if there is none`);
    isReported ||= pid !== undefined;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function hash(files) {
  const digest = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of files) {
    digest.update(`\n${file}\n`);
    if (existsSync(join(root, file))) digest.update(readFileSync(join(root, file)));
  }
  return digest.digest('hex');
}

/** Records in node_modules, which `npm ci` empties, the inputs of the last run of a step. */
function stamp(name, files) {
  const path = join(root, 'node_modules', `.rollcall-${name}`);
  const wanted = hash(files);
  return {
    isMissing: () => !existsSync(path),
    isFresh: () => existsSync(path) && readFileSync(path, 'utf8') === wanted,
    write: () => writeFileSync(path, wanted),
  };
}

/**
 * Whether node_modules matches the lockfile. npm records what it installed there. It may leave out optional packages:
 * those of other platforms.
 */
function matchesLockfile() {
  const installedLock = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedLock)) return false;
  const [installed, wanted] = [installedLock, join(root, 'package-lock.json')].map(
    (path) => JSON.parse(readFileSync(path, 'utf8')).packages,
  );
  const isInstalled = ([path, { version, optional }]) =>
    path === '' || (installed[path] === undefined ? optional === true : installed[path].version === version);
  const isOnDisk = (path) => path in wanted && existsSync(join(root, path));
  return Object.entries(wanted).every(isInstalled) && Object.keys(installed).every(isOnDisk);
}

/** Every file below a folder, by its path from the root. */
function filesIn(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .toSorted();
}

/** Every folder that `tsc -b` builds. */
function projects() {
  const { references } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  return references.map(({ path }) => path);
}

/** `tsc -b` never deletes the output of a deleted source, which would then still be imported and published. */
function pruneOrphans(project) {
  const out = join(root, project, 'dist');
  if (!existsSync(out)) return;
  const source = existsSync(join(root, project, 'src')) ? join(root, project, 'src') : join(root, project);
  for (const file of readdirSync(out, { recursive: true })) {
    const stem = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file)?.[1];
    if (stem !== undefined && !existsSync(join(source, `${stem}.ts`))) rmSync(join(out, file));
  }
}

checkNode();
takeLock();
const folders = projects();
const installed = stamp('installed', ['package-lock.json', '.npmrc']);
const built = stamp('built', [
  'package-lock.json',
  'tsconfig.base.json',
  'tsconfig.json',
  ...folders.flatMap((folder) => [join(folder, 'tsconfig.json'), join(folder, 'package.json')]),
]);
if (!installed.isFresh()) {
  const isInstalledByHand = installed.isMissing() && matchesLockfile(); // `npm ci`, as in a fresh clone
  if (!isInstalledByHand) {
    log('npm ci');
    run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']); // dev, even where NODE_ENV=production
  }
  installed.write();
}
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const force = !built.isFresh(); // `tsc -b` misses a changed lib
if (force) log('tsc -b --force');
for (const folder of folders) pruneOrphans(folder);
run(process.execPath, force ? [tsc, '-b', '--force'] : [tsc, '-b']);
if (force) built.write();
const dashboard = stamp('dashboard', [
  'package-lock.json',
  'packages/dashboard/build.mjs',
  ...filesIn('packages/dashboard/src'),
  ...filesIn('packages/core/src'), // some of it is bundled
]);
if (!dashboard.isFresh() || !existsSync(join(root, 'packages', 'dashboard', 'dist', 'index.html'))) {
  log('dashboard');
  run(process.execPath, [join(root, 'packages', 'dashboard', 'build.mjs')]);
  dashboard.write();
}
