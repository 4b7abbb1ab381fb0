/**
 * The first bucket ends here, ms; each further one ends 2^¼ times later, so that a reported value is at most a fifth
 * too high.
 */
const FIRST_MS = 0.25;
const PER_OCTAVE = 4;
const BUCKETS = 80;

/** A histogram of delays over the last one to two spans. It counts in buckets, so recording and reading are cheap. */
export class Lateness {
  readonly #spanMs: number;
  #counts = new Uint32Array(BUCKETS);
  #former = new Uint32Array(BUCKETS);
  #since: number;

  /** `spanMs`: length of a span; `now`: when recording begins, monotonic ms. */
  constructor(spanMs: number, now: number) {
    this.#spanMs = spanMs;
    this.#since = now;
  }

  record(ms: number, now: number): void {
    this.#turnOver(now);
    const bucket = ms <= FIRST_MS ? 0 : Math.ceil(Math.log2(ms / FIRST_MS) * PER_OCTAVE);
    const index = Math.min(BUCKETS - 1, bucket);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** The quantile `share` (0 … 1) in ms: that share of the delays was not longer. 0 if nothing was recorded. */
  quantile(share: number, now: number): number {
    this.#turnOver(now);
    const counts = this.#counts.map((count, index) => count + (this.#former[index] ?? 0));
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total === 0) return 0;
    let seen = 0;
    const index = counts.findIndex((count) => (seen += count) >= share * total);
    return FIRST_MS * 2 ** (index / PER_OCTAVE);
  }

  #turnOver(now: number): void {
    const spans = (now - this.#since) / this.#spanMs;
    if (spans < 1) return;
    const oldest = this.#former.fill(0);
    if (spans < 2) [this.#former, this.#counts] = [this.#counts, oldest];
    else this.#counts.fill(0);
    this.#since = now;
  }
}
