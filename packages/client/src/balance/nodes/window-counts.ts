/** The length of a window, ms. Windows of one process start at whole multiples of it on its monotonic clock. */
export const EDGE_WINDOW_MS = 5_000;

/** A counter of a slot: attempts that ended (`CALLS`), or those of them that failed (`FAILURES`). */
export type Counted = 0 | 1;
export const CALLS = 0;
export const FAILURES = 1;

const CELLS = 2;

/**
 * The number of attempts that ended at each node of a balancer, in the current window and in the last complete one. Counting is one
 * addition in an array with 8 bytes per node; when a window is over, the two arrays change places and one is cleared, which takes
 * microseconds for thousands.
 */
export class WindowCounts {
  #current: Uint32Array;
  #last: Uint32Array;
  #turnsAt = -Infinity;

  constructor(slots: number) {
    this.#current = new Uint32Array(CELLS * slots);
    this.#last = new Uint32Array(CELLS * slots);
  }

  count(slot: number, what: Counted, now: number): void {
    if (now >= this.#turnsAt) this.#turn(now);
    const at = CELLS * slot + what;
    this.#current[at] = (this.#current[at] ?? 0) + 1;
  }

  /** The count of the last complete window. */
  last(slot: number, what: Counted, now: number): number {
    if (now >= this.#turnsAt) this.#turn(now);
    return this.#last[CELLS * slot + what] ?? 0;
  }

  /** Resets the counts of a slot that another node gets. */
  forget(slot: number): void {
    this.#current.fill(0, CELLS * slot, CELLS * (slot + 1));
    this.#last.fill(0, CELLS * slot, CELLS * (slot + 1));
  }

  /** Doubles the number of slots. */
  grow(): void {
    this.#current = doubleLength(this.#current);
    this.#last = doubleLength(this.#last);
  }

  /** The windows are those of `EdgeCounter`: they start at multiples of their length. */
  #turn(now: number): void {
    const isNext = now < this.#turnsAt + EDGE_WINDOW_MS;
    [this.#current, this.#last] = [this.#last, this.#current];
    if (!isNext) this.#last.fill(0);
    this.#current.fill(0);
    this.#turnsAt = (Math.floor(now / EDGE_WINDOW_MS) + 1) * EDGE_WINDOW_MS;
  }
}

function doubleLength(cells: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * cells.length);
  larger.set(cells);
  return larger;
}
