import { AsyncLocalStorage } from 'node:async_hooks';
import { systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WheelTimer, TICK_MS, TimerWheel } from './timer-wheel.js';

class Bell extends WheelTimer {
  readonly rung: number[] = [];
  stops = 0;
  readonly #then: (() => void) | undefined;

  constructor(then?: () => void) {
    super();
    this.#then = then;
  }

  override ring(now: number): void {
    this.rung.push(now);
    this.#then?.();
  }

  override stop(): void {
    this.stops += 1;
  }
}

describe('the timer wheel', () => {
  it('may be finer', () => {
    const time = new ManualTime({ nowMs: 70 });
    const wheel = new TimerWheel(time, 1);
    const bells = [3, 4, 700].map((ms) => {
      const bell = new Bell();
      wheel.arm(bell, 70 + ms, 70);
      return bell;
    });
    time.advance(1_000);
    expect(bells.map(({ rung }) => rung)).toEqual([[73], [74], [770]]);
    expect(time.nextAt()).toBeNull();
  });

  it('fires each timer once, not before it is due and at most a tick after', () => {
    const delays = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(delays, fc.integer({ min: 0, max: 100_000 }), (dueIn, start) => {
        const time = new ManualTime({ nowMs: start });
        const wheel = new TimerWheel(time);
        const bells = dueIn.map((ms) => {
          const bell = new Bell();
          wheel.arm(bell, start + ms, start);
          return { bell, ms };
        });
        time.advance(20_100);
        for (const { bell, ms } of bells) {
          expect(bell.rung).toHaveLength(1);
          expect((bell.rung[0] ?? NaN) - start).toBeGreaterThanOrEqual(ms);
          expect((bell.rung[0] ?? NaN) - start).toBeLessThanOrEqual(ms + 2 * TICK_MS);
        }
        expect(wheel.armed).toBe(0);
      }),
    );
  });

  it('has one timer, which ends with the last alarm and holds the process alive until then', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    const bells = [new Bell(), new Bell(), new Bell()];
    for (const bell of bells) wheel.arm(bell, 1_000, 0);
    expect(time.pending()).toEqual({ foreground: 1, background: 0 });
    for (const bell of bells) wheel.disarm(bell);
    time.advance(TICK_MS);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
    expect(bells.flatMap((bell) => bell.rung)).toEqual([]);
  });

  it('can be armed again, even by the timer that fires', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    let left = 2;
    const bell: Bell = new Bell(() => {
      left -= 1;
      if (left > 0) wheel.arm(bell, time.now() + 50, time.now());
    });
    wheel.arm(bell, 5_000, 0);
    wheel.arm(bell, 100, 0);
    time.advance(10_000);
    expect(bell.rung).toEqual([100, 150]);
  });

  it('does not ring what another one disarms in the same tick', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    const bells: Bell[] = [];
    for (let i = 0; i < 2; i += 1) bells.push(new Bell(() => bells.forEach((bell) => wheel.disarm(bell))));
    for (const bell of bells) wheel.arm(bell, 100, 0);
    time.advance(200);
    expect(bells.flatMap((bell) => bell.rung)).toHaveLength(1);
  });

  it('stops what is armed when it is closed, and leaves no timer', () => {
    const time = new ManualTime();
    const wheel = new TimerWheel(time);
    const bell = new Bell();
    wheel.arm(bell, 100, 0);
    wheel.close();
    wheel.close();
    time.advance(1_000);
    expect(bell).toMatchObject({ stops: 1, rung: [] });
    expect(time.nextAt()).toBeNull();
  });

  it('lets the event loop turn once more after this process was paused, so that data that arrived meanwhile is read first', () => {
    const time = new ManualTime();
    let standstillMs = 0;
    const stalling: Time = {
      now: () => time.now() + standstillMs,
      wall: () => time.wall(),
      setTimer: (ms, run, options) => time.setTimer(ms, run, options),
    };
    const wheel = new TimerWheel(stalling);
    const bell = new Bell();
    wheel.arm(bell, 100, 0);
    time.advance(50);
    standstillMs = 400;
    time.setTimer(TICK_MS, () => wheel.disarm(bell)); // an answer, read behind the late tick
    time.advance(TICK_MS);
    time.advance(1_000);
    expect(bell.rung).toEqual([]);
    expect(wheel.hasStalled(459, 1_000)).toBe(true);
    expect(wheel.hasStalled(460, 1_000)).toBe(false);
  });

  it('fires outside the AsyncLocalStorage of the code that armed it', async () => {
    const storage = new AsyncLocalStorage<string>();
    const wheel = new TimerWheel(systemTime);
    const seen = await new Promise((resolve) => {
      const bell = new Bell(() => resolve(storage.getStore()));
      storage.run('a request', () => wheel.arm(bell, 0, systemTime.now()));
    });
    expect(seen).toBeUndefined();
    wheel.close();
  });
});
