/** So many at once, and then one each `GAP_MS`. */
const BURST = 32;
const GAP_MS = 125;

/**
 * How often streams may be opened anew because a further service is asked for. A registry serves each reopening in milliseconds, but names
 * may come from strangers, at any rate: what is asked for between two reopenings goes into one. (Generic cell rate algorithm, ITU-T I.371.)
 */
export class ReopenBudget {
  #full = -Infinity;

  /** How long to wait, ms; 0: now, and then this one is counted. */
  take(now: number): number {
    const begun = Math.max(this.#full, now);
    const waitMs = begun - now - (BURST - 1) * GAP_MS;
    if (waitMs > 0) return waitMs;
    this.#full = begun + GAP_MS;
    return 0;
  }
}
