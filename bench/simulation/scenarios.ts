import type { Distributions, Reply, Scenario } from './simulation.js';

/** A scenario and its parameters. */
export interface QualityCase {
  readonly scenario: Scenario;
  /** The seconds in which the fault lasts. */
  readonly faultSeconds: readonly [from: number, to: number];
  /** Call options that differ from the defaults. */
  readonly options: object;
  /** The timeout of a caller without a library, ms. */
  readonly bareTimeoutMs: number;
}

/** The sigma of the lognormal service times: p99 is 4.7 × the mean. */
const SIGMA = 0.8;
const MEAN_MS = 10;
const lognormalReply = (distributions: Distributions, meanMs: number): Reply => ({
  ms: distributions.lognormal(meanMs, SIGMA),
});
const FAILURE: Reply = { ms: 1, failure: 'unavailable' };

/** Ten servers that handle 8 requests at once, 10 ms each: a capacity of 8,000 requests a second. Four clients. */
const TEN_SERVERS = { servers: 10, workers: 8, clients: 4 } as const;
const CAPACITY = 8_000;

/**
 * Linkerd’s *Beyond Round Robin* (2016): 11 servers that take 167 ms (p99 192), one of which takes 2 s for half of a
 * minute. A call counts if it ends within a second.
 */
export const BEYOND_ROUND_ROBIN: QualityCase = {
  scenario: {
    servers: 11,
    workers: Infinity,
    clients: 1,
    perSecond: 1_000,
    seconds: 60,
    serve: (server, second, distributions) => {
      if (server === 0 && second >= 15 && second < 45) return { ms: 2_000 };
      const tailMs = distributions.unit() < 0.05 ? 30 * distributions.unit() : 0;
      return { ms: Math.max(100, 167 + 5 * distributions.normal() + tailMs) };
    },
  },
  faultSeconds: [15, 45],
  options: {},
  bareTimeoutMs: 5_000,
};

/**
 * One of ten takes five times as long as the others for two thirds of the time, at 60 % load: it cannot serve its
 * tenth.
 */
export const ONE_SLOW: QualityCase = {
  scenario: {
    ...TEN_SERVERS,
    perSecond: 0.6 * CAPACITY,
    seconds: 22.5,
    serve: (server, second, distributions) =>
      lognormalReply(distributions, server === 0 && isBetween(second, 5, 20) ? 5 * MEAN_MS : MEAN_MS),
  },
  faultSeconds: [5, 20],
  options: {},
  bareTimeoutMs: 500,
};

/** The same without a fault. */
export const NONE_SLOW: QualityCase = {
  ...ONE_SLOW,
  scenario: {
    ...ONE_SLOW.scenario,
    serve: (_server, _second, distributions) => lognormalReply(distributions, MEAN_MS),
  },
};

/** One of ten answers each request with an error after 1 ms for two thirds of the time, at 50 % load. */
export const ONE_FAILS_FAST: QualityCase = {
  scenario: {
    ...TEN_SERVERS,
    perSecond: 0.5 * CAPACITY,
    seconds: 22.5,
    serve: (server, second, distributions) =>
      server === 0 && isBetween(second, 5, 20) ? FAILURE : lognormalReply(distributions, MEAN_MS),
  },
  faultSeconds: [5, 20],
  options: {},
  bareTimeoutMs: 500,
};

/**
 * Six of ten do so, at 30 % load: the four others have 75 % of their capacity to serve. Five may be ejected; the
 * balancer keeps calls from the sixth, and retries repeat what it fails.
 */
export const SIX_OF_TEN_FAIL: QualityCase = {
  scenario: {
    ...TEN_SERVERS,
    perSecond: 0.3 * CAPACITY,
    seconds: 22.5,
    serve: (server, second, distributions) =>
      server < 6 && isBetween(second, 5, 20) ? FAILURE : lognormalReply(distributions, MEAN_MS),
  },
  faultSeconds: [5, 20],
  options: {},
  bareTimeoutMs: 500,
};

/**
 * All servers take 2.2 × as long for 5 s, at 70 % load: the capacity is then 65 % of the demand. Attempts time out
 * after 100 ms, calls after a second, and servers are not notified: they also process requests whose callers have given
 * up.
 */
export const OVERLOAD: QualityCase = {
  scenario: {
    ...TEN_SERVERS,
    perSecond: 0.7 * CAPACITY,
    seconds: 20,
    serve: (_server, second, distributions) =>
      lognormalReply(distributions, isBetween(second, 5, 10) ? 2.2 * MEAN_MS : MEAN_MS),
  },
  faultSeconds: [5, 10],
  options: { attemptTimeoutMs: 100, deadlineMs: 1_000 },
  bareTimeoutMs: 100,
};

/** All servers fail. */
export const OUTAGE: QualityCase = {
  scenario: { ...TEN_SERVERS, perSecond: 1_000, seconds: 20, serve: () => FAILURE },
  faultSeconds: [0, 20],
  options: {},
  bareTimeoutMs: 500,
};

/** One request in 200 fails on every server, at 70 % load: no server may be ejected for that. */
export const RANDOM_ERRORS: QualityCase = {
  scenario: {
    ...TEN_SERVERS,
    perSecond: 0.7 * CAPACITY,
    seconds: 20,
    serve: (_server, _second, distributions) =>
      distributions.unit() < 0.005 ? FAILURE : lognormalReply(distributions, MEAN_MS),
  },
  faultSeconds: [0, 20],
  options: {},
  bareTimeoutMs: 500,
};

/** One of three stops answering while its connections stay open. */
export const ONE_FROZEN: QualityCase = {
  scenario: {
    servers: 3,
    workers: 8,
    clients: 1,
    perSecond: 250,
    seconds: 30,
    serve: (server, second, distributions) =>
      server === 0 && second >= 6 ? null : { ms: distributions.lognormal(5, 0.5) },
  },
  faultSeconds: [6, 30],
  options: {},
  bareTimeoutMs: 2_000,
};

function isBetween(second: number, from: number, to: number): boolean {
  return second >= from && second < to;
}
