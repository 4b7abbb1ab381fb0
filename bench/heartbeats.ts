import { ask } from './dialogue.js';
import { start } from './child.js';
import type { Child } from './child.js';
import { median, round, spreadOf } from './harness.js';
import type { Bench, Report } from './harness.js';

/** A window in which nothing else happens, and how many of them make a figure. */
const WINDOW_MS = 5_000;
const WINDOWS = 3;
const INTERVAL_MS = 5_000;
const INSTANCES = 20_000;
/** After the last registration: the first calls are over, and everybody is in its place. */
const SETTLE_MS = 10_000;

interface Cast {
  readonly name: string;
  readonly protocol: 'tcp' | 'http';
  readonly count: number;
  readonly freshEvery: number;
  /** A loop of bare sockets instead of the registry. */
  readonly isBare: boolean;
}

interface Count {
  readonly calls: number;
  readonly beats: number;
  readonly cpu: NodeJS.CpuUsage;
  readonly at: number;
}

interface Cost {
  readonly cpu: NodeJS.CpuUsage;
  readonly lateP50: number;
  readonly lateP99: number;
  readonly lagP99: number;
}

/** One window. CPU in µs for each two-way heartbeat. */
interface Sample {
  readonly micros: number;
  readonly perSecond: number;
  readonly lateP50: number;
  readonly lateP99: number;
  readonly lagP99: number;
  /** Of a core. */
  readonly share: number;
  readonly crowdShare: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const microsOf = (now: NodeJS.CpuUsage, before: NodeJS.CpuUsage): number =>
  now.user + now.system - before.user - before.system;

async function sample(target: Child, crowd: Child): Promise<Sample> {
  const before = await ask<Count>(crowd, 'count');
  const cpu = await ask<NodeJS.CpuUsage>(target, 'begin');
  await sleep(WINDOW_MS);
  const cost = await ask<Cost>(target, 'end');
  const after = await ask<Count>(crowd, 'count');
  const both = Math.min(after.calls - before.calls, after.beats - before.beats);
  const micros = microsOf(cost.cpu, cpu);
  const elapsedMicros = (after.at - before.at) * 1_000;
  return {
    micros: micros / both,
    perSecond: (both / elapsedMicros) * 1e6,
    lateP50: cost.lateP50,
    lateP99: cost.lateP99,
    lagP99: cost.lagP99,
    share: micros / elapsedMicros,
    crowdShare: microsOf(after.cpu, before.cpu) / elapsedMicros,
  };
}

/** How many are HEALTHY. */
async function healthyAt(url: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/services`);
  const { services } = (await answer.json()) as { services: { states: { HEALTHY: number } }[] };
  return services.reduce((sum, { states }) => sum + states.HEALTHY, 0);
}

interface Played {
  readonly samples: readonly Sample[];
  readonly healthy: number;
}

async function perform({ protocol, count, freshEvery, isBare }: Cast): Promise<Played> {
  const crowd = await start('heartbeats-crowd', []);
  const target = isBare
    ? await start('heartbeats-loop', [crowd.said, protocol, String(count), String(INTERVAL_MS)])
    : await start('heartbeats-registry', [String(count), String(INTERVAL_MS), String(freshEvery)]);
  try {
    const port = Number(new URL(target.said).port);
    await ask(crowd, 'play', { port, protocol, count, freshEvery, intervalMs: INTERVAL_MS, registers: !isBare });
    await sleep(isBare ? 1_000 : SETTLE_MS);
    const samples: Sample[] = [];
    for (let window = 0; window < WINDOWS; window += 1) samples.push(await sample(target, crowd));
    return { samples, healthy: isBare ? count : await healthyAt(target.said) };
  } finally {
    await Promise.all([crowd.kill(), target.kill()]);
  }
}

async function run(report: Report): Promise<void> {
  const casts = process.env.CASTS?.split(',') ?? ['bare-tcp', 'tcp'];
  for (const name of casts) {
    const count = Number(process.env.COUNT ?? INSTANCES);
    const cast: Cast = {
      name,
      protocol: name.includes('http') ? 'http' : 'tcp',
      count,
      freshEvery: name.includes('12') ? 12 : 1,
      isBare: name.includes('bare'),
    };
    const { samples, healthy } = await perform(cast);
    console.log(name, count, 'healthy', healthy);
    console.table(samples);
    const of = samples.map(({ micros }) => micros);
    report({ metric: name, unit: 'µs', value: round(median(of)), spread: spreadOf(of), runs: of.length });
  }
}

export const heartbeats: Bench = {
  name: 'heartbeats',
  question: 'How many instances does one core carry, called and heard every 5 s, against a bare loop of sockets?',
  run,
};
