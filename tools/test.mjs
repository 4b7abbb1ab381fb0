// `npm test` runs every stage but those on request, `npm test -- check sim` some. Each has a cap that fails it. Last line: `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { check } from './check.mjs';
import { installFromDebian } from './debian.mjs';
import { root, runStages, vitest } from './run.mjs';

const bootstrap = {
  name: 'bootstrap',
  capMs: 240_000,
  isRequired: true,
  waves: [[{ name: 'bootstrap', command: process.execPath, args: [join(root, 'tools', 'bootstrap.mjs')], counts: 0 }]],
};
const stages = [
  check,
  { name: 'sim', folder: 'e2e/sim', capMs: 300_000, expectedMs: 150_000, waves: [[vitest('sim', '--maxWorkers=2')]] },
  { name: 'security', folder: 'e2e/security', capMs: 360_000, waves: [[vitest('security')]] },
  {
    name: 'process',
    folder: 'e2e/process',
    capMs: 1_500_000,
    expectedMs: 780_000,
    prepare: () => installFromDebian(['redis-server', 'mosquitto', 'prometheus', 'nginx-light']),
    waves: [[vitest('process')]],
  },
  // calls beside those of a bare client, in one world after another: two clients' loads at a time need a machine that does nothing else, so
  // it runs when it is asked for; the stage `sim` has the same worlds in virtual time
  {
    name: 'calls',
    folder: 'e2e/process',
    isOnRequest: true,
    capMs: 900_000,
    expectedMs: 480_000,
    waves: [[vitest('calls')]],
  },
  {
    name: 'cluster',
    folder: 'e2e/cluster',
    capMs: 240_000,
    prepare: () => installFromDebian(['etcd-server']),
    waves: [[vitest('cluster')]],
  },
  {
    name: 'browser',
    folder: 'e2e/browser',
    capMs: 900_000,
    expectedMs: 420_000,
    prepare: () => installFromDebian(['chromium']),
    waves: [[vitest('browser')]],
  },
  {
    name: 'packages',
    folder: 'e2e/packages',
    capMs: 480_000,
    expectedMs: 270_000,
    whyNot: () => (reachesNpm() ? undefined : 'the npm registry cannot be reached'),
    waves: [[vitest('packages')]],
  },
];

/** Packages are downloaded there; without it nothing is said of them. */
function reachesNpm() {
  const question = ['view', 'rxjs', 'version', '--prefer-online', '--fetch-retries=1', '--fetch-timeout=10000'];
  return spawnSync('npm', question, { timeout: 40_000, shell: process.platform === 'win32' }).status === 0;
}

const asked = process.argv.slice(2);
const known = stages.map(({ name }) => name);
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`There is no stage "${unknown.join('", "')}"; there are: ${known.join(', ')}.`);
  process.exit(2);
}
for (const { name, isOnRequest } of stages) {
  if (isOnRequest && asked.length === 0) console.log(`skip ${name}: it runs on request, npm test -- ${name}`);
}
await runStages([
  bootstrap,
  ...stages.filter(({ name, isOnRequest }) => (asked.length === 0 ? !isOnRequest : asked.includes(name))),
]);
