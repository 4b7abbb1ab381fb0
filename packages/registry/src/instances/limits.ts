/** How much one registry takes in. Whoever asks for more is refused with 429 and told what to do. */
export interface Limits {
  /** Instances in all, 1 … 1,000,000. */
  readonly maxInstances: number;
  /** Instances that were first registered from one source, 1 … 1,000,000; also how many new ones (at least 100) it may register a minute. */
  readonly maxInstancesPerSource: number;
  /** Instances of one service, 1 … 1,000,000. */
  readonly maxInstancesPerService: number;
  /** Instances that one access token (or certificate) holds, 1 … 1,000,000. Without tokens it means nothing. */
  readonly maxInstancesPerToken: number;
  /** Registrations with one access token at once, and again as many a minute, known instances included: 1 … 1,000,000. */
  readonly maxRegistrationsPerToken: number;
  /** Open change feeds and long polls in all, 1 … 1,000,000. The lines of instances are not among them: nobody can take theirs. */
  readonly maxWatchers: number;
  /** Open change feeds and long polls from one source, 1 … 1,000,000; lines are not among them. */
  readonly maxWatchersPerSource: number;
  /** Heartbeat-1 calls under way at the same time, 1 … 100,000: the others wait, and nobody is blamed for it. */
  readonly maxCalls: number;
}

/**
 * One source, one service and one token may have half of everything: no single one shuts the others out. A token may bring all that it
 * holds twice a minute, so that a registry that was restarted without its store is full again at once.
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

/** A limit that stands in somebody's way. */
export interface Excess {
  /**
   * An option of the registry, or a rule of its own: new instances of a source, instances at an address, endpoints on a host, names
   * being looked up, and for how long (`most`: in ms, `whose`: the name).
   */
  readonly limit: Exclude<keyof Limits, 'maxCalls'> | 'newcomers' | 'address' | 'host' | 'lookups' | 'lookupTime';
  /** How many there may be, and how many there are. */
  readonly most: number;
  readonly count: number;
  /** The source, service, token, address or host that has so many; empty for the whole registry. */
  readonly whose: string;
  /** When it is worth another try. */
  readonly retryAfterMs: number;
}
