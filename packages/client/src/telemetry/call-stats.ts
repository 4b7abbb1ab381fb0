import type { EdgeTarget } from '@rollcall/core';
import { bucketOf, LatencyProfile } from '../balance/nodes/latency.js';
import { EDGE_WINDOW_MS } from '../balance/nodes/window-counts.js';

/**
 * The statistics of one called service in this process: the edge from it to there. The counts are of the last whole
 * window of 5 s, all protocols together; a service that was not called in it, has no call under way and no circuit that
 * is not closed, is left out.
 */
export interface EdgeStats {
  readonly service: string;
  /**
   * The number of the window, 0 for none yet: it grows, and the same number means the same counts, which need not be
   * sent again.
   */
  readonly window: number;
  readonly windowMs: number;
  /** Calls that ended in the window, however many attempts they took. */
  readonly calls: number;
  /**
   * Those of them that ended with an error that is neither the handler's (REMOTE) nor the caller's
   * (CANCELLED).
   */
  readonly failures: number;
  /**
   * Attempts after the first, without hedges: those follow no failure, and would make a healthy edge look like a bad one.
   */
  readonly retries: number;
  /** Percentiles of the last 10 to 20 s, retries included: at most 19 % too high; null with fewer than 20 calls. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Calls under way now. */
  readonly inFlight: number;
  /**
   * The instances that were called in the window and those whose circuit is not closed now: attempts, all protocols
   * together. At most
   * 200, worst first.
   */
  readonly targets: readonly EdgeTarget[];
}

/** Counts the calls to one service. A sample costs some ns; nothing runs between samples. */
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

  /** A call has ended after `ms`. */
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

  /** The last whole window; null if there was no call. */
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
