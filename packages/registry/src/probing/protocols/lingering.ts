/** What lingers and can be cut short. */
interface Lingerer {
  cut(): void;
}

/**
 * Connections whose call is over, and whose peer has yet to close. With one that closes as it should this takes a moment; those that never
 * do have so many places, and no more: whoever comes when all are taken cuts the one that is here the longest.
 */
export class Lingering {
  readonly #most: number;
  /** The oldest first. */
  readonly #here = new Set<Lingerer>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#here.size;
  }

  /** Does nothing to one that is here. */
  add(one: Lingerer): void {
    this.#here.add(one);
    if (this.#here.size <= this.#most) return;
    for (const oldest of this.#here) {
      this.#here.delete(oldest);
      oldest.cut();
      return;
    }
  }

  /** It has closed. */
  delete(one: Lingerer): void {
    this.#here.delete(one);
  }
}
