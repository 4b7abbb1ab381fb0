import { describe, expect, it } from 'vitest';
import { consecutiveFailures, successRate } from './trip-rules.js';

describe('five failures in a row', () => {
  it('trip at the fifth, and again at each further one', () => {
    const rule = consecutiveFailures(5);
    expect([1, 2, 3, 4, 5, 6].map((now) => rule.failure(now))).toEqual([false, false, false, false, true, true]);
  });

  it('do not trip with a success between', () => {
    const rule = consecutiveFailures(5);
    for (let i = 0; i < 4; i += 1) rule.failure(i);
    rule.success(4);
    expect(rule.failure(5)).toBe(false);
  });
});

describe('a success rate below 80 % over 10 s', () => {
  const terms = { minRatio: 0.8, windowMs: 10_000, minCalls: 10 };

  it('trips only with 10 calls', () => {
    const rule = successRate(terms);
    for (let i = 0; i < 6; i += 1) rule.success(i);
    expect([6, 7, 8].map((now) => rule.failure(now))).toEqual([false, false, false]);
    expect(rule.failure(9)).toBe(true);
  });

  it('does not trip at exactly 80 %', () => {
    const rule = successRate(terms);
    for (let i = 0; i < 16; i += 1) rule.success(i);
    expect([20, 21, 22, 23].map((now) => rule.failure(now))).toEqual([false, false, false, false]);
    expect(rule.failure(24)).toBe(true);
  });

  it('forgets what is older than the window', () => {
    const rule = successRate(terms);
    for (let i = 0; i < 9; i += 1) rule.failure(i);
    expect(rule.failure(10_900)).toBe(false);
  });

  it('forgets all when it is reset', () => {
    const rule = successRate(terms);
    for (let i = 0; i < 30; i += 1) rule.failure(i);
    rule.reset();
    expect(rule.failure(31)).toBe(false);
  });
});
