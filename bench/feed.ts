import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './child.js';
import type { Child } from './child.js';
import { ask } from './dialogue.js';
import { median, round, single, spreadOf } from './harness.js';
import type { Bench, Report } from './harness.js';

const WATCHERS = 10_000;
const CHANGES = 11;
const LATENCIES = 100;
const REGISTRATIONS = 10_000;
const CONCURRENCY = 500;
const BURSTS = 3;
const STORES = ['memory', 'disk'] as const;
type Store = (typeof STORES)[number];

interface Processes {
  readonly registry: Child;
  readonly crowd: Child;
}

/** A watcher and a crowd, each a process of its own, while `use` runs. */
async function withProcesses(starting: Promise<Child>, use: (processes: Processes) => Promise<void>): Promise<void> {
  const registry = await starting;
  const crowd = await start('feed-crowd', []);
  try {
    await use({ registry, crowd });
  } finally {
    await Promise.all([crowd.kill(), registry.kill()]);
  }
}

async function withStore(store: Store, use: (processes: Processes) => Promise<void>): Promise<void> {
  if (store === 'memory') return withProcesses(start('feed-registry', []), use);
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-feed-'));
  try {
    await withProcesses(start('feed-registry', [folder]), use);
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Change {
  readonly ms: number;
  readonly bytes: number;
}

async function changes({ registry, crowd }: Processes, times: number, count: number): Promise<Change[]> {
  const found: Change[] = [];
  for (let index = 0; index < times; index += 1) {
    const version = `c${count}-${index}`;
    found.push(await ask<Change>(crowd, 'change', { registry: registry.readyMessage, version, count }));
    // a change that follows another one waits for the window: here, each is the first after a pause
    await ask(crowd, 'pause', count > 1 ? 600 : 50);
  }
  return found;
}

async function measureManyWatchers(report: Report): Promise<void> {
  let found: readonly Change[] = [];
  const measureChanges = async (processes: Processes): Promise<void> => {
    await ask(processes.crowd, 'watch', { registry: processes.registry.readyMessage, count: WATCHERS });
    found = await changes(processes, CHANGES, WATCHERS);
  };
  await withProcesses(start('feed-bare', []), measureChanges);
  const bare = median(found.map(({ ms }) => ms));
  await withStore('memory', measureChanges);
  const times = found.map(({ ms }) => ms);
  const figure = single(`a change until the last of ${WATCHERS} watchers has it`, 'ms', times, '<= 100 ms');
  const ratios = times.map((ms) => ms / bare);
  report({ ...figure, baseline: round(bare), ratio: round(median(ratios)), ratioSpread: spreadOf(ratios) });
  const bytes = found.map((change) => change.bytes);
  report(single('bytes per change and watcher', 'B', bytes));
}

async function measureOneWatcher(store: Store, report: Report): Promise<void> {
  await withStore(store, async (processes) => {
    await ask(processes.crowd, 'watch', { registry: processes.registry.readyMessage, count: 1 });
    const found = await changes(processes, LATENCIES, 1);
    const times = found.map(({ ms }) => ms);
    report(single(`registration sent until a watcher has it, p50, ${store}`, 'ms', times, '<= 5 ms'));
  });
}

interface Burst {
  readonly acceptedMs: number;
  readonly fullMs: number;
}

async function measureBursts(store: Store, report: Report): Promise<void> {
  const full: number[] = [];
  const lags: number[] = [];
  for (let burst = 0; burst < BURSTS; burst += 1) {
    await withStore(store, async ({ registry, crowd }) => {
      await ask(registry, 'begin');
      const order = { registry: registry.readyMessage, count: REGISTRATIONS, concurrency: CONCURRENCY };
      const { fullMs } = await ask<Burst>(crowd, 'burst', order);
      const { p99Ms } = await ask<{ readonly p99Ms: number }>(registry, 'lag');
      full.push(fullMs);
      lags.push(p99Ms);
    });
  }
  const metric = `${REGISTRATIONS} register at once, ${store}`;
  report(single(`${metric}: full view at a watcher`, 'ms', full, '<= 5000 ms'));
  report(single(`${metric}: loop lag p99`, 'ms', lags, '< 200 ms'));
}

async function run(report: Report): Promise<void> {
  await measureManyWatchers(report);
  for (const store of STORES) await measureOneWatcher(store, report);
  for (const store of STORES) await measureBursts(store, report);
}

export const feed: Bench = {
  name: 'feed',
  question: 'How soon do watchers know, and what does a crowd of them, or of newcomers, cost?',
  run,
};
