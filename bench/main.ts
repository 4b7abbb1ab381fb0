import { calls } from './calls.js';
import { cli } from './cli.js';
import { dashboard } from './dashboard.js';
import { death } from './death.js';
import { feed } from './feed.js';
import { floods } from './floods.js';
import { grpc } from './grpc.js';
import type { Bench, Figure } from './harness.js';
import { heartbeats } from './heartbeats.js';
import { memory } from './memory.js';
import { pick } from './pick.js';
import { sim } from './sim.js';
import { soak } from './soak.js';
import { stack } from './stack.js';
import { store } from './store.js';

const BENCHES: readonly Bench[] = [
  calls,
  cli,
  dashboard,
  death,
  feed,
  floods,
  grpc,
  heartbeats,
  memory,
  pick,
  sim,
  soak,
  stack,
  store,
];

function formatFigure(figure: Figure): string {
  const { metric, value, unit, baseline, ratio, target, spread, ratioSpread, runs } = figure;
  const baselineText = baseline === undefined ? '' : `  baseline ${baseline}  ratio ${ratio}`;
  const range = ratioSpread ?? spread;
  const targetText = target === undefined ? '' : `  target ${target}`;
  return `  ${metric.padEnd(44)} ${value} ${unit}${baselineText}  [${range[0]} … ${range[1]}] of ${runs}${targetText}`;
}

async function run(bench: Bench, json: boolean): Promise<void> {
  if (!json) console.log(`${bench.name}: ${bench.question}`);
  await bench.run((figure) => {
    const line = { bench: bench.name, baseline: null, ratio: null, target: null, ...figure };
    console.log(json ? JSON.stringify(line) : formatFigure(figure));
  });
}

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const names = args.filter((arg) => !arg.startsWith('--'));
  const chosen = names.map((name) => BENCHES.find((bench) => bench.name === name));
  const unknown = names.filter((_, index) => chosen[index] === undefined);
  if (names.length === 0 || unknown.length > 0) {
    const unknownText = unknown.length === 0 ? '' : `No benchmark ${unknown.join(', ')}. `;
    console.error(`${unknownText}npm run bench -- <name> [--json]. There are:`);
    for (const bench of BENCHES) console.error(`  ${bench.name.padEnd(10)} ${bench.question}`);
    return 2;
  }
  for (const bench of chosen) if (bench !== undefined) await run(bench, json);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
