import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseOptions } from '../options/options.js';
import { due } from './deadlines.js';
import { STEP_MS, PROVED, run } from './lifecycle.fixture.js';
import { transition } from './lifecycle.js';
import { DEFAULT_POLICY, policyFields, policyRules, policyOf, PRESET_NAMES, PRESETS } from './policy.js';
import type { Policy, Thresholds } from './policy.js';
import { newborn } from './vitals.js';
import type { Fleet } from './vitals.js';

const parsed = (input: unknown): Policy => policyOf(parseOptions(policyFields, input, policyRules));

describe('the policy of a registry', () => {
  it('is the default one without options', () => {
    expect(parsed({})).toEqual(DEFAULT_POLICY);
    expect(parsed({ preset: 'default' })).toEqual(DEFAULT_POLICY);
  });

  it.each([
    ['fast', 1_000, 400],
    ['relaxed', 15_000, 5_000],
  ])(
    'of the preset %s beats every %i ms and waits %i ms, with the same thresholds',
    (preset, intervalMs, timeoutMs) => {
      expect(parsed({ preset })).toEqual({ ...DEFAULT_POLICY, intervalMs, timeoutMs });
    },
  );

  it('lets options override the preset, and adapts the timeout to the interval', () => {
    expect(parsed({ preset: 'relaxed', intervalMs: 20_000 })).toMatchObject({ intervalMs: 20_000, timeoutMs: 5_000 });
    expect(parsed({ preset: 'relaxed', intervalMs: 5_000 })).toMatchObject({ intervalMs: 5_000, timeoutMs: 2_000 });
    expect(parsed({ preset: 'relaxed', timeoutMs: 6_000 })).toMatchObject({ intervalMs: 15_000, timeoutMs: 6_000 });
    expect(parsed({ intervalMs: 1_000 })).toMatchObject({ intervalMs: 1_000, timeoutMs: 400 });
    expect(parsed({ intervalMs: 15_000 })).toMatchObject({ timeoutMs: 2_000 });
  });

  it('accepts single thresholds, also as fractions of an interval', () => {
    expect(parsed({ thresholds: { unhealthyAfter: 2.5, proofs: 3 } })).toEqual({
      ...DEFAULT_POLICY,
      unhealthyAfter: 2.5,
      proofs: 3,
    });
  });

  it.each([
    [{ preset: 'fats' }, 'allowed is one of "default", "fast", "relaxed"'],
    [{ preset: 'fast', timeoutMs: 500 }, 'intervalMs 1000 (of the preset fast): choose at most 400, or a longer'],
    [{ intervalMs: 2_000, timeoutMs: 1_000 }, '0.4 × intervalMs 2000: choose at most 800'],
    [{ thresholds: { unhealthyAfter: 1 } }, 'Option thresholds.unhealthyAfter: received 1, allowed is a number of int'],
    [{ thresholds: { unhealtyAfter: 2 } }, 'Did you mean thresholds.unhealthyAfter?'],
    [{ thresholds: { unhealthyAfter: 3 } }, 'criticalAfter 3 must be more than thresholds.unhealthyAfter 3'],
    [
      { thresholds: { criticalAfter: 7 } },
      'lastCriticalAfter 6 is less than thresholds.criticalAfter 7: choose at least 7',
    ],
    [{ thresholds: { unprovedAfter: 2.3 } }, 'thresholds.unhealthyAfter 2 + 0.4 (a timeout): choose at least 2.4'],
    [{ thresholds: { proofs: 6 } }, 'flappingProofs 5 is less than thresholds.proofs 6: choose at least 6'],
    [{ thresholds: { proofs: 1.5 } }, 'a whole number of proofs from 1 to 1000'],
    [{ thresholds: { proofStepAfter: 0.5 } }, 'Option thresholds.proofStepAfter: received 0.5'],
  ])('%j is refused, with a suggestion', (input, text) => {
    expect(() => parsed(input)).toThrow(text);
  });

  it('accepts values at the edge of every rule', () => {
    const thresholds = {
      unprovedAfter: 2.4,
      unhealthyAfter: 2,
      criticalAfter: 2.1,
      lastCriticalAfter: 2.1,
      proofs: 5,
      flappingProofs: 5,
    };
    expect(parsed({ thresholds })).toMatchObject(thresholds);
  });

  it.each(PRESET_NAMES)('satisfies its own rules in the preset %s', (preset) => {
    expect(PRESETS[preset].timeoutMs).toBeLessThanOrEqual(0.4 * PRESETS[preset].intervalMs);
  });
});

const tenths = (from: number, to: number): fc.Arbitrary<number> =>
  fc.integer({ min: from * 10, max: to * 10 }).map((n) => n / 10);

describe('all allowed thresholds', () => {
  const steadyFleet: Fleet = {
    otherHealthy: true,
    otherCallable: true,
    permit: { held: null, mass: false, hostProved: false },
  };
  const last: Fleet = { ...steadyFleet, otherHealthy: false, otherCallable: false };
  /** Each threshold is drawn from the values that the rules allow. */
  const anyThresholds: fc.Arbitrary<Partial<Thresholds>> = fc
    .record({
      unhealthyAfter: tenths(1.5, 5),
      unproved: tenths(0.5, 5),
      critical: tenths(0.1, 5),
      lastCritical: tenths(0, 5),
      silenceStepAfter: tenths(1, 5),
      removeAfter: tenths(1, 5),
    })
    .map(({ unhealthyAfter, unproved, critical, lastCritical, ...rest }) => ({
      ...rest,
      unhealthyAfter,
      unprovedAfter: unhealthyAfter + unproved,
      criticalAfter: unhealthyAfter + critical,
      lastCriticalAfter: unhealthyAfter + critical + lastCritical,
    }));

  it('keep an instance HEALTHY that sends a heartbeat once an interval', () => {
    fc.assert(
      fc.property(anyThresholds, (thresholds) => {
        const policy = parsed({ thresholds });
        const history = run(policy, steadyFleet, (now) => (now % policy.intervalMs === 0 ? PROVED : []));
        expect(history).toEqual([['HEALTHY', 0]]);
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    ['with other instances of its service', steadyFleet, 'criticalAfter'],
    ['as the last one', last, 'lastCriticalAfter'],
  ] as const)('remove a silent instance step by step, each at its time: %s', (_who, fleet, critical) => {
    fc.assert(
      fc.property(anyThresholds, (thresholds) => {
        const policy = parsed({ thresholds });
        const { intervalMs, timeoutMs, unhealthyAfter, silenceStepAfter, removeAfter } = policy;
        const history = run(policy, fleet, (now) => (now === 0 ? PROVED : [])).slice(1);
        expect(history.map(([phase]) => phase)).toEqual(['UNHEALTHY', 'CRITICAL', 'DEREGISTERING', 'REMOVED']);
        const expected = [
          unhealthyAfter * intervalMs + timeoutMs,
          policy[critical] * intervalMs + timeoutMs,
          (policy[critical] + silenceStepAfter) * intervalMs + timeoutMs,
          (policy[critical] + silenceStepAfter + removeAfter) * intervalMs + timeoutMs,
        ];
        const late = history.map(([, at], index) => at - (expected[index] ?? NaN));
        // up to four consecutive steps by time
        expect(late.every((ms) => Math.abs(ms) <= 4 * STEP_MS)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('need no permit to remove an instance that was never proved and sent no heartbeat', () => {
    fc.assert(
      fc.property(anyThresholds, (thresholds) => {
        const policy = parsed({ thresholds });
        const now = policy.unprovedAfter * policy.intervalMs;
        const held: Fleet = { ...steadyFleet, permit: { ...steadyFleet.permit, held: 'too many are silent' } };
        const event = due(newborn(0), Math.ceil(now), policy, held)!;
        const result = transition(newborn(0), event, { now: Math.ceil(now), policy, fleet: held });
        expect(result.vitals).toMatchObject({ phase: 'CRITICAL', cause: 'unproved' });
      }),
      { numRuns: 30 },
    );
  });
});
