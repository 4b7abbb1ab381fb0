import { RollcallError } from '@rollcall/core';
import { Kept } from './kept.js';
import type { Contents, Store, Write } from './store.js';

/**
 * A store in memory: its content lives as long as the object, so a registry that starts on the same one finds what the
 * last one stored.
 */
export class MemoryStore implements Store {
  readonly name = 'memory';
  readonly durable = false;
  readonly #kept = new Kept();
  #isClosed = false;

  async load(): Promise<Contents> {
    this.#isClosed = false;
    return this.#kept.contents();
  }

  async write(writes: readonly Write[]): Promise<void> {
    if (this.#isClosed) throw new RollcallError('CLOSED', 'The store is closed: nothing is kept any more.');
    for (const write of writes) this.#kept.apply(write);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}
