import type { EdgeTarget } from '@rollcall/core';
import { bucketOf, LatencyProfile } from '../balance/nodes/latency.js';
import { EDGE_WINDOW_MS } from '../balance/nodes/window-counts.js';

/**
 * The statistics of one called service in this process: the edge from this service to the called one. The counts cover the last complete
 * window of 5 s over all protocols. A service is left out if it was not called in that window, has no call under way, and all its circuits
 * are closed.
 */
export interface EdgeStats {
  readonly service: string;
  /** The number of the window, 0 before the first; it increases. The same number means the same counts, which need not be sent again. */
  readonly window: number;
  readonly windowMs: number;
  /** Calls that ended in the window; several attempts of one call count once. */
  readonly calls: number;
  /** Calls of these that ended with an error other than the handler's (REMOTE) or the caller's cancel (CANCELLED). */
  readonly failures: number;
  /** Attempts after the first, without hedges: a hedge follows no failure, and would make a healthy edge look bad. */
  readonly retries: number;
  /** Percentiles of the last 10 to 20 s, retries included: at most 19 % too high; null with fewer than 20 calls. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Calls currently under way. */
  readonly inFlight: number;
  /**
   * The instances that were called in the window and those whose circuit is currently not closed: attempts over all protocols. At most 200
   * instances, those with the worst circuit and the most failures first.
   */
  readonly targets: readonly EdgeTarget[];
}

/** Counts the calls to one service. A sample costs a few ns; no timer runs between samples. */
export class CallCounter {
  readonly #service: string;
  readonly #latency = new LatencyProfile();
  #turnsAt = -Infinity;
  #calls = 0;
  #failures = 0;
  #retries = 0;
  #lastCalls = 0;
  #lastFailures = 0;
  #lastRetries = 0;

  constructor(service: string) {
    this.#service = service;
  }

  /** Records the end of a call after `ms`. */
  ended(ms: number, isFailure: boolean, now: number): void {
    if (now >= this.#turnsAt) this.#turn(now);
    this.#calls += 1;
    if (isFailure) this.#failures += 1;
    this.#latency.record(bucketOf(ms), now);
  }

  /** Records an attempt after the first that is not a hedge. */
  retried(now: number): void {
    if (now >= this.#turnsAt) this.#turn(now);
    this.#retries += 1;
  }

  /** The last complete window; null if it has no call. */
  stats(inFlight: number, now: number, targets: readonly EdgeTarget[] = []): EdgeStats | null {
    if (now >= this.#turnsAt) this.#turn(now);
    const isIdle = this.#lastCalls === 0 && this.#lastRetries === 0 && inFlight === 0;
    if (isIdle && targets.every(({ circuit }) => circuit === 'closed')) return null;
    return {
      service: this.#service,
      window: Math.max(0, Math.floor(now / EDGE_WINDOW_MS)),
      windowMs: EDGE_WINDOW_MS,
      calls: this.#lastCalls,
      failures: this.#lastFailures,
      retries: this.#lastRetries,
      p50Ms: this.#latency.medianMs(now),
      p99Ms: this.#latency.p99Ms(now),
      inFlight,
      targets,
    };
  }

  #turn(now: number): void {
    const isNext = now < this.#turnsAt + EDGE_WINDOW_MS;
    this.#lastCalls = isNext ? this.#calls : 0;
    this.#lastFailures = isNext ? this.#failures : 0;
    this.#lastRetries = isNext ? this.#retries : 0;
    this.#calls = 0;
    this.#failures = 0;
    this.#retries = 0;
    this.#turnsAt = (Math.floor(now / EDGE_WINDOW_MS) + 1) * EDGE_WINDOW_MS;
  }
}
