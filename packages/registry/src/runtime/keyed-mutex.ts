/** Serializes work per id; different ids run concurrently. */
export class KeyedMutex {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when it is its turn. Settles like it; an earlier failure does not prevent it. */
  async take<Value>(id: string, work: () => Promise<Value>): Promise<Value> {
    const before = this.#last.get(id);
    const turn = (async () => {
      await before?.catch(() => undefined);
      return work();
    })();
    this.#last.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(id) === turn) this.#last.delete(id);
    }
  }
}
