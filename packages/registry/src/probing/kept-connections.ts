import type { Endpoint } from '@rollcall/core';
import type { KeptSlot } from './protocols/caller.js';

/**
 * Keeps the connections to one instance between its ordinary calls. Of each `freshEvery` calls the first opens them,
 * the others reuse them, and the last omits `keep`, so that the called side closes them and no TIME_WAIT stays here.
 */
export class KeptConnections {
  #targets: readonly Endpoint[] = [];
  #slots: readonly KeptSlot[] = [];
  #calls = 0;

  /**
   * The slots for the next call, in the order of `targets`, and whether the call says `keep`. New targets get new
   * slots.
   */
  slotsFor(
    targets: readonly Endpoint[],
    freshEvery: number,
  ): { readonly slots: readonly KeptSlot[]; readonly keep: boolean } {
    if (this.#targets !== targets) {
      this.close();
      this.#targets = targets;
      this.#slots = targets.map(() => ({ kept: null }));
    }
    const place = this.#calls % freshEvery;
    this.#calls += 1;
    return { slots: this.#slots, keep: place < freshEvery - 1 };
  }

  /** Closes the kept connections; the next call opens new ones. Idempotent. */
  close(): void {
    for (const slot of this.#slots) slot.kept?.close();
    this.#calls = 0;
  }
}
