import { describe, expect, it } from 'vitest';
import { consecutiveFailures, successRate } from './trip-rules.js';

describe('five failures in a row', () => {
  it('trip at the fifth, and again at each further failure', () => {
    const rule = consecutiveFailures(5);
    expect([1, 2, 3, 4, 5, 6].map((now) => rule.failure(now, 0))).toEqual([false, false, false, false, true, true]);
  });

  it('do not trip with a success between', () => {
    const rule = consecutiveFailures(5);
    for (let i = 0; i < 4; i += 1) rule.failure(i, 0);
    rule.success();
    expect(rule.failure(5, 1)).toBe(false);
  });
});

describe('a success rate below 80 % over 10 s', () => {
  const terms = { minRatio: 0.8, minCalls: 10 };

  it('trips only with at least 10 calls', () => {
    const rule = successRate(terms);
    expect([6, 7, 8].map((now) => rule.failure(now, 6))).toEqual([false, false, false]);
    expect(rule.failure(9, 6)).toBe(true);
  });

  it('does not trip at exactly 80 %', () => {
    const rule = successRate(terms);
    expect([20, 21, 22, 23].map((now) => rule.failure(now, 16))).toEqual([false, false, false, false]);
    expect(rule.failure(24, 16)).toBe(true);
  });

  it('forgets failures that are older than the window', () => {
    const rule = successRate(terms);
    for (let i = 0; i < 9; i += 1) rule.failure(i, 0);
    expect(rule.failure(10_900, 0)).toBe(false);
  });

  it('forgets all failures after a reset', () => {
    const rule = successRate(terms);
    for (let i = 0; i < 30; i += 1) rule.failure(i, 0);
    rule.reset();
    expect(rule.failure(31, 0)).toBe(false);
  });
});
