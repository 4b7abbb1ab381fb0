import type { Limits } from '@rollcall/core';

export type { Limits } from '@rollcall/core';

/**
 * By default one source, one service and one token may use half of each limit, so that none of them shuts the others
 * out. A token may register all its instances twice a minute, so that a registry that restarted without its store is
 * full again at once.
 */
export const DEFAULT_LIMITS: Limits = {
  maxInstances: 20_000,
  maxInstancesPerSource: 10_000,
  maxInstancesPerService: 10_000,
  maxInstancesPerToken: 10_000,
  maxRegistrationsPerToken: 20_000,
  maxWatchers: 25_000,
  maxWatchersPerSource: 12_500,
  maxCalls: 2_000,
};

/** A limit that a request exceeds. */
export interface Excess {
  /**
   * An option of the registry, or a built-in rule: new instances of a source, instances at an address, endpoints on a
   * host, concurrent name lookups, and their duration (`max`: in ms, `subject`: the name).
   */
  readonly limit: Exclude<keyof Limits, 'maxCalls'> | 'newcomers' | 'address' | 'host' | 'lookups' | 'lookupTime';
  /** The maximum, and the current number. */
  readonly max: number;
  readonly count: number;
  /** The source, service, token, address or host that has reached it; empty for the whole registry. */
  readonly subject: string;
  /** Time until a retry makes sense, ms. */
  readonly retryAfterMs: number;
}
