import { Agenda } from './agenda.js';

/** Of strangers, so many are begun at a time: while Node does that it takes in nobody who beats. */
const STRANGERS_AT_ONCE = 4;

/**
 * Two agendas: of those who have proved themselves once, and of strangers. Of both something is begun each time, the known first: however
 * many strangers come at once, nobody known waits behind them.
 */
export class Calendar<Item> {
  readonly #known = new Agenda<Item>();
  readonly #strangers = new Agenda<Item>();

  get size(): number {
    return this.#known.size + this.#strangers.size;
  }

  /** When the next item is due; Infinity when there is none. */
  get nextAt(): number {
    return Math.min(this.#known.nextAt, this.#strangers.nextAt);
  }

  put(at: number, item: Item, isStranger: boolean): void {
    (isStranger ? this.#strangers : this.#known).put(at, item);
  }

  /**
   * Begins what is due at `now`: of each kind so many as `most` says, which is told for how long the first has been due, ms. One for which
   * `begin` gives false is not counted.
   */
  begin(now: number, most: (behindMs: number) => number, begin: (item: Item, at: number) => boolean): void {
    const behindMs = now - this.nextAt;
    beginOf(this.#known, { now, most: most(now - this.#known.nextAt) }, begin);
    beginOf(this.#strangers, { now, most: Math.min(STRANGERS_AT_ONCE, most(behindMs)) }, begin);
  }
}

function beginOf<Item>(
  agenda: Agenda<Item>,
  { now, most }: { readonly now: number; readonly most: number },
  begin: (item: Item, at: number) => boolean,
): void {
  for (let begun = 0; begun < most;) {
    const next = agenda.take(now);
    if (next === null) return;
    if (begin(next.item, next.at)) begun += 1;
  }
}
