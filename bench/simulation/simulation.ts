import type { Random, Time } from '@rollcall/core';
import type { Channel, Exchange, FailureKind, Sink, Terms } from '@rollcall/client/testing';

/** A clock that is moved by hand (`ManualTime` of @rollcall/core/testing). */
export interface SimulatedTime extends Time {
  advance(ms: number): void;
}

/**
 * The result of a request that a server has started: a response or a failure after `ms`; null: there is never a
 * response.
 */
export type Reply = { readonly ms: number; readonly failure?: FailureKind } | null;

/**
 * Servers with queues, clients that know all of them, and an open loop of calls: a call never waits for another to end.
 */
export interface Scenario {
  readonly servers: number;
  /** Requests that a server handles at once; the others queue in order. Infinity: nothing queues. */
  readonly workers: number;
  /** Calling processes, each with its own statistics; a call is made by any of them. */
  readonly clients: number;
  /** Calls of all clients together, in exponential gaps. */
  readonly perSecond: number;
  readonly seconds: number;
  /** `second`: since the start of the run. */
  serve(server: number, second: number, distributions: Distributions): Reply;
}

/** Makes the calls of one client. */
export interface Caller {
  /** `ended` is called once; `at` is the time of the response, or Infinity for a call that failed. */
  call(ended: (at: number) => void): void;
  close(): Promise<void>;
  /** The number of ejections of instances. */
  readonly ejections: number;
}

/** The parameters with which a caller is created. */
export interface CallerParts {
  readonly time: Time;
  readonly random: Random;
  readonly channels: readonly Channel<unknown>[];
}

/** Creates a caller: one way to make calls. */
export type CallerFactory = (site: CallerParts) => Caller;

// ---- randomness -----------------------------------------------------------------------------------------------------

/** The distributions of service times. */
export class Distributions {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.#random.unit();
  }

  /** Normal with mean 0 and deviation 1 (Box and Muller, 1958). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.unit())) * Math.cos(2 * Math.PI * this.unit());
  }

  exponential(mean: number): number {
    return -Math.log(1 - this.unit()) * mean;
  }

  /** Lognormal, with `sigma` the deviation of the logarithm: the usual shape of service times. */
  lognormal(mean: number, sigma: number): number {
    return mean * Math.exp(sigma * this.normal() - (sigma * sigma) / 2);
  }
}

// ---- servers --------------------------------------------------------------------------------------------------------

/** A request at a server. A cancelled one is processed all the same, unless the deadline of its caller has passed. */
class Job implements Exchange {
  readonly openedAt = null;
  readonly expiresAt: number;
  readonly #sink: Sink;
  #isWanted = true;

  constructor(sink: Sink, expiresAt: number) {
    this.#sink = sink;
    this.expiresAt = expiresAt;
  }

  cancel(): void {
    this.#isWanted = false;
  }

  end(failure: FailureKind | undefined, now: number): void {
    if (!this.#isWanted) return;
    if (failure === undefined) this.#sink.last(now);
    else this.#sink.fail({ kind: failure, cause: SCRIPTED });
  }
}

const SCRIPTED = new Error('scripted');
const PING_MS = 1;

/** One server: `workers` workers and one queue. */
class Server implements Channel<unknown> {
  attempts = 0;
  readonly #time: Time;
  readonly #workers: number;
  readonly #serve: () => Reply;
  readonly #queue: Job[] = [];
  #busy = 0;

  constructor(time: Time, workers: number, serve: () => Reply) {
    this.#time = time;
    this.#workers = workers;
    this.#serve = serve;
  }

  send(_request: unknown, terms: Terms, sink: Sink): Exchange {
    this.attempts += 1;
    const job = new Job(sink, this.#time.now() + terms.remainingMs);
    if (this.#busy < this.#workers) this.#start(job);
    else this.#queue.push(job);
    return job;
  }

  ping(_terms: Terms, sink: Sink): Exchange {
    const job = new Job(sink, Infinity);
    const reply = this.#serve();
    if (reply !== null) this.#time.setTimer(PING_MS, () => job.end(undefined, this.#time.now()));
    return job;
  }

  retire(): void {}

  #start(job: Job): void {
    this.#busy += 1;
    const reply = this.#serve();
    if (reply === null) return;
    this.#time.setTimer(reply.ms, () => {
      this.#busy -= 1;
      job.end(reply.failure, this.#time.now());
      this.#next();
    });
  }

  #next(): void {
    const now = this.#time.now();
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      if (job.expiresAt > now) return this.#start(job);
    }
  }
}

// ---- a run ----------------------------------------------------------------------------------------------------------

/** The results of the calls of one run, by the second of the run in which they began. */
export class Outcome {
  readonly attempts: number;
  readonly ejections: number;
  readonly #beganAt: Float64Array;
  readonly #ms: Float64Array;

  /** `ms`: the durations of the calls; Infinity for a call that failed. */
  constructor(beganAt: readonly number[], ms: readonly number[], counts: { attempts: number; ejections: number }) {
    this.attempts = counts.attempts;
    this.ejections = counts.ejections;
    this.#beganAt = Float64Array.from(beganAt);
    this.#ms = Float64Array.from(ms);
  }

  /** The number of calls made. */
  get made(): number {
    return this.#ms.length;
  }

  /** The share of the calls of that interval that succeeded within `within` ms. */
  successRatio(within = Number.MAX_VALUE, from = 0, to = Infinity): number {
    const took = this.#took(from, to);
    return took.filter((ms) => ms <= within).length / took.length;
  }

  /** The duration at that quantile, ms; Infinity if that call failed. */
  quantileMs(share: number, from = 0, to = Infinity): number {
    const took = this.#took(from, to).toSorted();
    return took[Math.min(took.length - 1, Math.floor(share * took.length))] ?? Number.NaN;
  }

  #took(from: number, to: number): Float64Array {
    const [begin, end] = [this.#placeOf(from), this.#placeOf(to)];
    return this.#ms.subarray(begin, end);
  }

  #placeOf(second: number): number {
    const place = this.#beganAt.findIndex((at) => at >= second * 1_000);
    return place < 0 ? this.#beganAt.length : place;
  }
}

/** The time limit for the last calls of a run. */
const LAST_CALLS_MS = 10_000;
/** Calls between two turns of the microtask queue. */
const BATCH = 500;

/** Runs a scenario as discrete events, without waiting: the same run for the same random numbers. */
export async function simulate(
  scenario: Scenario,
  contestant: CallerFactory,
  { time, random }: { readonly time: SimulatedTime; readonly random: Random },
): Promise<Outcome> {
  const distributions = new Distributions(random);
  const startMs = time.now();
  const servers = Array.from({ length: scenario.servers }, (_, index) => {
    const serve = (): Reply => scenario.serve(index, (time.now() - startMs) / 1_000, distributions);
    return new Server(time, scenario.workers, serve);
  });
  const site: CallerParts = { time, random, channels: servers };
  const callers = Array.from({ length: scenario.clients }, () => contestant(site));
  const beganAt: number[] = [];
  const took: number[] = [];
  const endMs = scenario.seconds * 1_000;
  for (let at = distributions.exponential(1_000 / scenario.perSecond); at < endMs;) {
    time.advance(startMs + at - time.now());
    const beganMs = time.now();
    const place = beganAt.push(at) - 1;
    took.push(Infinity);
    callers[Math.floor(distributions.unit() * callers.length)]?.call((endedMs) => (took[place] = endedMs - beganMs));
    if (place % BATCH === 0) await Promise.resolve();
    at += distributions.exponential(1_000 / scenario.perSecond);
  }
  time.advance(LAST_CALLS_MS);
  const attempts = servers.reduce((sum, server) => sum + server.attempts, 0);
  await Promise.all(callers.map((caller) => caller.close()));
  const ejections = callers.reduce((sum, caller) => sum + caller.ejections, 0);
  return new Outcome(beganAt, took, { attempts, ejections });
}
