import 'reflect-metadata';
import * as fc from 'fast-check';
import { REGRESSIONS, runGuided, unguidedReason } from './guided.js';
import { inputs } from './inputs.js';
import { examine } from './target.js';
import type { Target } from './target.js';
import { TARGETS } from './targets.js';
import { attack } from './wire.js';

const USAGE = 'npm run fuzz -- [target …] [--seconds 600] [--seed N]';
const DEFAULT_SECONDS = 600;
const BATCH = 2_000;
const WIRE = 'wire';

interface Options {
  readonly names: readonly string[];
  readonly seconds: number;
  readonly seed: number;
}

function parseArguments(args: readonly string[]): Options {
  const names: string[] = [];
  let [seconds, seed] = [DEFAULT_SECONDS, 1 + Math.floor(Math.random() * 2_000_000_000)];
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at] ?? '';
    if (word === '--seconds') seconds = Number(args[(at += 1)]);
    else if (word === '--seed') seed = Number(args[(at += 1)]);
    else names.push(word);
  }
  if (!(seconds > 0) || !Number.isSafeInteger(seed)) throw new Error(`A number is missing. ${USAGE}`);
  const known = [...TARGETS.map(({ name }) => name), WIRE];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    const rows = TARGETS.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`);
    throw new Error(
      [`No target ${unknown.join(', ')}. ${USAGE}. There are:`, ...rows, `  ${WIRE.padEnd(14)} real sockets`].join(
        '\n',
      ),
    );
  }
  return { names: names.length === 0 ? known : names, seconds, seed };
}

/** Unguided: as many examples as the time allows. True: no finding. */
async function runByChance(target: Target, seconds: number, seed: number): Promise<boolean> {
  const until = performance.now() + seconds * 1_000;
  let runs = 0;
  for (let batch = seed; performance.now() < until; batch += 1) {
    const property = fc.asyncProperty(inputs(target), async (bytes) => examine(target, bytes));
    const details = await fc.check(property, {
      seed: batch,
      numRuns: BATCH,
      interruptAfterTimeLimit: until - performance.now(),
    });
    runs += details.numRuns;
    if (!details.failed || details.counterexample === null) continue;
    const hex = Buffer.from(details.counterexample[0]).toString('hex');
    console.log(
      `${target.name}: ${String(details.errorInstance)}\n  bytes in hex: ${hex}\n  put them in a file under ${REGRESSIONS}/${target.name}`,
    );
    return false;
  }
  console.log(`${target.name.padEnd(14)} ${runs} runs, ${Math.round(runs / seconds)}/s, by chance`);
  return true;
}

async function runTarget(target: Target, { seconds, seed }: Options): Promise<boolean> {
  const run = await runGuided(target, seconds, seed);
  const { runs, perSecond, coveredFirst, coveredLast, corpus, found, isBroken } = run;
  const figures = `${runs} runs, ${perSecond}/s, coverage ${coveredFirst} → ${coveredLast} edges, corpus ${corpus}`;
  console.log(`${target.name.padEnd(14)} ${figures}, ${found.length} found, seed ${seed}`);
  for (const path of found) console.log(`  ${path}: npx vitest run --project security fuzz`);
  if (isBroken)
    console.log(`  failed without a finding; its output is in the temporary folder, rollcall-fuzz/${target.name}/log`);
  return found.length === 0 && !isBroken;
}

async function runWire({ seconds, seed }: Options): Promise<boolean> {
  const report = await attack({ seconds, seed });
  console.log(`${WIRE.padEnd(14)} ${JSON.stringify(report)}`);
  return report.problems.length === 0;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseArguments(args);
  const reason = unguidedReason();
  if (reason !== null) console.log(`The search is not guided here: ${reason}. It is random, for the same time.`);
  let isPassed = true;
  for (const name of options.names) {
    const target = TARGETS.find((one) => one.name === name);
    if (target === undefined) isPassed = (await runWire(options)) && isPassed;
    else if (reason === null) isPassed = (await runTarget(target, options)) && isPassed;
    else isPassed = (await runByChance(target, options.seconds, options.seed)) && isPassed;
  }
  return isPassed ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
