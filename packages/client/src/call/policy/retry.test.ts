import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mayRetry, RetryBudget } from './retry.js';

describe('an attempt that may be retried', () => {
  it('was certainly not executed', () => {
    for (const kind of ['refused', 'unreachable', 'misdirected', 'unsent', 'congested'] as const) {
      expect(mayRetry(kind, false)).toBe(true);
    }
  });

  it('may have been executed only if the call is idempotent', () => {
    for (const kind of ['closed', 'timeout', 'garbled', 'overloaded', 'unavailable'] as const) {
      expect(mayRetry(kind, false)).toBe(false);
      expect(mayRetry(kind, true)).toBe(true);
    }
  });

  it('never failed with an application error', () => {
    expect(mayRetry('remote', true)).toBe(false);
  });
});

describe('the retry budget', () => {
  it('allows 3 retries a second, and no more, to a caller with few calls', () => {
    const budget = new RetryBudget({ ratio: 0.2, perSecond: 3 });
    let taken = 0;
    for (let i = 0; i < 100; i += 1) if (budget.withdraw(1_000)) taken += 1;
    expect(taken).toBe(30);
    expect(budget.left(10_999)).toBe(0);
    expect(budget.left(11_000)).toBe(30);
  });

  it('allows a fifth of the requests as retries', () => {
    const budget = new RetryBudget({ ratio: 0.2, perSecond: 0 });
    for (let i = 0; i < 100; i += 1) budget.request(500);
    expect(budget.left(500)).toBe(20);
  });

  it('never exceeds its limit when a retry is taken', () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 3_000 }),
      requests: fc.integer({ min: 0, max: 20 }),
      retries: fc.integer({ min: 0, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const budget = new RetryBudget({ ratio: 0.2, perSecond: 1 });
        const seconds: { second: number; requests: number; retries: number }[] = [];
        let now = 0;
        for (const { afterMs, requests, retries } of steps) {
          now += afterMs;
          for (let i = 0; i < requests; i += 1) budget.request(now);
          let taken = 0;
          for (let i = 0; i < retries; i += 1) if (budget.withdraw(now)) taken += 1;
          seconds.push({ second: Math.floor(now / 1_000), requests, retries: taken });
          const window = seconds.filter(({ second }) => second > Math.floor(now / 1_000) - 10);
          const sum = (of: 'requests' | 'retries'): number => window.reduce((total, entry) => total + entry[of], 0);
          if (taken > 0) expect(sum('retries')).toBeLessThanOrEqual(0.2 * sum('requests') + 10 + 1e-6);
        }
      }),
    );
  });
});
