// `npm test` runs the stages that prove the promises of README.md, `npm run test:all` (`--all`) all tests of all stages
// but those on request, `npm test -- check sim` some stages. Each stage has a cap that fails it. Last line: `N passed,
// N failed`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { check } from './check.mjs';
import { installFromDebian } from './debian.mjs';
import { root, runStages, vitest } from './run.mjs';
import { runsOf } from './test-plan.mjs';

const isAll = process.argv.includes('--all');
process.env.SHORT = isAll ? '' : '1'; // e2e/variants.ts

/** A stage that runs a suite of e2e. `expectedMs`: the duration in `npm test`, and in all. */
function stageOf(name, { capMs, expectedMs: [shortMs, allMs], ...options }) {
  const waves = runsOf(name, { isAll }).map((args) => [vitest(name, ...args)]);
  return { name, folder: `e2e/${name}`, capMs, expectedMs: isAll ? allMs : shortMs, waves, ...options };
}

const bootstrap = {
  name: 'bootstrap',
  capMs: 240_000,
  isRequired: true,
  waves: [[{ name: 'bootstrap', command: process.execPath, args: [join(root, 'tools', 'bootstrap.mjs')], counts: 0 }]],
};
const stages = [
  check,
  stageOf('sim', { capMs: 300_000, expectedMs: [90_000, 150_000] }),
  stageOf('security', { capMs: 360_000, expectedMs: [100_000, 100_000] }),
  stageOf('process', {
    capMs: 1_500_000,
    expectedMs: [240_000, 780_000],
    prepare: () => installFromDebian(['redis-server', 'mosquitto', 'prometheus', 'nginx-light']),
  }),
  // calls beside those of a bare client, in one world after another: two clients' loads at a time need a machine that
  // does nothing else, so it runs on request only; the stage `sim` has the same worlds in virtual time
  {
    name: 'calls',
    folder: 'e2e/process',
    isOnRequest: true,
    capMs: 900_000,
    expectedMs: 480_000,
    waves: [[vitest('calls')]],
  },
  stageOf('cluster', {
    capMs: 240_000,
    expectedMs: [60_000, 60_000],
    prepare: () => installFromDebian(['etcd-server']),
  }),
  stageOf('browser', {
    capMs: 900_000,
    expectedMs: [90_000, 420_000],
    prepare: () => installFromDebian(['chromium']),
  }),
  stageOf('packages', {
    capMs: 480_000,
    expectedMs: [90_000, 270_000],
    skipReason: () => (reachesNpm() ? undefined : 'the npm registry cannot be reached'),
  }),
];

/** Whether the npm registry is reachable, from which packages are downloaded; without it their tests are skipped. */
function reachesNpm() {
  const npmArguments = ['view', 'rxjs', 'version', '--prefer-online', '--fetch-retries=1', '--fetch-timeout=10000'];
  return spawnSync('npm', npmArguments, { timeout: 40_000, shell: process.platform === 'win32' }).status === 0;
}

const requested = process.argv.slice(2).filter((arg) => arg !== '--all');
const known = stages.map(({ name }) => name);
const unknown = requested.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`There is no stage "${unknown.join('", "')}"; there are: ${known.join(', ')}.`);
  process.exit(2);
}
for (const { name, isOnRequest } of stages) {
  if (isOnRequest && requested.length === 0) console.log(`skip ${name}: it runs on request, npm test -- ${name}`);
}
if (!isAll && requested.length === 0) {
  console.log(
    'Leaves out further variants, and the files of ONLY_IN_ALL in tools/test-plan.mjs: npm run test:all runs them.',
  );
}
await runStages([
  bootstrap,
  ...stages.filter(({ name, isOnRequest }) => (requested.length === 0 ? !isOnRequest : requested.includes(name))),
]);
