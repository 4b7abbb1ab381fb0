import { DeadlineHeap } from '../runtime/deadline-heap.js';
import type { DueGroup } from './batch-size.js';

/**
 * The scheduled calls, verified and unverified instances apart. Each turn begins some of both, verified first, so no
 * number of unverified instances delays the calls of verified ones.
 */
export class ProbeSchedule<Item> {
  readonly #verified = new DeadlineHeap<Item>();
  readonly #unverified = new DeadlineHeap<Item>();

  /** Due time of the next item, monotonic ms; Infinity if there is none. */
  get nextAt(): number {
    return Math.min(this.#verified.nextAt, this.#unverified.nextAt);
  }

  /** Due time of the next verified item; Infinity if there is none. */
  get verifiedAt(): number {
    return this.#verified.nextAt;
  }

  /** Due time of the next unverified item; Infinity if there is none. */
  get unverifiedAt(): number {
    return this.#unverified.nextAt;
  }

  put(at: number, item: Item, isUnverified: boolean): void {
    (isUnverified ? this.#unverified : this.#verified).put(at, item);
  }

  /**
   * Begins the items due at `now`, of each kind at most as many as `max` returns. An item for which `begin` returns
   * false does not count.
   */
  begin(now: number, max: (group: DueGroup) => number, begin: (item: Item, at: number) => boolean): void {
    for (const heap of [this.#verified, this.#unverified]) {
      const group = { size: heap.size, behindMs: now - heap.nextAt, areUnverified: heap === this.#unverified };
      beginDue(heap, { now, max: max(group) }, begin);
    }
  }
}

function beginDue<Item>(
  heap: DeadlineHeap<Item>,
  { now, max }: { readonly now: number; readonly max: number },
  begin: (item: Item, at: number) => boolean,
): void {
  for (let begun = 0; begun < max;) {
    const next = heap.take(now);
    if (next === null) return;
    if (begin(next.item, next.at)) begun += 1;
  }
}
