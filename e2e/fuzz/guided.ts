import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bytesOf } from './target.js';
import type { Target } from './target.js';

/** The repository, from `dist`, where this runs. */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const REGRESSIONS = join(ROOT, 'e2e', 'fuzz', 'regressions');
/** Longer than most targets read at once; quadratic work becomes visible. */
const MAX_LENGTH = 4_096;
/** The timeout of an endless input. Inputs that are only slow are found by the rules of the targets. */
const MAX_MS = 30_000;
const MAX_MEMORY_MIB = 2_048;

/** Null where the fuzzer runs; else why it does not. */
export function unguidedReason(): string | null {
  try {
    const fuzzer = createRequire(createRequire(import.meta.url).resolve('@jazzer.js/core')).resolve(
      '@jazzer.js/fuzzer',
    );
    const binary = join(dirname(fuzzer), '..', 'prebuilds', `fuzzer-${process.platform}-${process.arch}.node`);
    if (!existsSync(binary)) return `Jazzer.js has no binary for ${process.platform} on ${process.arch}`;
    createRequire(import.meta.url)(binary);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The result of one run. Coverage in edges, of the code of all packages. */
export interface GuidedRun {
  readonly runs: number;
  readonly perSecond: number;
  readonly coveredFirst: number;
  readonly coveredLast: number;
  readonly corpus: number;
  /** The inputs that broke a rule, now among the regressions. */
  readonly found: readonly string[];
  /** No finding, but the run failed. */
  readonly isBroken: boolean;
}

/** Runs the target under the coverage-guided fuzzer, in a process of its own. Its corpus is kept for the next run. */
export async function runGuided(target: Target, seconds: number, seed: number): Promise<GuidedRun> {
  const work = join(tmpdir(), 'rollcall-fuzz', target.name);
  const corpus = join(work, 'corpus');
  const findings = join(work, 'finds');
  rmSync(findings, { recursive: true, force: true });
  mkdirSync(findings, { recursive: true });
  mkdirSync(corpus, { recursive: true });
  for (const seedBytes of examplesOf(target)) writeFileSync(join(corpus, nameOf(seedBytes)), seedBytes);
  writeFileSync(join(work, 'words'), dictionaryOf(target));
  const jazzer = join(dirname(createRequire(import.meta.url).resolve('@jazzer.js/core')), 'cli.js');
  const isSync = target.seeds.every((one) => target.run(bytesOf(one)) === undefined);
  const instrumented = ['-i', join(ROOT, 'packages/'), '-i', join(ROOT, 'e2e/fuzz/dist/'), '-e', 'node_modules'];
  const args = [
    jazzer,
    join(ROOT, 'e2e', 'fuzz', 'dist', 'entry.js'),
    corpus,
    ...instrumented,
    ...(isSync ? ['--sync'] : []),
    `--timeout=${MAX_MS}`,
    '--',
    `-max_total_time=${seconds}`,
    `-max_len=${MAX_LENGTH}`,
    `-seed=${seed}`,
    `-dict=${join(work, 'words')}`,
    `-artifact_prefix=${findings}/`,
    `-rss_limit_mb=${MAX_MEMORY_MIB}`,
    '-print_final_stats=1',
    '-use_value_profile=1',
  ];
  const log = join(work, 'log');
  const status = await run(args, { ROLLCALL_FUZZ_TARGET: target.name }, log);
  const found = readdirSync(findings).map((file) => keep(target, readFileSync(join(findings, file))));
  const figures = await readFigures(log);
  return {
    ...figures,
    // its last log lines may be lost when it ends: then this is a lower bound
    perSecond: figures.perSecond === 0 ? Math.round(figures.runs / seconds) : figures.perSecond,
    corpus: readdirSync(corpus).length,
    found,
    isBroken: status !== 0 && found.length === 0,
  };
}

function* examplesOf({ name, seeds }: Target): Generator<Uint8Array> {
  for (const seed of seeds) yield bytesOf(seed);
  const folder = join(REGRESSIONS, name);
  for (const file of existsSync(folder) ? readdirSync(folder) : []) yield readFileSync(join(folder, file));
}

const nameOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

function keep(target: Target, bytes: Uint8Array): string {
  const folder = join(REGRESSIONS, target.name);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, nameOf(bytes));
  writeFileSync(path, bytes);
  return path;
}

/** The tokens of the examples, which no fuzzer would guess. */
function dictionaryOf({ seeds }: Target): string {
  const args = new Set([
    '{',
    '}',
    '[',
    ']',
    '\\x22',
    ':',
    ',',
    '\\\\',
    '\\x0d\\x0a',
    '\\x0a\\x0a',
    'null',
    '__proto__',
  ]);
  for (const seed of seeds) {
    for (const word of Buffer.from(bytesOf(seed))
      .toString('latin1')
      .match(/[A-Za-z0-9_./-]{2,40}/g) ?? [])
      args.add(word);
  }
  return [...args].map((word) => `"${word}"\n`).join('');
}

function run(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  log: string,
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...environment } });
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.stderr.on('data', (part: Buffer) => parts.push(part));
    child.on('error', reject);
    child.on('close', (status) => {
      writeFileSync(log, Buffer.concat(parts));
      resolve(status);
    });
  });
}

/** The output of libFuzzer: `#1234 NEW cov: 321 ft: …`, and its statistics at the end. */
async function readFigures(
  log: string,
): Promise<Pick<GuidedRun, 'runs' | 'perSecond' | 'coveredFirst' | 'coveredLast'>> {
  let [runs, perSecond, coveredFirst, coveredLast] = [0, 0, 0, 0];
  for await (const line of createInterface({ input: createReadStream(log) })) {
    const covered = Number(/\bcov: (\d+)/.exec(line)?.[1] ?? 0);
    if (covered > 0 && coveredFirst === 0) coveredFirst = covered;
    coveredLast = Math.max(coveredLast, covered);
    runs = Math.max(runs, Number(/^#(\d+)\s/.exec(line)?.[1] ?? 0));
    runs = Math.max(runs, Number(/number_of_executed_units:\s+(\d+)/.exec(line)?.[1] ?? 0));
    perSecond = Number(/average_exec_per_sec:\s+(\d+)/.exec(line)?.[1] ?? perSecond);
  }
  return { runs, perSecond, coveredFirst, coveredLast };
}
