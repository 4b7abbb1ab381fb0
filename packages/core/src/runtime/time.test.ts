import { describe, expect, it } from 'vitest';
import { ManualTime } from '../testing.js';
import { checkDelay, sleep, systemTime } from './time.js';

/** The timers that keep this process alive. */
const holding = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

describe('the system clock', () => {
  it('runs a timer once, at or after its due time', async () => {
    const start = systemTime.now();
    let runs = 0;
    await new Promise<void>((resolve) => {
      systemTime.setTimer(5, () => {
        runs += 1;
        resolve();
      });
    });
    expect(runs).toBe(1);
    // Node counts in whole milliseconds and may be a fraction early.
    expect(systemTime.now() - start).toBeGreaterThan(3.9);
  });

  it('does not run a cancelled timer, and a second cancel is a no-op', async () => {
    let ran = false;
    const timer = systemTime.setTimer(0, () => {
      ran = true;
    });
    timer.cancel();
    timer.cancel();
    await new Promise<void>((resolve) => void systemTime.setTimer(1, resolve));
    expect(ran).toBe(false);
  });

  it('keeps the process alive for a foreground timer, not for a background one', () => {
    const before = holding();
    const background = systemTime.setTimer(60_000, () => {}, { background: true });
    expect(holding()).toBe(before);
    const awaited = systemTime.setTimer(60_000, () => {});
    expect(holding()).toBe(before + 1);
    background.cancel();
    awaited.cancel();
  });

  it('rejects a delay that Node would turn into a millisecond', () => {
    expect(() => systemTime.setTimer(2 ** 31, () => {})).toThrow(
      'A timer takes 0 … 2147483647 ms; received 2147483648.',
    );
  });

  it('returns the wall clock', () => {
    expect(Math.abs(systemTime.wall() - Date.now())).toBeLessThan(1_000);
  });
});

describe('checkDelay', () => {
  it.each([0, 0.5, 2 ** 31 - 1])('accepts %d ms', (ms) => {
    expect(() => checkDelay(ms)).not.toThrow();
  });

  it.each([-1, 2 ** 31, Infinity, Number.NaN])('rejects %d ms', (ms) => {
    expect(() => checkDelay(ms)).toThrow(RangeError);
  });
});

describe('sleep', () => {
  it('resolves at its due time', async () => {
    const time = new ManualTime();
    let awake = false;
    const forward = async (): Promise<void> => {
      await sleep(time, 100);
      awake = true;
    };
    void forward();
    await time.advanceBy(99);
    expect(awake).toBe(false);
    await time.advanceBy(1);
    expect(awake).toBe(true);
  });

  it('resolves at once when the signal aborts, and leaves no timer and no listener', async () => {
    const time = new ManualTime();
    const abort = new AbortController();
    const listeners: string[] = [];
    const { signal } = abort;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners.push('added'), add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners.push('removed'), remove(...args));

    const sleeping = sleep(time, 100, { signal });
    abort.abort();
    await sleeping;

    expect(time.now()).toBe(0);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
    expect(listeners).toEqual(['added', 'removed']);
  });

  it('sets no timer if the signal has already aborted', async () => {
    const time = new ManualTime();
    await sleep(time, 100, { signal: AbortSignal.abort() });
    expect(time.nextAt()).toBeNull();
  });

  it('can use a background timer', () => {
    const time = new ManualTime();
    void sleep(time, 100, { background: true });
    expect(time.pending()).toEqual({ foreground: 0, background: 1 });
  });
});
