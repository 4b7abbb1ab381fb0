/** So many calls are begun in one turn of the event loop. */
const MOST_AT_ONCE = 32;
/**
 * While they are later than this, ms, this process has more to do than it can, and whoever comes in is to be heard first. A call of ours
 * may be late; a Heartbeat-2 that is not taken in times out at its sender, who tries again, which is more work.
 */
const LATE_MS = 100;
/** So many calls are begun in a turn then: a few, … */
const FEW_AT_ONCE = 4;
/** … but so many times as many as became due since the last turn, however long that took, or it would never catch up; … */
const CATCHING_UP = 1.5;
/** … and no more than this: each makes the turn longer, and Node takes in few of those who beat in a turn. More of them are less heard. */
const MOST_WHEN_LATE = 8;

/** Those of one kind that are to be called. */
export interface Crowd {
  /** How many calls are arranged. */
  readonly size: number;
  /** For how long the first has been due, ms; below 0: it is not. */
  readonly behindMs: number;
  /** Have they never proved themselves? Of them a few are begun at a time, late or not: while Node does that it takes in nobody who beats. */
  readonly areStrangers: boolean;
}

/** How many calls one turn of the event loop begins: by the time since the last one, for turns may be long. */
export class BatchSize {
  readonly #intervalMs: number;
  #turnedAt: number;

  /** `now`: monotonic ms. */
  constructor(intervalMs: number, now: number) {
    this.#intervalMs = intervalMs;
    this.#turnedAt = now;
  }

  /** A turn begins at `now`: gives how many it may begin of a kind. */
  turn(now: number): (crowd: Crowd) => number {
    const dueShare = (now - this.#turnedAt) / this.#intervalMs;
    this.#turnedAt = now;
    return ({ size, behindMs, areStrangers }) => {
      if (areStrangers) return FEW_AT_ONCE;
      if (behindMs <= LATE_MS) return MOST_AT_ONCE;
      return Math.min(MOST_WHEN_LATE, Math.max(FEW_AT_ONCE, Math.ceil(CATCHING_UP * size * dueShare)));
    };
  }
}
