import { DeadlineHeap } from '../runtime/deadline-heap.js';
import type { Crowd } from './batch-size.js';

/**
 * Two agendas: of those who have proved themselves once, and of strangers. Of both something is begun each time, the known first: however
 * many strangers come at once, nobody known waits behind them.
 */
export class ProbeSchedule<Item> {
  readonly #known = new DeadlineHeap<Item>();
  readonly #strangers = new DeadlineHeap<Item>();

  /** When the next item is due; Infinity when there is none. */
  get nextAt(): number {
    return Math.min(this.#known.nextAt, this.#strangers.nextAt);
  }

  /** When the next of the known is due; Infinity when there is none. */
  get knownAt(): number {
    return this.#known.nextAt;
  }

  /** When the next stranger is due; Infinity when there is none. */
  get strangersAt(): number {
    return this.#strangers.nextAt;
  }

  put(at: number, item: Item, isStranger: boolean): void {
    (isStranger ? this.#strangers : this.#known).put(at, item);
  }

  /** Begins what is due at `now`: of each kind so many as `most` says. One for which `begin` gives false is not counted. */
  begin(now: number, most: (crowd: Crowd) => number, begin: (item: Item, at: number) => boolean): void {
    for (const agenda of [this.#known, this.#strangers]) {
      const crowd = { size: agenda.size, behindMs: now - agenda.nextAt, areStrangers: agenda === this.#strangers };
      beginOf(agenda, { now, most: most(crowd) }, begin);
    }
  }
}

function beginOf<Item>(
  agenda: DeadlineHeap<Item>,
  { now, most }: { readonly now: number; readonly most: number },
  begin: (item: Item, at: number) => boolean,
): void {
  for (let begun = 0; begun < most;) {
    const next = agenda.take(now);
    if (next === null) return;
    if (begin(next.item, next.at)) begun += 1;
  }
}
