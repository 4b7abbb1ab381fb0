/** Calls begun in one turn of the event loop while they are on time. */
const MAX_ON_TIME = 32;
/**
 * Beyond this delay, ms, this process is overloaded and serves incoming requests first. A call of ours may be late; a
 * Heartbeat-2 that is not read in time is retried by its sender, which is more work.
 */
const LATE_MS = 100;
/** Minimum number of calls begun in a turn then. */
const MIN_BATCH = 4;
/**
 * Catch-up factor: this many times the calls that became due since the last turn, however long that took, or it would
 * never catch up.
 */
const CATCH_UP_FACTOR = 1.5;
/**
 * Maximum number of calls begun in a turn then. Each makes the turn longer, and Node accepts few heartbeats per turn.
 */
const MAX_LATE = 8;

/** The scheduled calls of one kind: to verified or to unverified instances. */
export interface DueGroup {
  /** Number of scheduled calls. */
  readonly size: number;
  /** Delay of the first one, ms; below 0: it is not due yet. */
  readonly behindMs: number;
  /**
   * True for instances that never verified themselves. A few of their calls begin at a time, late or not, as Node reads
   * no heartbeats meanwhile.
   */
  readonly areUnverified: boolean;
}

/**
 * Decides how many calls one turn of the event loop begins, from the time since the last turn, as turns may be long.
 */
export class BatchSize {
  readonly #intervalMs: number;
  #turnedAt: number;

  /** `now`: monotonic ms. */
  constructor(intervalMs: number, now: number) {
    this.#intervalMs = intervalMs;
    this.#turnedAt = now;
  }

  /** Starts a turn at `now`. Returns how many calls of a kind it may begin. */
  turn(now: number): (group: DueGroup) => number {
    const dueShare = (now - this.#turnedAt) / this.#intervalMs;
    this.#turnedAt = now;
    return ({ size, behindMs, areUnverified }) => {
      if (areUnverified) return MIN_BATCH;
      if (behindMs <= LATE_MS) return MAX_ON_TIME;
      return Math.min(MAX_LATE, Math.max(MIN_BATCH, Math.ceil(CATCH_UP_FACTOR * size * dueShare)));
    };
  }
}
