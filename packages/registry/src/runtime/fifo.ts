/** A first-in, first-out queue without moving items on each shift: consumed entries are cut off in batches. */
export class Fifo<Item> {
  #items: Item[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  first(): Item | undefined {
    return this.#items[this.#head];
  }

  /** Removes and returns the first item. */
  shift(): Item | undefined {
    const first = this.#items[this.#head];
    if (first === undefined) return undefined;
    this.#head += 1;
    if (this.#head < 1_024 && this.#head < this.#items.length) return first;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
    return first;
  }
}
