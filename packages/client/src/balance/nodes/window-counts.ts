/** The length of a window, ms. Windows of one process start at whole multiples of it on its monotonic clock. */
export const EDGE_WINDOW_MS = 5_000;

/** A counter of a slot: attempts that ended (`CALLS`), or those of them that failed (`FAILURES`). */
export type Counted = 0 | 1;
export const CALLS = 0;
export const FAILURES = 1;

const CELLS = 2;

/**
 * How many attempts ended at each node of a balancer in this window and in the last whole one. To count is an addition in one array,
 * 8 bytes a node; when a window is over, the two arrays change places and one is cleared, which takes microseconds for thousands.
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

  /** The count of the last whole window. */
  last(slot: number, what: Counted, now: number): number {
    if (now >= this.#turnsAt) this.#turn(now);
    return this.#last[CELLS * slot + what] ?? 0;
  }

  /** The slot is another node's. */
  forget(slot: number): void {
    this.#current.fill(0, CELLS * slot, CELLS * (slot + 1));
    this.#last.fill(0, CELLS * slot, CELLS * (slot + 1));
  }

  /** Twice as many slots. */
  grow(): void {
    this.#current = doubleLength(this.#current);
    this.#last = doubleLength(this.#last);
  }

  /** Windows are those of `EdgeCounter`: whole multiples of their length. */
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
