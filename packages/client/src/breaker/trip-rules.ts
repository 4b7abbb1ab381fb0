/** A rule that decides when an instance has failed too often. Outcomes arrive in order of time. */
export interface TripRule {
  /** The first success after a failure. */
  success(): void;
  /** Returns true if the rule trips, and again at each further failure until `reset`. `successes`: those of the last 10 s. */
  failure(now: number, successes: number): boolean;
  /** Forgets. */
  reset(): void;
}

/** Trips after `count` failures without a success between them. */
export function consecutiveFailures(count: number): TripRule {
  let consecutive = 0;
  return {
    success() {
      consecutive = 0;
    },
    failure() {
      consecutive += 1;
      return consecutive >= count;
    },
    reset() {
      consecutive = 0;
    },
  };
}

export interface SuccessRateTerms {
  /** The rule trips below this share of successes. */
  readonly minRatio: number;
  /** With fewer outcomes in the window the rule does not trip. */
  readonly minCalls: number;
}

const WINDOW_MS = 10_000;
const SLICES = 10;

/**
 * Trips on the share of successes over 10 s. Failures are counted in ten slices with a running sum, so that a sample costs the same at any
 * rate.
 */
export function successRate(terms: SuccessRateTerms): TripRule {
  const sliceMs = WINDOW_MS / SLICES;
  const bad = new Float64Array(SLICES);
  let badSum = 0;
  let slice = 0;

  const place = (now: number): number => {
    const wanted = Math.floor(now / sliceMs);
    for (let passed = Math.max(slice + 1, wanted - SLICES + 1); passed <= wanted; passed += 1) {
      badSum -= bad[passed % SLICES] ?? 0;
      bad[passed % SLICES] = 0;
    }
    slice = Math.max(slice, wanted);
    return slice % SLICES;
  };

  return {
    success() {},
    failure(now, successes) {
      const at = place(now);
      bad[at] = (bad[at] ?? 0) + 1;
      badSum += 1;
      const calls = successes + badSum;
      return calls >= terms.minCalls && successes < terms.minRatio * calls;
    },
    reset() {
      bad.fill(0);
      badSum = 0;
    },
  };
}

/** 5 failures in a row, or under 80 % over 10 s with at least 10 calls: the rules of Finagle and Linkerd with our own thresholds. */
export function defaultTripRules(): readonly TripRule[] {
  return [consecutiveFailures(5), successRate({ minRatio: 0.8, minCalls: 10 })];
}
