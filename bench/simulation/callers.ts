import type { Counter, Instance, Meter } from '@rollcall/core';
import { parseOptions, silentLog } from '@rollcall/core';
import { callFields, createCalls } from '@rollcall/client/testing';
import type { Channel, OneCall, Transport } from '@rollcall/client/testing';
import type { Caller, CallerFactory, CallerParts } from './simulation.js';

const SERVICE = 'orders';
const METHOD = 'find';

/** The calls of this package. `options`: the client option `calls`; `callOptions`: the options of each call. */
export function rollcall(options: object = {}, callOptions: OneCall = { idempotent: true }): CallerFactory {
  return ({ time, random, channels }) => {
    const meter = new CounterSums();
    const view = {
      service: SERVICE,
      status: 'known',
      instances: channels.map((_, index) => instanceOf(index)),
      changedAt: 0,
      statusAt: 0,
      confirmedAt: 0,
      answers: 0,
      answeredAt: 0,
      isWatched: false,
      stale: false,
      onChange: () => () => undefined,
    } as const;
    const calls = createCalls({
      time,
      random,
      meter,
      log: silentLog,
      services: { service: () => view, settle: () => Promise.resolve(), names: () => [] },
      options: parseOptions(callFields, options),
      transports: { tcp: createTransport('tcp', channels), http: createTransport('http', channels) },
      suspect() {},
    });
    return {
      call: (ended) => {
        calls.call(SERVICE, METHOD, null, callOptions).then(
          (at) => ended(Number(at)),
          () => ended(Infinity),
        );
      },
      close: () => calls.close(),
      get ejections() {
        return meter.sumOf('rollcall_call_ejections_total');
      },
    };
  };
}

/** The attempts of a bare caller. */
export interface BareOptions {
  /** A response later than this is a failure, ms. */
  readonly timeoutMs: number;
  /** Attempts in total; after a failure the next server is tried at once. Default: 1. */
  readonly attempts?: number;
}

/** Plain round robin: a list of addresses and a counter. */
export function bareRoundRobin(attemptOptions: BareOptions): CallerFactory {
  return (parts) => {
    let turn = Math.floor(parts.random.unit() * parts.channels.length);
    return new Bare(parts, attemptOptions, () => (turn = (turn + 1) % parts.channels.length));
  };
}

/** The server with the fewest requests of this client in flight; a tie is broken at random. */
export function bareLeastLoaded(attemptOptions: BareOptions): CallerFactory {
  return (parts) =>
    new Bare(parts, attemptOptions, (inFlight) => {
      const start = Math.floor(parts.random.unit() * inFlight.length);
      let fewest = start;
      for (let i = 1; i < inFlight.length; i += 1) {
        const index = (start + i) % inFlight.length;
        if ((inFlight[index] ?? 0) < (inFlight[fewest] ?? 0)) fewest = index;
      }
      return fewest;
    });
}

/** A picker with a timeout and optional retries, without memory, breaker or retry budget. */
class Bare implements Caller {
  readonly ejections = 0;
  readonly #parts: CallerParts;
  readonly #options: Required<BareOptions>;
  readonly #pick: (inFlight: readonly number[]) => number;
  readonly #inFlight: number[];

  constructor(parts: CallerParts, attemptOptions: BareOptions, pick: (inFlight: readonly number[]) => number) {
    this.#parts = parts;
    this.#options = { attempts: 1, ...attemptOptions };
    this.#pick = pick;
    this.#inFlight = parts.channels.map(() => 0);
  }

  call(ended: (at: number) => void): void {
    this.#try(ended, 1);
  }

  async close(): Promise<void> {}

  #try(ended: (at: number) => void, attempt: number): void {
    const { time, channels } = this.#parts;
    const index = this.#pick(this.#inFlight);
    const count = (n: number): void => void (this.#inFlight[index] = (this.#inFlight[index] ?? 0) + n);
    const end = (isSuccess: boolean): void => {
      timer.cancel();
      count(-1);
      if (isSuccess) ended(time.now());
      else if (attempt < this.#options.attempts) this.#try(ended, attempt + 1);
      else ended(Infinity);
    };
    count(1);
    const sink = { next() {}, last: () => end(true), complete: () => end(true), fail: () => end(false) };
    const exchange = channels[index]?.send(null, { remainingMs: Infinity, attempt }, sink);
    const timer = time.setTimer(this.#options.timeoutMs, () => {
      exchange?.cancel();
      end(false);
    });
  }
}

function instanceOf(index: number): Instance {
  return {
    id: String(index),
    service: SERVICE,
    namespace: 'default',
    endpoints: [
      { protocol: 'tcp', host: '10.0.0.1', port: 1 + index, tls: false },
      { protocol: 'http', host: '10.0.0.1', port: 10_001 + index, tls: false },
    ],
    version: '1.0.0',
    zone: '',
    weight: 100,
    metadata: {},
    state: 'HEALTHY',
    reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
    since: 0,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 0,
    revision: 1,
  };
}

function createTransport(protocol: 'tcp' | 'http', channels: readonly Channel<unknown>[]): Transport<unknown> {
  return {
    protocol,
    prepare: () => null,
    channel({ instance }) {
      const channel = channels[Number(instance.id)];
      if (channel === undefined) throw new RangeError(`Unknown server: ${instance.id}.`);
      return channel;
    },
    close: () => Promise.resolve(),
  };
}

/** A meter that keeps the sum of each counter. */
export class CounterSums implements Meter {
  readonly #sums = new Map<string, number>();

  sumOf(name: string): number {
    return this.#sums.get(name) ?? 0;
  }

  counter(name: string): Counter<readonly string[]> {
    return { add: (n) => void this.#sums.set(name, this.sumOf(name) + n) };
  }

  gauge(): { set(): void; add(): void; forget(): void } {
    return { set() {}, add() {}, forget() {} };
  }

  histogram(): { record(): void } {
    return { record() {} };
  }
}
