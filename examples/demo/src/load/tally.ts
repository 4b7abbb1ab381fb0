/** The results of the calls. */
export interface Calls {
  /** Answered or failed, since the first one. */
  readonly calls: number;
  readonly failed: number;
  /** Of the last 10 s. */
  readonly perSecond: number;
  /** The 99th percentile of the last 10 s, to within 5 %, ms; null: there was no call. */
  readonly p99Ms: number | null;
  /** The error of the first failed call, verbatim; null: none failed. */
  readonly firstError: string | null;
}

const SLOT_MS = 1_000;
const SLOTS = 10;
/** Bounds of the buckets grow by 5 %, from 50 µs; the last one, above 80 s, is longer than any call may take. */
const LEAST_MS = 0.05;
const GROWTH = 1.05;
const BUCKETS = 294;

interface Slot {
  /** The second that it covers. */
  number: number;
  calls: number;
  readonly buckets: Uint32Array;
}

/** Counts calls and their durations, over the last seconds in a fixed number of buckets. Times: monotonic, ms. */
export class Tally {
  readonly #slots: readonly Slot[] = Array.from({ length: SLOTS }, () => ({
    number: -1,
    calls: 0,
    buckets: new Uint32Array(BUCKETS),
  }));
  #begunAt: number | null = null;
  #calls = 0;
  #failed = 0;
  #firstError: string | null = null;

  answered(now: number, tookMs: number): void {
    const { buckets } = this.#count(now);
    const bucket = bucketOf(tookMs);
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }

  failed(now: number, error: string): void {
    this.#count(now);
    this.#failed += 1;
    this.#firstError ??= error;
  }

  read(now: number): Calls {
    const newest = Math.floor(now / SLOT_MS);
    const recent = this.#slots.filter(({ number }) => number > newest - SLOTS);
    // the current second is not over, and the first one was not complete
    const since = Math.max(this.#begunAt ?? now, (newest - SLOTS + 1) * SLOT_MS);
    const calls = recent.reduce((sum, slot) => sum + slot.calls, 0);
    return {
      calls: this.#calls,
      failed: this.#failed,
      perSecond: (1_000 * calls) / Math.max(SLOT_MS, now - since),
      p99Ms: p99Of(recent),
      firstError: this.#firstError,
    };
  }

  #count(now: number): Slot {
    this.#begunAt ??= now;
    this.#calls += 1;
    const number = Math.floor(now / SLOT_MS);
    const slot = this.#slots[number % SLOTS];
    if (slot === undefined) throw new RangeError(`No slot for ${now}.`);
    if (slot.number !== number) {
      slot.number = number;
      slot.calls = 0;
      slot.buckets.fill(0);
    }
    slot.calls += 1;
    return slot;
  }
}

function bucketOf(tookMs: number): number {
  const bucket = Math.ceil(Math.log(Math.max(tookMs, LEAST_MS) / LEAST_MS) / Math.log(GROWTH));
  return Math.min(bucket, BUCKETS - 1);
}

/** The upper bound of the bucket that contains it. */
function p99Of(slots: readonly Slot[]): number | null {
  const sums = Array.from({ length: BUCKETS }, (_, bucket) =>
    slots.reduce((sum, { buckets }) => sum + (buckets[bucket] ?? 0), 0),
  );
  const total = sums.reduce((sum, count) => sum + count, 0);
  let left = Math.ceil(total * 0.99);
  for (const [bucket, count] of sums.entries()) {
    left -= count;
    if (left <= 0 && total > 0) return LEAST_MS * GROWTH ** bucket;
  }
  return null;
}
