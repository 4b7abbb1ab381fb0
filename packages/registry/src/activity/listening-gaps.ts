import type { NotListening } from '@rollcall/core';
/**
 * Spans in which this registry could not listen (paused, blocked, overloaded): no heartbeat counts as missed in them.
 */

/** Monotonic ms. */
export interface ListeningGap {
  readonly fromMs: number;
  readonly toMs: number;
}

/** As long as heartbeats are kept. */
const KEPT_MS = 300_000;
const MAX_KEPT = 128;
/**
 * Fraction of the heartbeat interval. A shorter span cannot make a heartbeat missing. If less time lies between two
 * spans, no heartbeat gets through.
 */
const MIN_INTERVALS = 0.25;

/**
 * The newest 128 spans of the last five minutes, in memory. Spans shorter than a quarter of an interval are left out.
 */
export class ListeningGaps {
  #gaps: readonly ListeningGap[] = [];

  /** Spans come in the order in which they ended. */
  add(gap: ListeningGap, intervalMs: number): void {
    const leastMs = intervalMs * MIN_INTERVALS;
    if (gap.toMs - gap.fromMs < leastMs) return;
    const last = this.#gaps.at(-1);
    const isNext = last !== undefined && gap.fromMs - last.toMs < leastMs;
    const older = isNext ? this.#gaps.slice(0, -1) : this.#gaps;
    const joined = isNext ? { fromMs: last.fromMs, toMs: gap.toMs } : gap;
    this.#gaps = [...older.filter(({ toMs }) => gap.toMs - toMs <= KEPT_MS), joined].slice(-MAX_KEPT);
  }

  /** Oldest first. */
  read(now: number): readonly NotListening[] {
    return this.#gaps
      .filter(({ toMs }) => now - toMs <= KEPT_MS)
      .map(({ fromMs, toMs }) => ({ fromAgoMs: Math.round(now - fromMs), toAgoMs: Math.round(now - toMs) }));
  }
}
