import type { Contents, SavedPreservation, StoredInstance, StoredTombstone, Write } from './store.js';

/** The content of a store in memory: the only place that defines the effect of each write. */
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

  /** The current content, as copies that later writes do not change. */
  contents(): Contents {
    const instances = [...this.#instances.values()];
    return { instances, tombstones: [...this.#tombstones.values()], preservation: this.#preservation };
  }
}
