import type { Random } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Breaker } from './breaker.js';
import { OPEN, SHUT } from './gate.js';
import { defaultTripRules } from './trip-rules.js';

/** No jitter. */
const steady: Random = { unit: () => 0.5, bytes: (length) => new Uint8Array(length) };
const always = (): boolean => true;
const never = (): boolean => false;

function createBreaker(random = steady): Breaker {
  return new Breaker(defaultTripRules(), random);
}

function ejected(now = 0): Breaker {
  const breaker = createBreaker();
  for (let i = 0; i < 5; i += 1) breaker.failure(now, always);
  return breaker;
}

describe('a breaker', () => {
  it('ejects after five failures in a row, for a second', () => {
    const breaker = createBreaker();
    expect([1, 2, 3, 4, 5].map((now) => breaker.failure(now, always))).toEqual([false, false, false, false, true]);
    expect(breaker.cause).toBe('errors');
    expect(breaker.stateAt(1_004)).toBe('open');
    expect(breaker.stateAt(1_005)).toBe('half-open');
  });

  it('does not eject when `mayEject` returns false, and calls it again at the next failure', () => {
    const breaker = createBreaker();
    for (let i = 0; i < 5; i += 1) expect(breaker.failure(i, never)).toBe(false);
    expect(breaker.cause).toBeNull();
    expect(breaker.failure(6, always)).toBe(true);
  });

  it('keeps a failing instance usable, and shuts one that cannot be connected to, without a limit on their share', () => {
    expect(ejected().gate).toBe(OPEN);
    const breaker = createBreaker();
    for (let i = 0; i < 5; i += 1) breaker.connectFailure(i, never);
    expect(breaker).toMatchObject({ cause: 'absent', gate: SHUT });
  });

  it('does not shut an instance with a successful connection between the failures', () => {
    const breaker = createBreaker();
    for (let i = 0; i < 4; i += 1) breaker.connectFailure(i, never);
    breaker.success(5);
    for (let i = 6; i < 10; i += 1) breaker.connectFailure(i, never);
    expect(breaker.cause).toBeNull();
  });

  it('allows one probe at a time', () => {
    const breaker = ejected();
    expect(breaker.probeAt).toBe(1_000);
    breaker.beginProbe();
    expect(breaker.probeAt).toBe(Infinity);
    breaker.endProbe();
    expect(breaker.probeAt).toBe(1_000);
  });

  it('starts the next probe only after the end of a probe that outlived its ejection', () => {
    const breaker = ejected();
    breaker.beginProbe();
    breaker.success(1_000);
    breaker.success(1_000);
    for (let i = 0; i < 5; i += 1) breaker.failure(2_000, always);
    expect(breaker.cause).toBe('errors');
    expect(breaker.probeAt).toBe(Infinity);
    breaker.endProbe();
    expect(breaker.probeAt).toBe(4_000);
  });

  it('closes after two successes', () => {
    const breaker = ejected();
    expect(breaker.success(1_000)).toBe(false);
    expect(breaker.success(1_001)).toBe(true);
    expect(breaker.stateAt(1_001)).toBe('closed');
  });

  it('doubles the ejection after each failed probe, up to 30 s', () => {
    const breaker = ejected();
    const stays: number[] = [];
    for (let i = 0; i < 7; i += 1) {
      const now = breaker.probeAt;
      breaker.failure(now, always);
      stays.push(breaker.probeAt - now);
    }
    expect(stays).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('shortens the next ejection by one step for each 10 s without an ejection', () => {
    const breaker = ejected();
    for (let i = 0; i < 3; i += 1) breaker.failure(breaker.probeAt, always);
    const closedAt = breaker.probeAt;
    breaker.success(closedAt);
    breaker.success(closedAt);
    const now = closedAt + 20_000;
    for (let i = 0; i < 5; i += 1) breaker.failure(now, always);
    expect(breaker.probeAt - now).toBe(4_000);
  });

  it('ignores failures of calls that began before the ejection', () => {
    const breaker = ejected();
    for (let i = 0; i < 20; i += 1) breaker.failure(500, always);
    expect(breaker.probeAt).toBe(1_000);
  });

  it('is no longer shut after the first success', () => {
    const breaker = createBreaker();
    for (let i = 0; i < 5; i += 1) breaker.connectFailure(0, never);
    expect(breaker.success(1_000)).toBe(true);
    expect(breaker).toMatchObject({ cause: 'errors', gate: OPEN });
    expect(breaker.success(1_001)).toBe(true);
    expect(breaker.cause).toBeNull();
  });

  it('becomes half-open, not closed, on a hint', () => {
    const breaker = ejected();
    breaker.hint(10);
    expect(breaker.stateAt(10)).toBe('half-open');
    expect(breaker.cause).toBe('errors');
  });

  it('does not eject for one failure in 200, and varies ejections by at most a fifth', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = seededRandom(seed);
        const breaker = createBreaker(random);
        for (let now = 0; now < 5_000; now += 1) {
          if (random.unit() < 0.005) breaker.failure(now, always);
          else breaker.success(now);
        }
        expect(breaker.cause).toBeNull();
        for (let i = 0; i < 5; i += 1) breaker.failure(5_000, always);
        expect(Math.abs(breaker.probeAt - 6_000)).toBeLessThanOrEqual(200);
      }),
      { numRuns: 30 },
    );
  });
});
