import type { Endpoint } from '@rollcall/core';
import type { KeptSlot } from './protocols/caller.js';

/**
 * Where the connections to one instance wait between its ordinary calls. Of each `freshEvery` calls the first opens them, the
 * others come over them, and the last says no `keep`, so that the called side closes them: no TIME_WAIT stays here.
 */
export class KeptConnections {
  #targets: readonly Endpoint[] = [];
  #berths: readonly KeptSlot[] = [];
  #calls = 0;

  /** For the next call: its berths, in the order of `targets`, and whether it says `keep`. Another address: fresh ones. */
  moor(
    targets: readonly Endpoint[],
    freshEvery: number,
  ): { readonly berths: readonly KeptSlot[]; readonly keep: boolean } {
    if (this.#targets !== targets) {
      this.close();
      this.#targets = targets;
      this.#berths = targets.map(() => ({ kept: null }));
    }
    const place = this.#calls % freshEvery;
    this.#calls += 1;
    return { berths: this.#berths, keep: place < freshEvery - 1 };
  }

  /** Ends what is kept; the next call opens fresh ones. May be called often. */
  close(): void {
    for (const berth of this.#berths) berth.kept?.close();
    this.#calls = 0;
  }
}
