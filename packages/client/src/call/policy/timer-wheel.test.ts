import { AsyncLocalStorage } from 'node:async_hooks';
import { systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WheelTimer, TICK_MS, TimerWheel } from './timer-wheel.js';

class TestTimer extends WheelTimer {
  readonly firedAt: number[] = [];
  stops = 0;
  readonly #then: (() => void) | undefined;

  constructor(then?: () => void) {
    super();
    this.#then = then;
  }

  override ring(now: number): void {
    this.firedAt.push(now);
    this.#then?.();
  }

  override stop(): void {
    this.stops += 1;
  }
}

describe('the timer wheel', () => {
  it('supports a finer resolution', () => {
    const time = new ManualTime({ nowMs: 70 });
    const wheel = new TimerWheel(time, 1);
    const timers = [3, 4, 700].map((ms) => {
      const timer = new TestTimer();
      wheel.arm(timer, 70 + ms, 70);
      return timer;
    });
    time.advance(1_000);
    expect(timers.map(({ firedAt }) => firedAt)).toEqual([[73], [74], [770]]);
    expect(time.nextAt()).toBeNull();
  });

  it('fires each timer once, not before it is due and at most a tick late', () => {
    const delays = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(delays, fc.integer({ min: 0, max: 100_000 }), (dueIn, start) => {
        const time = new ManualTime({ nowMs: start });
        const wheel = new TimerWheel(time);
        const timers = dueIn.map((ms) => {
          const timer = new TestTimer();
          wheel.arm(timer, start + ms, start);
          return { timer, ms };
        });
        time.advance(20_100);
        for (const { timer, ms } of timers) {
          expect(timer.firedAt).toHaveLength(1);
          expect((timer.firedAt[0] ?? NaN) - start).toBeGreaterThanOrEqual(ms);
          expect((timer.firedAt[0] ?? NaN) - start).toBeLessThanOrEqual(ms + 2 * TICK_MS);
        }
        expect(wheel.armed).toBe(0);
      }),
    );
  });

  it('uses one timer, which ends with the last alarm and keeps the process alive until then', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    const timers = [new TestTimer(), new TestTimer(), new TestTimer()];
    for (const timer of timers) wheel.arm(timer, 1_000, 0);
    expect(time.pending()).toEqual({ foreground: 1, background: 0 });
    for (const timer of timers) wheel.disarm(timer);
    time.advance(TICK_MS);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
    expect(timers.flatMap((timer) => timer.firedAt)).toEqual([]);
  });

  it('can be armed again, even by the timer that fires', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    let left = 2;
    const timer: TestTimer = new TestTimer(() => {
      left -= 1;
      if (left > 0) wheel.arm(timer, time.now() + 50, time.now());
    });
    wheel.arm(timer, 5_000, 0);
    wheel.arm(timer, 100, 0);
    time.advance(10_000);
    expect(timer.firedAt).toEqual([100, 150]);
  });

  it('does not fire a timer that another one disarms in the same tick', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    const timers: TestTimer[] = [];
    for (let i = 0; i < 2; i += 1) timers.push(new TestTimer(() => timers.forEach((timer) => wheel.disarm(timer))));
    for (const timer of timers) wheel.arm(timer, 100, 0);
    time.advance(200);
    expect(timers.flatMap((timer) => timer.firedAt)).toHaveLength(1);
  });

  it('stops all armed timers on close, and leaves no timer', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    const timer = new TestTimer();
    wheel.arm(timer, 100, 0);
    wheel.close();
    wheel.close();
    time.advance(1_000);
    expect(timer).toMatchObject({ stops: 1, firedAt: [] });
    expect(time.nextAt()).toBeNull();
  });

  it('waits for one more turn of the event loop after a pause, so that data that arrived meanwhile is read first', () => {
    const time = new ManualTime();
    let standstillMs = 0;
    const stalling: Time = {
      now: () => time.now() + standstillMs,
      wall: () => time.wall(),
      setTimer: (ms, run, options) => time.setTimer(ms, run, options),
    };
    const wheel = new TimerWheel(stalling);
    const timer = new TestTimer();
    wheel.arm(timer, 100, 0);
    time.advance(50);
    standstillMs = 400;
    time.setTimer(TICK_MS, () => wheel.disarm(timer)); // an answer that is read after the late tick
    time.advance(TICK_MS);
    time.advance(1_000);
    expect(timer.firedAt).toEqual([]);
    expect(wheel.hasStalled(459, 1_000)).toBe(true);
    expect(wheel.hasStalled(460, 1_000)).toBe(false);
  });

  it('fires outside the AsyncLocalStorage of the code that armed it', async () => {
    const storage = new AsyncLocalStorage<string>();
    const wheel = new TimerWheel(systemTime);
    const seen = await new Promise((resolve) => {
      const timer = new TestTimer(() => resolve(storage.getStore()));
      storage.run('a request', () => wheel.arm(timer, 0, systemTime.now()));
    });
    expect(seen).toBeUndefined();
    wheel.close();
  });
});
