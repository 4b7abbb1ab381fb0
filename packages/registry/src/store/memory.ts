import { RollcallError } from '@rollcall/core';
import type { Contents, Store, StoredInstance, StoredTombstone, Write } from './store.js';

/** Keeps everything for as long as the object lives: a registry that starts on the same one finds what the last one left. */
export class MemoryStore implements Store {
  readonly name = 'memory';
  readonly durable = false;
  readonly #instances = new Map<string, StoredInstance>();
  readonly #tombstones = new Map<string, StoredTombstone>();
  #isClosed = false;

  async load(): Promise<Contents> {
    this.#isClosed = false;
    return { instances: [...this.#instances.values()], tombstones: [...this.#tombstones.values()] };
  }

  async write(writes: readonly Write[]): Promise<void> {
    if (this.#isClosed) throw new RollcallError('CLOSED', 'The store is closed: nothing is kept any more.');
    for (const write of writes) this.#apply(write);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #apply(write: Write): void {
    if ('put' in write) {
      this.#instances.set(write.put.record.id, write.put);
      this.#tombstones.delete(write.put.record.id);
    } else if ('bury' in write) {
      this.#instances.delete(write.bury.id);
      this.#tombstones.set(write.bury.id, write.bury);
    } else {
      this.#tombstones.delete(write.forget);
    }
  }
}
