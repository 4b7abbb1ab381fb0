import { start } from './child.js';
import { single } from './harness.js';
import type { Bench, Report } from './harness.js';

const INSTANCES = 10_000;
const BEATS = 1_000_000;
const PAIRS = 100_000;
const RUNS = 3;

/** Measures in a process of its own, so that nothing of the benchmark counts. Returns bytes. */
async function measure(...args: readonly (string | number)[]): Promise<number> {
  const child = await start('memory-engine', args.map(String));
  await child.kill();
  return (JSON.parse(child.readyMessage) as { bytes: number }).bytes;
}

async function run(report: Report): Promise<void> {
  for (const store of ['memory', 'disk']) {
    const each: number[] = [];
    for (let times = 0; times < RUNS; times += 1) each.push((await measure('size', INSTANCES, store)) / 1_024);
    report(
      single(`one instance without its line, kept ${store === 'disk' ? 'on' : 'in'} ${store}`, 'KiB', each, '<= 4 KiB'),
    );
  }
  report(
    single('growth over 1,000,000 of each heartbeat', 'KiB', [(await measure('beats', BEATS)) / 1_024], '<= 512 KiB'),
  );
  // on a manual clock: a tombstone is kept for ten minutes
  report(
    single(
      'growth over 100,000 that register and leave',
      'KiB',
      [(await measure('churn', PAIRS)) / 1_024],
      '<= 512 KiB',
    ),
  );
}

export const memory: Bench = {
  name: 'memory',
  question: 'How much memory does the registry need for an instance, and does it stay so?',
  run,
};
