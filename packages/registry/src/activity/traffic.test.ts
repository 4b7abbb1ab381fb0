import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Traffic } from './traffic.js';
import type { TrafficQuery } from './traffic.js';

const ALL: TrafficQuery = { namespace: '*', from: null, to: null, step: '5s' };
const pair = (from: string, to: string, namespace = 'default') => ({ namespace, from, to });
const sample = (calls: number, p99Ms: number | null = null) => ({ calls, failures: 1, retries: 2, p99Ms });

function setUp(max?: number) {
  const time = new ManualTime({ nowMs: 600_000 });
  const traffic = new Traffic(time, max);
  const calls = (query: Partial<TrafficQuery> = {}) =>
    traffic.read({ ...ALL, ...query }).points.map((one) => one.calls);
  return { time, traffic, calls };
}

describe('Traffic', () => {
  it('has sums of each whole step since its start, oldest first, 0 without a report', () => {
    const { time, traffic } = setUp();
    expect(traffic.read(ALL)).toEqual({ stepMs: 5_000, points: [] });
    traffic.note(pair('web', 'orders'), sample(10, 4));
    traffic.note(pair('web', 'users'), sample(5, 9.06));
    time.advance(10_000);
    traffic.note(pair('web', 'orders'), sample(7));
    const { points } = traffic.read(ALL);
    expect(points).toEqual([
      { at: time.wall() - 5_000, calls: 15, failures: 2, retries: 4, p99Ms: 9.1 },
      { at: time.wall(), calls: 0, failures: 0, retries: 0, p99Ms: null },
    ]);
    time.advance(5_000);
    expect(traffic.read(ALL).points.at(-1)).toMatchObject({ at: time.wall(), calls: 7, p99Ms: null });
  });

  it('sums only the requested pairs', () => {
    const { time, traffic, calls } = setUp();
    traffic.note(pair('web', 'orders'), sample(1));
    traffic.note(pair('web', 'users'), sample(10));
    traffic.note(pair('app', 'users'), sample(100));
    traffic.note(pair('app', 'users', 'shop'), sample(1_000));
    time.advance(5_000);
    expect(calls()).toEqual([1_111]);
    expect(calls({ namespace: 'default' })).toEqual([111]);
    expect(calls({ from: 'web' })).toEqual([11]);
    expect(calls({ to: 'users', namespace: 'default' })).toEqual([110]);
    expect(calls({ from: 'app', to: 'users', namespace: 'shop' })).toEqual([1_000]);
    expect(calls({ from: 'users' })).toEqual([0]);
  });

  it('keeps a quarter of an hour of the short steps, and a day of the long ones', () => {
    const { time, traffic, calls } = setUp();
    for (let minute = 0; minute < 3 * 1_440; minute += 1) {
      traffic.note(pair('web', 'orders'), sample(minute + 1));
      time.advance(60_000);
    }
    const short = calls();
    expect(short).toHaveLength(180);
    expect(short.filter((count) => count > 0)).toEqual(Array.from({ length: 15 }, (_, n) => 3 * 1_440 - 14 + n));
    const long = calls({ step: '1m' });
    expect(long).toEqual(Array.from({ length: 1_440 }, (_, n) => 2 * 1_440 + 1 + n));
  });

  it('forgets old numbers even if no new ones replace them', () => {
    const { time, traffic, calls } = setUp();
    traffic.note(pair('web', 'orders'), sample(10));
    time.advance(20 * 60_000);
    expect(calls().every((count) => count === 0)).toBe(true);
    traffic.note(pair('web', 'orders'), sample(3));
    time.advance(5_000);
    expect(calls().filter((count) => count > 0)).toEqual([3]);
  });

  it('keeps a limited number of pairs, the last reported ones, and none longer than a day after', () => {
    const { time, traffic, calls } = setUp(2);
    traffic.note(pair('web', 'a'), sample(1));
    traffic.note(pair('web', 'b'), sample(10));
    traffic.note(pair('web', 'a'), sample(1));
    traffic.note(pair('web', 'c'), sample(100));
    // an empty report creates no pair
    traffic.note(pair('web', 'd'), { calls: 0, failures: 0, retries: 0, p99Ms: null });
    time.advance(5_000);
    expect(calls()).toEqual([102]);
    expect(calls()).toEqual([102]);
    time.advance(86_400_000);
    traffic.note(pair('web', 'b'), sample(10));
    time.advance(60_000);
    expect(calls({ step: '1m' }).filter((count) => count > 0)).toEqual([10]);
  });
});
