import { MOST_EDGES } from '@rollcall/core';
import type { Edge } from '@rollcall/core';
import type { EdgeStats } from './edges.js';

/**
 * What our heartbeats tell of the services we call: each window of each service once, the busiest 64 services of a moment, numbers
 * rounded to what somebody can see.
 */
export class EdgeNews {
  readonly #stats: () => readonly EdgeStats[];
  /** The window of each service that was told last. */
  #told = new Map<string, number>();

  constructor(stats: () => readonly EdgeStats[]) {
    this.#stats = stats;
  }

  /** What has not been told yet; empty when there is nothing. */
  take(): readonly Edge[] {
    const stats = this.#stats();
    if (stats.length === 0) return [];
    const news = stats.filter(({ service, window }) => this.#told.get(service) !== window);
    // who is not called any more is forgotten
    this.#told = new Map(stats.map(({ service, window }) => [service, window]));
    return news
      .toSorted((one, other) => other.calls - one.calls)
      .slice(0, MOST_EDGES)
      .map(edgeOf);
  }
}

function edgeOf({ service, windowMs, calls, failures, retries, p50Ms, p99Ms, inFlight }: EdgeStats): Edge {
  return { service, windowMs, calls, failures, retries, p50Ms: rounded(p50Ms), p99Ms: rounded(p99Ms), inFlight };
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}
