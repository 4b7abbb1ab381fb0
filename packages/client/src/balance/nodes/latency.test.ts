import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf, LatencyProfile } from './latency.js';

function profileOf(samples: readonly number[], now = 0): LatencyProfile {
  const profile = new LatencyProfile();
  for (const ms of samples) profile.record(bucketOf(ms), now);
  return profile;
}

describe('a latency profile', () => {
  it('returns null before it has 20 samples', () => {
    expect(profileOf(Array.from({ length: 19 }, () => 5)).medianMs(1)).toBeNull();
    expect(profileOf(Array.from({ length: 20 }, () => 5)).medianMs(1)).not.toBeNull();
  });

  it('gives quantiles that are never below the true one and at most 19 % above it', () => {
    const sample = fc.double({ min: 0.1, max: 100_000, noNaN: true });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 20, maxLength: 300 }), (samples) => {
        const profile = profileOf(samples);
        const sorted = samples.toSorted((a, b) => a - b);
        for (const [share, found] of [
          [0.5, profile.medianMs(1)],
          [0.99, profile.p99Ms(1)],
        ] as const) {
          const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
          expect(found).toBeGreaterThanOrEqual(exact * 0.999999);
          expect(found).toBeLessThanOrEqual(exact * 1.19);
        }
      }),
    );
  });

  it('forgets samples that are older than 20 s', () => {
    const profile = profileOf(Array.from({ length: 100 }, () => 800));
    for (let now = 0; now < 25_000; now += 100) profile.record(bucketOf(2), now);
    expect(profile.p99Ms(25_000)).toBeLessThan(3);
    expect(profile.p99Ms(60_000)).toBeNull();
  });
});
