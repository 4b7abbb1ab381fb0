import { readFile } from 'node:fs/promises';
import { start } from './child.js';
import type { Child } from './child.js';
import { ask } from './dialogue.js';
import { quantile, round, single } from './harness.js';
import type { Bench, Report } from './harness.js';

const HONEST = 1_000;
const INTERVAL_MS = 5_000;
const SETTLE_MS = 6_000;
const QUIET_MS = 10_000;
const ATTACK_MS = 25_000;
const AFTER_MS = 5_000;
const LOOK_MS = 250;

interface Attack {
  /** The attack, and its size. */
  readonly question: 'register' | 'idle' | 'slow' | 'deaf' | 'beats' | 'unread';
  readonly count: number;
  readonly what: string;
  /** The open files that it needs at either end. */
  readonly files: number;
}

const ATTACKS: readonly Attack[] = [
  { question: 'register', count: 100_000, what: '100,000 registrations from one address', files: 4_000 },
  { question: 'idle', count: 10_000, what: '10,000 idle sockets', files: 12_000 },
  { question: 'slow', count: 2_000, what: '1,000 slow headers, 1,000 slow bodies', files: 4_000 },
  { question: 'deaf', count: 1_000, what: '1,000 watchers that never read', files: 4_000 },
  { question: 'beats', count: 500, what: 'beats of an unknown instance over 500 connections', files: 4_000 },
  { question: 'unread', count: 50, what: '50 clients that request 4 MB and never read', files: 4_000 },
];

interface Punctuality {
  readonly roundTrips: readonly number[];
  readonly delays: readonly number[];
  readonly unanswered: number;
}

interface Cost {
  readonly rss: number;
  readonly peak: number;
  readonly lagP99: number;
  readonly warnings: number;
}

interface Window {
  readonly punctuality: Punctuality;
  readonly cost: Cost;
  readonly fewestHealthy: number;
}

interface Scene {
  readonly registry: Child;
  readonly crowd: Child;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The number of HEALTHY instances of the crowd. */
async function healthyAt(url: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/services`);
  const { services } = (await answer.json()) as { services: { name: string; states: { HEALTHY: number } }[] };
  const honest = services.filter(({ name }) => name.startsWith('crowd-'));
  return honest.reduce((sum, { states }) => sum + states.HEALTHY, 0);
}

/** Watches for this time, and whether any instance of the crowd is lost meanwhile. */
async function windowOf({ registry, crowd }: Scene, ms: number): Promise<Window> {
  await ask(crowd, 'punctuality');
  await ask(registry, 'begin');
  let fewestHealthy = HONEST;
  for (const until = performance.now() + ms; performance.now() < until; await sleep(LOOK_MS)) {
    fewestHealthy = Math.min(fewestHealthy, await healthyAt(registry.readyMessage));
  }
  const punctuality = await ask<Punctuality>(crowd, 'punctuality');
  return { punctuality, cost: await ask<Cost>(registry, 'end'), fewestHealthy };
}

async function perform(attack: Attack, report: Report): Promise<void> {
  const registry = await start('floods-registry', []);
  const crowd = await start('heartbeats-crowd', []);
  const attacker = await start('floods-attacker', []);
  try {
    const port = Number(new URL(registry.readyMessage).port);
    const play = { port, protocol: 'tcp', count: HONEST, freshEvery: 1, intervalMs: INTERVAL_MS, registers: true };
    await ask(crowd, 'play', play);
    await sleep(SETTLE_MS);
    const quiet = await windowOf({ registry, crowd }, QUIET_MS);
    // only registrations have an end
    const order = ask<unknown>(attacker, attack.question, { url: registry.readyMessage, count: attack.count });
    if (attack.question !== 'register') await order;
    const flood = await windowOf({ registry, crowd }, ATTACK_MS);
    const done = attack.question === 'register' ? await order : await ask<unknown>(attacker, 'state');
    await ask(attacker, 'stop');
    await sleep(AFTER_MS);
    const after = await ask<Cost>(registry, 'end');
    tell(attack.what, { quiet, flood, after }, report);
    console.error(`${attack.what}: ${JSON.stringify(done)}, ${after.warnings} warnings in the log`);
  } finally {
    await Promise.all([attacker.kill(), crowd.kill(), registry.kill()]);
  }
}

const p99 = (values: readonly number[]): number => quantile(values, 0.99);
const roundTripOf = ({ punctuality }: Window): number => p99(punctuality.roundTrips);
const delayOf = ({ punctuality }: Window): number => p99(punctuality.delays);

interface Seen {
  readonly quiet: Window;
  readonly flood: Window;
  readonly after: Cost;
}

function tell(what: string, { quiet, flood, after }: Seen, report: Report): void {
  const beside = (metric: string, unit: string, of: (window: Window) => number, target?: string): void => {
    const [ours, theirs] = [of(flood), of(quiet)];
    report({
      ...single(`${what}: ${metric}`, unit, [ours], target),
      baseline: round(theirs),
      ratio: round(ours / theirs),
    });
  };
  beside('a Heartbeat-2 of the others, answered after, p99', 'ms', roundTripOf, '< 250 ms');
  beside('a Heartbeat-1 of the others, late by, p99', 'ms', delayOf, '< 250 ms');
  report(single(`${what}: of ${HONEST} lost HEALTHY`, 'instances', [HONEST - flood.fewestHealthy], '0'));
  beside('heartbeats without an answer', '', ({ punctuality }) => punctuality.unanswered);
  beside('loop lag, p99', 'ms', ({ cost }) => cost.lagP99);
  beside('memory at its peak (RSS)', 'MiB', ({ cost }) => cost.peak);
  report(single(`${what}: memory 5 s after it (RSS)`, 'MiB', [after.rss]));
}

async function openFiles(): Promise<number> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? Infinity);
}

async function run(report: Report): Promise<void> {
  const files = await openFiles();
  for (const attack of ATTACKS) {
    if (attack.files <= files) await perform(attack, report);
    else
      console.error(`${attack.what}: left out, it needs ${attack.files} open files and may have ${files} (ulimit -n)`);
  }
}

export const floods: Bench = {
  name: 'floods',
  question: 'Do 1,000 instances keep beating while an attacker floods their registry, and what does that cost it?',
  run,
};
