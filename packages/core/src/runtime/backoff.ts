import type { Random } from './random.js';

/** How long to wait before another try: `baseMs` × 2ⁿ, at most `capMs`. Both in ms, 0 < base ≤ cap. */
export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The longest wait before try `n` (n = 0 is the first that waits), without chance. */
export function ceilingMs(backoff: Backoff, n: number): number {
  return Math.min(backoff.capMs, backoff.baseMs * 2 ** n);
}

/**
 * Full jitter: uniform in 0 … ceiling. The least work for a server that many callers try again at the same time, so it is the
 * one for calls. From Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function fullJitterMs(backoff: Backoff, n: number, random: Random): number {
  return random.unit() * ceilingMs(backoff, n);
}

/**
 * Equal jitter: uniform in half … whole of the ceiling. For reconnects, which must never become a tight loop, and which have
 * nobody waiting for them. Same source.
 */
export function equalJitterMs(backoff: Backoff, n: number, random: Random): number {
  return (0.5 + random.unit() / 2) * ceilingMs(backoff, n);
}
