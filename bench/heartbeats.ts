import { readFileSync } from 'node:fs';
import { start } from './child.js';
import type { Child } from './child.js';
import { ask } from './dialogue.js';
import { paired, single } from './harness.js';
import type { Bench, Report } from './harness.js';

/** A window in which nothing else happens, and the number of windows per figure. */
const WINDOW_MS = 5_000;
const WINDOWS = 3;
const INTERVAL_MS = 5_000;
/** The first is what a slow core carries, the second is the goal for one core. */
const CROWDS = [15_000, 20_000];
/** Kept connections need two open files at both ends each, which run out first. */
const KEPT_CROWD = 5_000;
/** After the last registration: the first probes are over, and all instances follow their schedule. */
const SETTLE_MS = 10_000;

/** Both sides of the heartbeats: the registry, or a loop of bare sockets, and the crowd. */
interface Setup {
  readonly protocol: 'tcp' | 'http';
  readonly count: number;
  readonly freshEvery: number;
  readonly isBare: boolean;
}

interface Count {
  readonly calls: number;
  readonly beats: number;
  readonly at: number;
}

interface Cost {
  readonly cpu: NodeJS.CpuUsage;
  readonly lateP99: number;
  readonly lagP99: number;
}

/** One window. */
interface Sample {
  /** CPU per two-way heartbeat, µs. */
  readonly micros: number;
  /** The share of a core, %. */
  readonly share: number;
  readonly lateP99: number;
  readonly lagP99: number;
  /** Both directions, with all headers, KB/s. */
  readonly traffic: number;
}

interface Performance {
  readonly samples: readonly Sample[];
  /** The number of HEALTHY instances after all samples. */
  readonly healthy: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const microsOf = (now: NodeJS.CpuUsage, before: NodeJS.CpuUsage): number =>
  now.user + now.system - before.user - before.system;

/**
 * All traffic over the loopback so far, in bytes; nothing else is measured meanwhile. NaN where the kernel does not
 * report it.
 */
function loopbackBytes(): number {
  try {
    const [, received] = /^\s*lo:\s*(\d+)/m.exec(readFileSync('/proc/net/dev', 'utf8')) ?? [];
    return Number(received);
  } catch {
    return Number.NaN;
  }
}

async function sample(target: Child, crowd: Child): Promise<Sample> {
  const before = await ask<Count>(crowd, 'count');
  const cpu = await ask<NodeJS.CpuUsage>(target, 'begin');
  const bytes = loopbackBytes();
  await sleep(WINDOW_MS);
  const cost = await ask<Cost>(target, 'end');
  const after = await ask<Count>(crowd, 'count');
  const both = Math.min(after.calls - before.calls, after.beats - before.beats);
  const micros = microsOf(cost.cpu, cpu);
  const elapsedMs = after.at - before.at;
  return {
    micros: micros / both,
    share: micros / elapsedMs / 10,
    lateP99: cost.lateP99,
    lagP99: cost.lagP99,
    traffic: (loopbackBytes() - bytes) / elapsedMs,
  };
}

/** The number of HEALTHY instances. */
async function countHealthy(url: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/services`);
  const { services } = (await answer.json()) as { services: { states: { HEALTHY: number } }[] };
  return services.reduce((sum, { states }) => sum + states.HEALTHY, 0);
}

async function runSetup({ protocol, count, freshEvery, isBare }: Setup): Promise<Performance> {
  const crowd = await start('heartbeats-crowd', []);
  const target = isBare
    ? await start('heartbeats-loop', [crowd.readyMessage, protocol, String(count), String(INTERVAL_MS)])
    : await start('heartbeats-registry', [String(count), String(INTERVAL_MS), String(freshEvery)]);
  try {
    const port = Number(new URL(target.readyMessage).port);
    const settings = { port, protocol, count, freshEvery, intervalMs: INTERVAL_MS, registers: !isBare };
    await ask(crowd, 'start', settings);
    await sleep(isBare ? 1_000 : SETTLE_MS);
    const samples: Sample[] = [];
    for (let window = 0; window < WINDOWS; window += 1) samples.push(await sample(target, crowd));
    return { samples, healthy: isBare ? count : await countHealthy(target.readyMessage) };
  } finally {
    await Promise.all([crowd.kill(), target.kill()]);
  }
}

async function measure(setup: Omit<Setup, 'isBare'>, report: Report): Promise<void> {
  const { protocol, count, freshEvery } = setup;
  const what = `${count} over ${protocol}, ${freshEvery === 1 ? 'all fresh' : `freshEvery ${freshEvery}`}`;
  const { samples: ours, healthy } = await runSetup({ ...setup, isBare: false });
  const { samples: bare } = await runSetup({ ...setup, freshEvery: 1, isBare: true });
  const figure = (metric: string, unit: string, of: (one: Sample) => number, target?: string): void =>
    report(single(`${what}: ${metric}`, unit, ours.map(of), target));
  const pairs = ours.map((one, index) => ({ ours: one.micros, theirs: bare[index]?.micros ?? Number.NaN }));
  report(paired(`${what}: CPU of a two-way heartbeat, beside bare fresh sockets`, 'µs', pairs));
  figure('one core carries', 'instances', (one) => (INTERVAL_MS * 1_000) / one.micros, '>= 20000');
  report(single(`${what}: HEALTHY at the end`, 'instances', [healthy], `${count}`));
  figure('of a core', '%', (one) => one.share);
  figure('a call begins late, p99', 'ms', (one) => one.lateP99, '< 250 ms');
  figure('loop lag, p99', 'ms', (one) => one.lagP99);
  figure('traffic', 'KB/s', (one) => one.traffic);
}

async function run(report: Report): Promise<void> {
  for (const protocol of ['tcp', 'http'] as const) {
    for (const count of CROWDS) await measure({ protocol, count, freshEvery: 1 }, report);
    await measure({ protocol, count: KEPT_CROWD, freshEvery: 12 }, report);
  }
}

export const heartbeats: Bench = {
  name: 'heartbeats',
  question: 'How many instances does one core carry, with both heartbeats every 5 s, against a bare loop of sockets?',
  run,
};
