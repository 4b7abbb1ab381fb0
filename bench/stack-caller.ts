import { Rollcall } from '@rollcall/client';
import type {
  Answer,
  RegistryClient,
  RollcallOptions,
  RollcallPorts,
  Watch,
  WatchRequest,
  WatchSink,
} from '@rollcall/client';
import type { Channel, Exchange, Sink, Transport } from '@rollcall/client/testing';
import { reasonFor } from '@rollcall/core';
import type { Frame, Instance } from '@rollcall/core';
import { sampleInstance } from '@rollcall/core/testing';

/** A call that waits for an answer. */
export interface Waiter {
  last(value: unknown): void;
}

const ANSWER = { found: true };

/** Answers all requests of one turn of the event loop in the next one, as a socket does: the same for all candidates. */
export class Tick {
  #waiting: Waiter[] = [];
  #spare: Waiter[] = [];
  readonly #flush = (): void => {
    const due = this.#waiting;
    this.#waiting = this.#spare;
    for (const waiter of due) waiter.last(ANSWER);
    due.length = 0;
    this.#spare = due;
  };

  answer(waiter: Waiter): void {
    if (this.#waiting.push(waiter) === 1) setImmediate(this.#flush);
  }

  /** A call without any library. */
  readonly callBare = (): Promise<unknown> => new Promise((resolve) => this.answer({ last: resolve }));
}

const UNDER_WAY: Exchange = { openedAt: null, cancel() {} };

/** A transport whose instances answer with the next tick. */
export function tickTransport(protocol: 'tcp' | 'http', tick: Tick): Transport<unknown> {
  const answer = (sink: Sink): Exchange => {
    tick.answer(sink);
    return UNDER_WAY;
  };
  const channel: Channel<unknown> = {
    send: (_request, _terms, sink) => answer(sink),
    ping: (_terms, sink) => answer(sink),
    retire() {},
  };
  return { protocol, prepare: () => null, channel: () => channel, close: () => Promise.resolve() };
}

const EPOCH = '0192f3a0-0000-7000-8000-000000000001';
export const SERVICE = 'orders';

export function instance(n: number, fields: Partial<Instance> = {}): Instance {
  const host = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
  return sampleInstance({
    id: `${SERVICE}-0192f0e4-7aaa-7bbb-8ccc-${String(n).padStart(12, '0')}`,
    endpoints: [{ protocol: 'tcp', host, port: 3001, tls: false }],
    ...fields,
  });
}

/** A simulated registry of one service, controlled by the benchmark. */
export class FakeRegistryClient implements RegistryClient {
  readonly name = 'paper';
  readonly #instances: readonly Instance[];
  #sink: WatchSink | null = null;
  #revision = 1;

  constructor(instances: readonly Instance[]) {
    this.#instances = instances;
  }

  /** Publishes a change. */
  change(upsert: readonly Instance[], gone: readonly string[] = []): void {
    this.#revision += 1;
    const revision = this.#revision;
    const remove = gone.map((id) => ({ id, revision, reason: reasonFor('GOODBYE') }));
    const data = {
      namespace: 'default',
      service: SERVICE,
      upsert: upsert.map((one) => ({ ...one, revision })),
      remove,
    };
    this.#tell({ event: 'change', data });
  }

  watch(request: WatchRequest, sink: WatchSink): Watch {
    setImmediate(() => {
      this.#sink = sink;
      sink.opened();
      for (const service of request.services) this.#tell(this.#first(service));
    });
    return { close: () => sink.closed(null) };
  }

  register = neverAnswer;
  beat = neverAnswer;
  suspect = (): Answer<null> => Promise.resolve({ ok: true, value: null });
  drain = neverAnswer;
  leave = neverAnswer;
  releaseConnection(): void {}
  close(): Promise<void> {
    return Promise.resolve();
  }

  #first(service: string): Frame {
    if (service !== SERVICE) return { event: 'unknown', data: { namespace: 'default', service } };
    const whole = { part: 0, complete: true, instances: this.#instances, removed: [] };
    return { event: 'reset', data: { namespace: 'default', service, epoch: EPOCH, revision: 1, ...whole } };
  }

  #tell(frame: Frame): void {
    this.#sink?.frame(frame);
    this.#sink?.mark({ epoch: EPOCH, revision: this.#revision });
  }
}

const neverAnswer = (): Answer<never> => new Promise(() => undefined);

/**
 * A client that knows this many instances and has what it needs to call them, without a registry and without a network.
 */
export async function createClient(
  link: FakeRegistryClient,
  transports: NonNullable<RollcallPorts['transports']>,
  { options = {}, ports = {} }: { readonly options?: RollcallOptions; readonly ports?: RollcallPorts } = {},
): Promise<Rollcall> {
  const rollcall = new Rollcall(options, { ...ports, link, transports });
  await rollcall.ready(SERVICE);
  return rollcall;
}
