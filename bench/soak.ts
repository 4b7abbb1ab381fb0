import { start } from './child.js';
import { single } from './harness.js';
import type { Bench, Report } from './harness.js';

const CALLS = 10_000_000;
const CHANGES = 100_000;

interface SoakResult {
  /** Live bytes after each tenth of the calls. */
  readonly levels: readonly number[];
  /** Active timers then, with no call in flight. */
  readonly timers: readonly number[];
  /** Listeners on an AbortSignal that was given to many calls. */
  readonly listeners: number;
  readonly timersAfterClose: number;
}

/** The slope of the line through the levels: the growth per step (least squares). */
function slope(levels: readonly number[]): number {
  const middle = (levels.length - 1) / 2;
  const mean = levels.reduce((sum, level) => sum + level, 0) / levels.length;
  let [above, below] = [0, 0];
  for (const [step, level] of levels.entries()) {
    above += (step - middle) * (level - mean);
    below += (step - middle) ** 2;
  }
  return above / below;
}

async function run(report: Report): Promise<void> {
  const child = await start('soak-engine', [String(CALLS), String(CHANGES)]);
  await child.kill();
  const { levels, timers, listeners, timersAfterClose } = JSON.parse(child.readyMessage) as SoakResult;
  const kib = levels.map((level) => level / 1_024);
  const growth = (kib.at(-1) ?? Number.NaN) - (kib[0] ?? Number.NaN);
  report(single('live memory, after each million calls', 'KiB', kib));
  report(single('growth from the first million to the last', 'KiB', [growth], '<= 512 KiB'));
  report(single('slope', 'B a call', [slope(levels) / (CALLS / levels.length)], '<= 0.05 B'));
  report(single('timers set with no call under way', '', timers, 'the same'));
  report(single('listeners left on a signal of many calls', '', [listeners], '0'));
  report(single('timers after close', '', [timersAfterClose], '0'));
}

export const soak: Bench = {
  name: 'soak',
  question: 'Are a caller’s memory, timers and listeners flat over 10 million calls and 100,000 registry changes?',
  run,
};
