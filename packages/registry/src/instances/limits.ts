/** The limits of a registry. A request beyond one is refused with 429 and a fix. */
export interface Limits {
  /** Instances in all, 1 … 1,000,000. */
  readonly maxInstances: number;
  /**
   * Instances first registered from one source, 1 … 1,000,000; also the number of new ones (at least 100) that it may
   * register a minute.
   */
  readonly maxInstancesPerSource: number;
  /** Instances of one service, 1 … 1,000,000. */
  readonly maxInstancesPerService: number;
  /**
   * Instances that one access token (or certificate) holds, 1 … 1,000,000. Without effect if tokens are not required.
   */
  readonly maxInstancesPerToken: number;
  /** Registrations with one access token, of known instances too, at once and again a minute: 1 … 1,000,000. */
  readonly maxRegistrationsPerToken: number;
  /** Open change feeds and long polls in all, 1 … 1,000,000. The lines of instances are not counted. */
  readonly maxWatchers: number;
  /** Open change feeds and long polls from one source, 1 … 1,000,000, without lines. */
  readonly maxWatchersPerSource: number;
  /** Concurrent Heartbeat-1 calls, 1 … 100,000: further calls wait, which does not count against their instances. */
  readonly maxCalls: number;
}

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
   * host, concurrent name lookups, and their duration (`most`: in ms, `whose`: the name).
   */
  readonly limit: Exclude<keyof Limits, 'maxCalls'> | 'newcomers' | 'address' | 'host' | 'lookups' | 'lookupTime';
  /** The maximum, and the current number. */
  readonly most: number;
  readonly count: number;
  /** The source, service, token, address or host that has reached it; empty for the whole registry. */
  readonly whose: string;
  /** When a retry makes sense, in ms. */
  readonly retryAfterMs: number;
}
