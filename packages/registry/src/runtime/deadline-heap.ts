interface Appointment<Item> {
  readonly at: number;
  readonly order: number;
  readonly item: Item;
}

/** A priority queue by time, then by order of arrival: a binary heap, so that one timer serves any number of items. */
export class DeadlineHeap<Item> {
  readonly #heap: Appointment<Item>[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Due time of the next item; Infinity if there is none. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  put(at: number, item: Item): void {
    const added = { at, order: this.#order, item };
    this.#order += 1;
    let index = this.#heap.push(added) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || isBefore(parent, added)) break;
      this.#heap[index] = parent;
      index = above;
    }
    this.#heap[index] = added;
  }

  /** Removes and returns the next item if it is due at `now`, else null. */
  take(now: number): { readonly at: number; readonly item: Item } | null {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return null;
    const last = this.#heap.pop();
    if (last !== undefined && last !== first) this.#sink(last);
    return first;
  }

  /** Puts `moved` at the top and sifts it down. */
  #sink(moved: Appointment<Item>): void {
    let index = 0;
    for (;;) {
      const left = this.#heap[2 * index + 1];
      if (left === undefined) break;
      const right = this.#heap[2 * index + 2];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (isBefore(moved, child)) break;
      this.#heap[index] = child;
      index = child === left ? 2 * index + 1 : 2 * index + 2;
    }
    this.#heap[index] = moved;
  }
}

const isBefore = (a: Appointment<unknown>, b: Appointment<unknown>): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order);
