import { readFile } from 'node:fs/promises';
import { start } from './child.js';
import type { Child } from './child.js';
import { ask } from './dialogue.js';
import { quantile, round, single } from './harness.js';
import type { Bench, Report } from './harness.js';

const INSTANCES = 1_000;
const INTERVAL_MS = 5_000;
const SETTLE_MS = 6_000;
const BASELINE_MS = 10_000;
const ATTACK_MS = 25_000;
const AFTER_MS = 5_000;
const POLL_MS = 250;

interface Attack {
  /** The attack, and its size. */
  readonly question: 'register' | 'idle' | 'slow' | 'nonReading' | 'beats' | 'unread';
  readonly count: number;
  readonly what: string;
  /** The open files that it needs at either end. */
  readonly files: number;
}

const ATTACKS: readonly Attack[] = [
  { question: 'register', count: 100_000, what: '100,000 registrations from one address', files: 4_000 },
  { question: 'idle', count: 10_000, what: '10,000 idle sockets', files: 12_000 },
  { question: 'slow', count: 2_000, what: '1,000 slow headers, 1,000 slow bodies', files: 4_000 },
  { question: 'nonReading', count: 1_000, what: '1,000 watchers that never read', files: 4_000 },
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

interface Processes {
  readonly registry: Child;
  readonly crowd: Child;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The number of HEALTHY instances of the crowd. */
async function countHealthy(url: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/services`);
  const { services } = (await answer.json()) as { services: { name: string; states: { HEALTHY: number } }[] };
  const crowdServices = services.filter(({ name }) => name.startsWith('crowd-'));
  return crowdServices.reduce((sum, { states }) => sum + states.HEALTHY, 0);
}

/** Watches for this time, and whether any instance of the crowd is lost meanwhile. */
async function measureWindow({ registry, crowd }: Processes, ms: number): Promise<Window> {
  await ask(crowd, 'punctuality');
  await ask(registry, 'begin');
  let fewestHealthy = INSTANCES;
  for (const until = performance.now() + ms; performance.now() < until; await sleep(POLL_MS)) {
    fewestHealthy = Math.min(fewestHealthy, await countHealthy(registry.readyMessage));
  }
  const punctuality = await ask<Punctuality>(crowd, 'punctuality');
  return { punctuality, cost: await ask<Cost>(registry, 'end'), fewestHealthy };
}

async function runAttack(attack: Attack, report: Report): Promise<void> {
  const registry = await start('floods-registry', []);
  const crowd = await start('heartbeats-crowd', []);
  const attacker = await start('floods-attacker', []);
  try {
    const port = Number(new URL(registry.readyMessage).port);
    const settings = {
      port,
      protocol: 'tcp',
      count: INSTANCES,
      freshEvery: 1,
      intervalMs: INTERVAL_MS,
      registers: true,
    };
    await ask(crowd, 'start', settings);
    await sleep(SETTLE_MS);
    const baselineWindow = await measureWindow({ registry, crowd }, BASELINE_MS);
    // only registrations have an end
    const answer = ask<unknown>(attacker, attack.question, { url: registry.readyMessage, count: attack.count });
    if (attack.question !== 'register') await answer;
    const flood = await measureWindow({ registry, crowd }, ATTACK_MS);
    const result = attack.question === 'register' ? await answer : await ask<unknown>(attacker, 'state');
    await ask(attacker, 'stop');
    await sleep(AFTER_MS);
    const after = await ask<Cost>(registry, 'end');
    reportAttack(attack.what, { baselineWindow, flood, after }, report);
    console.error(`${attack.what}: ${JSON.stringify(result)}, ${after.warnings} warnings in the log`);
  } finally {
    await Promise.all([attacker.kill(), crowd.kill(), registry.kill()]);
  }
}

const p99 = (values: readonly number[]): number => quantile(values, 0.99);
const roundTripOf = ({ punctuality }: Window): number => p99(punctuality.roundTrips);
const delayOf = ({ punctuality }: Window): number => p99(punctuality.delays);

interface Windows {
  readonly baselineWindow: Window;
  readonly flood: Window;
  readonly after: Cost;
}

function reportAttack(what: string, { baselineWindow, flood, after }: Windows, report: Report): void {
  const reportRatio = (metric: string, unit: string, of: (window: Window) => number, target?: string): void => {
    const [ours, theirs] = [of(flood), of(baselineWindow)];
    report({
      ...single(`${what}: ${metric}`, unit, [ours], target),
      baseline: round(theirs),
      ratio: round(ours / theirs),
    });
  };
  reportRatio('a Heartbeat-2 of the others, answered after, p99', 'ms', roundTripOf, '< 250 ms');
  reportRatio('a Heartbeat-1 of the others, late by, p99', 'ms', delayOf, '< 250 ms');
  report(single(`${what}: of ${INSTANCES} lost HEALTHY`, 'instances', [INSTANCES - flood.fewestHealthy], '0'));
  reportRatio('heartbeats without an answer', '', ({ punctuality }) => punctuality.unanswered);
  reportRatio('loop lag, p99', 'ms', ({ cost }) => cost.lagP99);
  reportRatio('memory at its peak (RSS)', 'MiB', ({ cost }) => cost.peak);
  report(single(`${what}: memory 5 s after it (RSS)`, 'MiB', [after.rss]));
}

async function openFiles(): Promise<number> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? Infinity);
}

async function run(report: Report): Promise<void> {
  const files = await openFiles();
  for (const attack of ATTACKS) {
    if (attack.files <= files) await runAttack(attack, report);
    else
      console.error(`${attack.what}: left out, it needs ${attack.files} open files and may have ${files} (ulimit -n)`);
  }
}

export const floods: Bench = {
  name: 'floods',
  question: 'Do 1,000 instances keep beating while an attacker floods their registry, and what does that cost it?',
  run,
};
