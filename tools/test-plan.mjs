// How the suites of e2e are run: which files only `npm run test:all` runs, and which may run concurrently. Reasons:
// CONTRIBUTING.md. Variants inside a file are chosen there (e2e/variants.ts).
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

/** Files of e2e, by name, that prove no promise of README.md, or one that another file in `npm test` proves too. */
const ONLY_IN_ALL = {
  security: /^(floods|fuzz|mtls|wire-fuzz)$/,
  process:
    /^(guide-.+|address|brokers|calls-weakness|cluster|command-line|deploy|disk-full|doctor-(calls|instances|trouble)|environment-failures|examples|grpc-typed|hardening|kinds|kinds-(embedded|obstacles|tls)|many-services|metrics-doc|mtls-rotation|prometheus|registry-tls|restored|systemd)$/,
  browser: /^(events|instances|lazy-topology|links|namespaces|questions|sizes|wire)$/,
  packages: /^(apps|clone|compilers|filters|manifests|matrix|types)$/,
};

/** The same for tests beside the sources that a suite runs (vitest.config.ts). */
const SOURCE_TESTS_ONLY_IN_ALL = {
  sim: [
    'packages/cli/**',
    'packages/client/src/registry-client/http-poll.test.ts',
    'packages/registry/src/probing/batch-size.test.ts',
  ],
  security: ['packages/registry/src/http/access/{access-log,tls-change,tls-distrust}.test.ts'],
};

/** They judge latency, order or throughput, or make a load that disturbs others: one at a time, beside nothing. */
const ALONE = {
  security: /^(floods|wire-fuzz)$/,
  process:
    /^(brokers|calls-.+|cluster|disk-(folder|full)|examples|faults|grpc-typed|kinds-(drain|embedded)|many-services|mtls-rotation|restored|silence)$/,
  browser: /^wire$/,
};

/**
 * The number of other files that run concurrently. Most wait for intervals and time limits: two cores carry more than
 * two. `sim` waits for nothing; `packages` is one run, as its installation serves all of its files, one of which makes
 * a load.
 */
const WORKERS = { sim: 2, security: 4, process: 5, cluster: 2, browser: 3, packages: 1 };

/** Suites with further tests beside the sources (vitest.config.ts); they may run concurrently. */
const BESIDE_SOURCES = { sim: ['packages/', 'bench/'], security: ['packages/'] };

/** The runs of vitest that make up a suite, one after another: the arguments after `--project` of each. */
export function runsOf(suite, { isAll }) {
  const [leftOut, alone] = [isAll ? undefined : ONLY_IN_ALL[suite], ALONE[suite]];
  const chosen = filesOf(suite).filter((name) => leftOut?.test(name) !== true);
  const serial = chosen.filter((name) => alone?.test(name) === true);
  const concurrent = chosen.filter((name) => !serial.includes(name));
  const paths = (names) => names.map((name) => `e2e/${suite}/${name}.test.ts`);
  const left = isAll ? [] : (SOURCE_TESTS_ONLY_IN_ALL[suite] ?? []);
  const sourceTests = [...(BESIDE_SOURCES[suite] ?? []), ...left.map((glob) => `--exclude=${glob}`)];
  const together = ['--fileParallelism', `--maxWorkers=${WORKERS[suite]}`, ...paths(concurrent), ...sourceTests];
  return serial.length === 0 ? [together] : [together, ['--no-fileParallelism', ...paths(serial)]];
}

function filesOf(suite) {
  const folder = join(root, 'e2e', suite);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => /^(.+)\.test\.ts$/.exec(file)?.[1] ?? []);
}
