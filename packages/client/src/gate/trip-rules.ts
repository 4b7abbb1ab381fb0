/** When has an instance failed too much? Fed with every outcome that speaks for or against it, in order of time. */
export interface TripRule {
  success(now: number): void;
  /** Is it too much now? Says so again with each further failure, until `reset`. */
  failure(now: number): boolean;
  /** Forgets. */
  reset(): void;
}

/** `count` failures and no success between. */
export function consecutiveFailures(count: number): TripRule {
  let inARow = 0;
  return {
    success() {
      inARow = 0;
    },
    failure() {
      inARow += 1;
      return inARow >= count;
    },
    reset() {
      inARow = 0;
    },
  };
}

export interface SuccessRateTerms {
  /** Below this share of successes it trips. */
  readonly minRatio: number;
  readonly windowMs: number;
  /** Fewer outcomes than this in the window say nothing. */
  readonly minCalls: number;
}

const SLICES = 10;

/** The share of successes over a sliding window in ten slices, whose sums are kept: a sample costs the same at any rate. */
export function successRate(terms: SuccessRateTerms): TripRule {
  const sliceMs = terms.windowMs / SLICES;
  const good = new Float64Array(SLICES);
  const bad = new Float64Array(SLICES);
  let goodSum = 0;
  let badSum = 0;
  let slice = 0;

  const place = (now: number): number => {
    const wanted = Math.floor(now / sliceMs);
    for (let passed = Math.max(slice + 1, wanted - SLICES + 1); passed <= wanted; passed += 1) {
      goodSum -= good[passed % SLICES] ?? 0;
      badSum -= bad[passed % SLICES] ?? 0;
      good[passed % SLICES] = 0;
      bad[passed % SLICES] = 0;
    }
    slice = Math.max(slice, wanted);
    return slice % SLICES;
  };

  return {
    success(now) {
      const at = place(now);
      good[at] = (good[at] ?? 0) + 1;
      goodSum += 1;
    },
    failure(now) {
      const at = place(now);
      bad[at] = (bad[at] ?? 0) + 1;
      badSum += 1;
      const calls = goodSum + badSum;
      return calls >= terms.minCalls && goodSum < terms.minRatio * calls;
    },
    reset() {
      good.fill(0);
      bad.fill(0);
      goodSum = 0;
      badSum = 0;
    },
  };
}

/** 5 failures in a row, or under 80 % over 10 s with at least 10 calls: Finagle's and Linkerd's rules with our numbers. */
export function defaultTripRules(): readonly TripRule[] {
  return [consecutiveFailures(5), successRate({ minRatio: 0.8, windowMs: 10_000, minCalls: 10 })];
}
