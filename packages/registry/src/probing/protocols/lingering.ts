/** A connection that lingers and can be cut. */
interface Lingerable {
  cut(): void;
}

/**
 * Connections whose call is over and whose peer has yet to close. A correct peer closes within a moment; connections
 * whose peer never does share `max` places, and one more cuts the oldest.
 */
export class Lingering {
  readonly #max: number;
  /** The oldest first. */
  readonly #connections = new Set<Lingerable>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Adds a connection, which may cut the oldest; a no-op if it is already here. */
  add(connection: Lingerable): void {
    this.#connections.add(connection);
    if (this.#connections.size <= this.#max) return;
    for (const oldest of this.#connections) {
      this.#connections.delete(oldest);
      oldest.cut();
      return;
    }
  }

  /** Removes a connection that has closed. */
  delete(connection: Lingerable): void {
    this.#connections.delete(connection);
  }
}
