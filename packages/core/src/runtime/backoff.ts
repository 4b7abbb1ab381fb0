import type { Random } from './random.js';

/** Exponential backoff before a retry: `baseMs` × 2ⁿ, at most `capMs`. Both in ms, 0 < base ≤ cap. */
export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The maximum wait before retry `n` in ms, without jitter; n = 0 is the first retry. */
export function ceilingMs(backoff: Backoff, n: number): number {
  return Math.min(backoff.capMs, backoff.baseMs * 2 ** n);
}

/**
 * Full jitter in ms: uniform in 0 … ceiling. Used for calls, because it causes the least work for a server that many
 * callers retry at the same time. Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function fullJitterMs(backoff: Backoff, n: number, random: Random): number {
  return random.unit() * ceilingMs(backoff, n);
}

/**
 * Equal jitter in ms: uniform in half … whole of the ceiling. Used for reconnects, which must never become a tight loop
 * and which no caller waits for. Same source.
 */
export function equalJitterMs(backoff: Backoff, n: number, random: Random): number {
  return (0.5 + random.unit() / 2) * ceilingMs(backoff, n);
}
