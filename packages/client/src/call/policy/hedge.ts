import type { LatencyProfile } from '../../balance/nodes/latency.js';
import { WheelTimer } from './timer-wheel.js';

/**
 * When a second attempt is made beside a slow first one: never, after the method's 95th percentile, or after this many
 * ms.
 */
export type HedgeAfter = 'never' | 'p95' | number;

/** The option `hedge`: `true` means after the p95. */
export type HedgeOption = boolean | { readonly afterMs?: number | undefined };

/** Timer resolution of hedges, ms. It is finer than for deadlines, since the p95 of a fast method is a few ms. */
export const HEDGE_TICK_MS = 1;
const SHORTEST_MS = 1;
const LONGEST_MS = 3_600_000;

export function hedgeAfter(option: HedgeOption): HedgeAfter {
  if (option === false) return 'never';
  return option === true || option.afterMs === undefined ? 'p95' : option.afterMs;
}

/** True for a valid value of the option `hedge`. */
export function isHedgeOption(received: unknown): received is HedgeOption {
  if (typeof received === 'boolean') return true;
  if (typeof received !== 'object' || received === null) return false;
  const { afterMs, ...unknown } = received as { readonly afterMs?: unknown };
  if (Object.keys(unknown).length > 0) return false;
  return afterMs === undefined || (typeof afterMs === 'number' && afterMs >= SHORTEST_MS && afterMs <= LONGEST_MS);
}

/**
 * Delay before the hedge, ms; Infinity: no hedge. With the p95 about one call in twenty is hedged, which is what
 * the hedge budget allows (Dean and Barroso, *The Tail at Scale*, 2013); there is no p95 from fewer than 20 calls.
 */
export function hedgeDelayMs(after: HedgeAfter, latency: LatencyProfile, now: number): number {
  if (after === 'never') return Infinity;
  if (after !== 'p95') return after;
  const p95Ms = latency.p95Ms(now);
  return p95Ms === null ? Infinity : Math.max(SHORTEST_MS, p95Ms);
}

/** A call that may be hedged. */
export interface Hedgeable {
  /** Called when the first attempt is slow. */
  hedge(now: number): void;
}

/** The second timer of a call that may be hedged, beside the timer for its deadline. Other calls have only one timer. */
export class HedgeTimer extends WheelTimer {
  readonly #call: Hedgeable;

  constructor(call: Hedgeable) {
    super();
    this.#call = call;
  }

  override ring(now: number): void {
    this.#call.hedge(now);
  }

  /** No-op: the timer of the call itself ends the call. */
  override stop(): void {}
}
