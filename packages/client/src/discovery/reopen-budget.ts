/** The number of reopenings in a burst; after it, one is allowed each `GAP_MS`. */
const BURST = 32;
const GAP_MS = 125;

/**
 * Limits how often streams are reopened for additional services. A registry serves each reopening in milliseconds, but
 * names may come from untrusted input at any rate: services that are requested between two reopenings share one.
 * (Generic cell rate algorithm, ITU-T I.371.)
 */
export class ReopenBudget {
  #full = -Infinity;

  /** How long to wait, in ms; 0 allows and counts a reopening now. */
  take(now: number): number {
    const begun = Math.max(this.#full, now);
    const waitMs = begun - now - (BURST - 1) * GAP_MS;
    if (waitMs > 0) return waitMs;
    this.#full = begun + GAP_MS;
    return 0;
  }
}
