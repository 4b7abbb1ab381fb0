import { describe, expect, it } from 'vitest';
import { seededRandom } from '../testing.js';
import { ceilingMs, equalJitterMs, fullJitterMs } from './backoff.js';

const calls = { baseMs: 25, capMs: 250 };
const always = (unit: number) => ({ unit: () => unit, bytes: (length: number) => new Uint8Array(length) });
const LARGEST_BELOW_ONE = 1 - 2 ** -53;

describe('ceilingMs', () => {
  it('doubles with each try until the cap', () => {
    expect([0, 1, 2, 3, 4, 5].map((n) => ceilingMs(calls, n))).toEqual([25, 50, 100, 200, 250, 250]);
  });

  it('stays at the cap for any number of retries', () => {
    expect(ceilingMs(calls, 5_000)).toBe(250);
  });
});

describe('full jitter', () => {
  it('lies between 0 and the ceiling', () => {
    expect(fullJitterMs(calls, 1, always(0))).toBe(0);
    expect(fullJitterMs(calls, 1, always(0.5))).toBe(25);
    expect(fullJitterMs(calls, 1, always(LARGEST_BELOW_ONE))).toBeCloseTo(50);
  });

  it('spreads callers that failed together over the whole range', () => {
    const random = seededRandom(1);
    const waits = Array.from({ length: 10_000 }, () => fullJitterMs(calls, 3, random));
    const quarters = [0, 1, 2, 3].map((quarter) => waits.filter((ms) => Math.floor(ms / 50) === quarter).length);
    expect(Math.min(...quarters)).toBeGreaterThan(2_300);
    expect(quarters.reduce((sum, count) => sum + count)).toBe(10_000);
  });
});

describe('equal jitter', () => {
  it('lies between half the ceiling and the ceiling', () => {
    expect(equalJitterMs(calls, 2, always(0))).toBe(50);
    expect(equalJitterMs(calls, 2, always(0.5))).toBe(75);
    expect(equalJitterMs(calls, 2, always(LARGEST_BELOW_ONE))).toBeCloseTo(100);
  });
});
