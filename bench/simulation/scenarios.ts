import type { Chance, Reply, Scenario } from './simulation.js';

/** A scenario and its parameters. */
export interface Play {
  readonly scenario: Scenario;
  /** The seconds in which the fault lasts. */
  readonly trouble: readonly [from: number, to: number];
  /** Call options that differ from the defaults. */
  readonly options: object;
  /** The timeout of a caller without a library, ms. */
  readonly bareTimeoutMs: number;
}

/** The sigma of the lognormal service times: p99 is 4.7 × the mean. */
const SIGMA = 0.8;
const MEAN_MS = 10;
const around = (chance: Chance, meanMs: number): Reply => ({ ms: chance.lognormal(meanMs, SIGMA) });
const fails: Reply = { ms: 1, failure: 'unavailable' };

/** Ten servers that handle 8 requests at once, 10 ms each: a capacity of 8,000 requests a second. Four clients. */
const TEN = { servers: 10, workers: 8, clients: 4 } as const;
const CAPACITY = 8_000;

/**
 * Linkerd’s *Beyond Round Robin* (2016): 11 servers that take 167 ms (p99 192), one of which takes 2 s for half of a
 * minute. A call counts if it ends within a second.
 */
export const BEYOND_ROUND_ROBIN: Play = {
  scenario: {
    servers: 11,
    workers: Infinity,
    clients: 1,
    perSecond: 1_000,
    seconds: 60,
    serve: (server, second, chance) => {
      if (server === 0 && second >= 15 && second < 45) return { ms: 2_000 };
      const tailMs = chance.unit() < 0.05 ? 30 * chance.unit() : 0;
      return { ms: Math.max(100, 167 + 5 * chance.normal() + tailMs) };
    },
  },
  trouble: [15, 45],
  options: {},
  bareTimeoutMs: 5_000,
};

/**
 * One of ten takes five times as long as the others for two thirds of the time, at 60 % load: it cannot serve its
 * tenth.
 */
export const ONE_SLOW: Play = {
  scenario: {
    ...TEN,
    perSecond: 0.6 * CAPACITY,
    seconds: 22.5,
    serve: (server, second, chance) => around(chance, server === 0 && isIn(second, 5, 20) ? 5 * MEAN_MS : MEAN_MS),
  },
  trouble: [5, 20],
  options: {},
  bareTimeoutMs: 500,
};

/** The same without a fault. */
export const NONE_SLOW: Play = {
  ...ONE_SLOW,
  scenario: { ...ONE_SLOW.scenario, serve: (_server, _second, chance) => around(chance, MEAN_MS) },
};

/** One of ten answers each request with an error after 1 ms for two thirds of the time, at 50 % load. */
export const ONE_FAILS_FAST: Play = {
  scenario: {
    ...TEN,
    perSecond: 0.5 * CAPACITY,
    seconds: 22.5,
    serve: (server, second, chance) => (server === 0 && isIn(second, 5, 20) ? fails : around(chance, MEAN_MS)),
  },
  trouble: [5, 20],
  options: {},
  bareTimeoutMs: 500,
};

/**
 * Six of ten do so, at 30 % load: the four others have 75 % of their capacity to serve. Five may be ejected; the
 * balancer keeps calls from the sixth, and retries repeat what it fails.
 */
export const SIX_OF_TEN_FAIL: Play = {
  scenario: {
    ...TEN,
    perSecond: 0.3 * CAPACITY,
    seconds: 22.5,
    serve: (server, second, chance) => (server < 6 && isIn(second, 5, 20) ? fails : around(chance, MEAN_MS)),
  },
  trouble: [5, 20],
  options: {},
  bareTimeoutMs: 500,
};

/**
 * All servers take 2.2 × as long for 5 s, at 70 % load: the capacity is then 65 % of the demand. Attempts time out
 * after 100 ms, calls after a second, and servers are not notified: they also process requests whose callers have given
 * up.
 */
export const OVERLOAD: Play = {
  scenario: {
    ...TEN,
    perSecond: 0.7 * CAPACITY,
    seconds: 20,
    serve: (_server, second, chance) => around(chance, isIn(second, 5, 10) ? 2.2 * MEAN_MS : MEAN_MS),
  },
  trouble: [5, 10],
  options: { attemptTimeoutMs: 100, deadlineMs: 1_000 },
  bareTimeoutMs: 100,
};

/** All servers fail. */
export const OUTAGE: Play = {
  scenario: { ...TEN, perSecond: 1_000, seconds: 20, serve: () => fails },
  trouble: [0, 20],
  options: {},
  bareTimeoutMs: 500,
};

/** One request in 200 fails on every server, at 70 % load: no server may be ejected for that. */
export const RANDOM_ERRORS: Play = {
  scenario: {
    ...TEN,
    perSecond: 0.7 * CAPACITY,
    seconds: 20,
    serve: (_server, _second, chance) => (chance.unit() < 0.005 ? fails : around(chance, MEAN_MS)),
  },
  trouble: [0, 20],
  options: {},
  bareTimeoutMs: 500,
};

/** One of three stops answering while its connections stay open. */
export const ONE_FROZEN: Play = {
  scenario: {
    servers: 3,
    workers: 8,
    clients: 1,
    perSecond: 250,
    seconds: 30,
    serve: (server, second, chance) => (server === 0 && second >= 6 ? null : { ms: chance.lognormal(5, 0.5) }),
  },
  trouble: [6, 30],
  options: {},
  bareTimeoutMs: 2_000,
};

function isIn(second: number, from: number, to: number): boolean {
  return second >= from && second < to;
}
