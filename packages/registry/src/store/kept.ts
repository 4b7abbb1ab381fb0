import type { Contents, SavedPreservation, StoredInstance, StoredTombstone, Write } from './store.js';

/** What a store holds, in memory: the one place that knows what each write does. */
export class Kept {
  readonly #instances = new Map<string, StoredInstance>();
  readonly #tombstones = new Map<string, StoredTombstone>();
  #preservation: SavedPreservation | null = null;

  apply(write: Write): void {
    if ('put' in write) {
      this.#instances.set(write.put.record.id, write.put);
      this.#tombstones.delete(write.put.record.id);
    } else if ('bury' in write) {
      this.#instances.delete(write.bury.id);
      this.#tombstones.set(write.bury.id, write.bury);
    } else if ('forget' in write) {
      this.#tombstones.delete(write.forget);
    } else {
      this.#preservation = write.preserve;
    }
  }

  /** As of now: lists of their own, which later writes do not change. */
  contents(): Contents {
    const instances = [...this.#instances.values()];
    return { instances, tombstones: [...this.#tombstones.values()], preservation: this.#preservation };
  }
}
