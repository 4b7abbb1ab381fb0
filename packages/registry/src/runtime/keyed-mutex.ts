/** What is done about one id waits for what was begun about it before; ids do not wait for each other. */
export class KeyedMutex {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when it is its turn. Resolves and rejects as that does; another's failure is no reason not to run. */
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
