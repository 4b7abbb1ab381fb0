/** How much one registry takes in. Whoever asks for more is refused with 429 and told what to do. */
export interface Limits {
  /** Instances in all, 1 … 1,000,000. */
  readonly maxInstances: number;
  /** Instances whose registrations came from one source address, 1 … 1,000,000. */
  readonly maxInstancesPerSource: number;
  /** Instances of one service, 1 … 1,000,000. */
  readonly maxInstancesPerService: number;
  /** Open change feeds in all, lines included, 1 … 1,000,000. */
  readonly maxWatchers: number;
  /** Open change feeds from one source address, 1 … 1,000,000. */
  readonly maxWatchersPerSource: number;
  /** Heartbeat-1 calls under way at the same time, 1 … 100,000: the others wait, and nobody is blamed for it. */
  readonly maxCalls: number;
}

/** One source, and one service, may have half of everything: no single one shuts the others out. */
export const DEFAULT_LIMITS: Limits = {
  maxInstances: 20_000,
  maxInstancesPerSource: 10_000,
  maxInstancesPerService: 10_000,
  maxWatchers: 25_000,
  maxWatchersPerSource: 12_500,
  maxCalls: 2_000,
};
