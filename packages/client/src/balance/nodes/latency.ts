/** Four buckets for each doubling, from 1/16 ms on: a quantile is at most 19 % too high. The last one contains all times above an hour. */
const BUCKETS = 104;
const PER_DOUBLING = 4;
const SMALLEST_MS = 1 / 16;
const GENERATION_MS = 10_000;
const FRESH_MS = 250;
/** Fewer samples are too few for a p99. */
const MIN_SAMPLES = 20;

/** The bucket of a round trip. Compute it once per sample; it is valid for any number of profiles. */
export function bucketOf(ms: number): number {
  if (!(ms > SMALLEST_MS)) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(Math.log2(ms / SMALLEST_MS) * PER_DOUBLING));
}

function upperBoundMs(bucket: number): number {
  return SMALLEST_MS * 2 ** (bucket / PER_DOUBLING);
}

/**
 * Round trips of the last 10 to 20 s as a histogram with logarithmic buckets: a few ns per sample, 1 KiB of memory, no sorting. Quantiles
 * are computed on demand, at most every 250 ms.
 */
export class LatencyProfile {
  #current = new Uint32Array(BUCKETS);
  #previous = new Uint32Array(BUCKETS);
  #count = 0;
  #previousCount = 0;
  #turnsAt = -Infinity;
  #freshUntil = -Infinity;
  #medianMs: number | null = null;
  #p95Ms: number | null = null;
  #p99Ms: number | null = null;

  /** `bucket` is the result of `bucketOf(ms)`. */
  record(bucket: number, now: number): void {
    if (now >= this.#turnsAt) this.#turn(now);
    this.#current[bucket] = (this.#current[bucket] ?? 0) + 1;
    this.#count += 1;
  }

  /** Null while there are fewer than 20 samples. */
  medianMs(now: number): number | null {
    if (now >= this.#freshUntil) this.#refresh(now);
    return this.#medianMs;
  }

  /** Null while there are fewer than 20 samples. */
  p95Ms(now: number): number | null {
    if (now >= this.#freshUntil) this.#refresh(now);
    return this.#p95Ms;
  }

  /** Null while there are fewer than 20 samples. */
  p99Ms(now: number): number | null {
    if (now >= this.#freshUntil) this.#refresh(now);
    return this.#p99Ms;
  }

  #turn(now: number): void {
    const isForgotten = now >= this.#turnsAt + GENERATION_MS;
    [this.#current, this.#previous] = [this.#previous, this.#current];
    this.#previousCount = isForgotten ? 0 : this.#count;
    if (isForgotten) this.#previous.fill(0);
    this.#current.fill(0);
    this.#count = 0;
    this.#turnsAt = now + GENERATION_MS;
  }

  #refresh(now: number): void {
    if (now >= this.#turnsAt) this.#turn(now);
    this.#freshUntil = now + FRESH_MS;
    const isEnough = this.#count + this.#previousCount >= MIN_SAMPLES;
    this.#medianMs = isEnough ? this.#quantile(0.5) : null;
    this.#p95Ms = isEnough ? this.#quantile(0.95) : null;
    this.#p99Ms = isEnough ? this.#quantile(0.99) : null;
  }

  #quantile(share: number): number {
    let left = share * (this.#count + this.#previousCount);
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      left -= (this.#current[bucket] ?? 0) + (this.#previous[bucket] ?? 0);
      if (left <= 0) return upperBoundMs(bucket);
    }
    return upperBoundMs(BUCKETS - 1);
  }
}
