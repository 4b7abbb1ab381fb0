import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OPEN } from './gate.js';
import { AdaptiveLimit, DEFAULT_LIMIT, earlyLimit } from './limit.js';

/** Higher than any limit in these tests. */
const ABOVE_ANY_LIMIT = 1_000_000;

describe('the early limit', () => {
  it('sends one call at a time to an instance that left 3 calls unanswered for 5 × its p99', () => {
    expect(earlyLimit(3, 400, 80, true)).toBe(OPEN);
    expect(earlyLimit(3, 401, 80, true)).toBe(1);
  });

  it('applies after 100 ms at the earliest', () => {
    expect(earlyLimit(3, 100, 1, true)).toBe(OPEN);
    expect(earlyLimit(3, 101, null, true)).toBe(1);
  });

  it('does not apply to two unanswered calls', () => {
    expect(earlyLimit(2, 5_000, 1, true)).toBe(OPEN);
  });

  it('does not apply when no instance answers, since then the cause is not this instance', () => {
    expect(earlyLimit(30, 5_000, 1, false)).toBe(OPEN);
  });
});

describe('the adaptive limit', () => {
  it('starts at 20, and grows by one for each round trip with at least half of it in use', () => {
    const limit = new AdaptiveLimit(DEFAULT_LIMIT);
    expect(limit.gate).toBe(20);
    for (let i = 0; i < 100; i += 1) limit.succeeded(9, 0);
    expect(limit.gate).toBe(20);
    for (let i = 0; i < 21; i += 1) limit.succeeded(10, 0);
    expect(limit.gate).toBe(21);
  });

  it('shrinks by a tenth, at most once for each round trip, down to 2', () => {
    const limit = new AdaptiveLimit(DEFAULT_LIMIT);
    limit.overloaded(0, 100, ABOVE_ANY_LIMIT);
    expect(limit.gate).toBe(18);
    for (let sentAt = 1; sentAt < 100; sentAt += 1) limit.overloaded(sentAt, 150, ABOVE_ANY_LIMIT);
    expect(limit.gate).toBe(18);
    limit.overloaded(100, 200, ABOVE_ANY_LIMIT);
    expect(limit.gate).toBe(16);
    for (let now = 300; now < 10_000; now += 100) limit.overloaded(now - 100, now, ABOVE_ANY_LIMIT);
    expect(limit.gate).toBe(2);
  });

  it('rises when all instances are full, unless one reported overload within the last second', () => {
    const limit = new AdaptiveLimit(DEFAULT_LIMIT);
    expect(limit.raise(0)).toBe(true);
    expect(limit.gate).toBe(40);
    limit.overloaded(0, 1_000, ABOVE_ANY_LIMIT);
    expect(limit.gate).toBe(18);
    expect(limit.raise(1_999)).toBe(false);
    expect(limit.raise(2_000)).toBe(true);
    expect(limit.gate).toBe(36);
  });

  it('recovers after a second of successes, then doubles with each round trip', () => {
    const limit = new AdaptiveLimit(DEFAULT_LIMIT);
    for (let now = 100; now <= 2_000; now += 100) limit.overloaded(now, now, ABOVE_ANY_LIMIT);
    const cut = limit.gate;
    for (let i = 0; i < cut; i += 1) limit.succeeded(cut, 2_999);
    expect(limit.gate).toBeLessThanOrEqual(cut + 1);
    for (let i = 0; i < cut; i += 1) limit.succeeded(cut, 3_000);
    expect(limit.gate).toBeGreaterThanOrEqual(2 * cut);
  });

  it('shrinks below the number of calls under way, by half at most', () => {
    const limit = new AdaptiveLimit(DEFAULT_LIMIT);
    for (let i = 0; i < 200; i += 1) limit.succeeded(20, 0);
    const before = limit.gate;
    limit.overloaded(0, 100, before - 5);
    expect(limit.gate).toBe(Math.floor(0.9 * (before - 5)));
    limit.overloaded(100, 200, 1);
    expect(limit.gate).toBe(Math.floor(0.45 * 0.9 * (before - 5)));
  });

  it('stays within its bounds for any outcomes', () => {
    const event = fc.record({ what: fc.constantFrom('succeeded', 'overloaded', 'raise'), inFlight: fc.nat(600) });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 400 }), (events) => {
        const limit = new AdaptiveLimit(DEFAULT_LIMIT);
        events.forEach(({ what, inFlight }, i) => {
          const now = 1_000 * i;
          if (what === 'succeeded') limit.succeeded(inFlight, now);
          else if (what === 'overloaded') limit.overloaded(now, now, ABOVE_ANY_LIMIT);
          else limit.raise(now);
          expect(limit.gate).toBeGreaterThanOrEqual(2);
          expect(limit.gate).toBeLessThanOrEqual(DEFAULT_LIMIT.max);
          expect(Number.isInteger(limit.gate)).toBe(true);
        });
      }),
    );
  });
});
