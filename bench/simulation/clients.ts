import type { Instance, Protocol, ServiceFrame } from '@rollcall/core';
import { isRollcallError, parseOptions, silentLog } from '@rollcall/core';
import { callFields, createCalls, Catalog, HttpAnswer, LastValue } from '@rollcall/client/testing';
import type {
  CallApi,
  CallOptions,
  Channel,
  Exchange,
  GrpcMethod,
  GrpcRequest,
  HttpRequest,
  TcpRequest,
  Transport,
} from '@rollcall/client/testing';
import { CounterSums } from './callers.js';
import { PooledChannel, SharedChannel } from './channels.js';
import type { SimulatedChannel, ChannelParts } from './channels.js';
import { processId } from './host.js';
import { settlePromises } from './world.js';
import type {
  CatalogUpdate,
  CallResult,
  Listed,
  PlannedCall,
  WorldCaller,
  WorldClient,
  CallerContext,
} from './world.js';

const SERVICE = 'orders';
const NAMESPACE = 'default';
const EPOCH = 'simulated';
/** Host 0 listens on this port, the others on the following ones. */
export const FIRST_PORT = 1_000;
/** Size of the pool of HTTP connections, for both callers. */
export const POOL_SIZE = 128;

/** Creates the channel that uses connections as the protocol does. */
function createChannel(protocol: Protocol, parts: ChannelParts): SimulatedChannel {
  return protocol === 'http' ? new PooledChannel(parts, POOL_SIZE) : new SharedChannel(parts, protocol === 'grpc');
}

// ---- the calls of this package --------------------------------------------------------------------------------------

/** Makes the transports of a caller; default: models of this package’s transports. `turn`: see `WorldClient`. */
export interface TransportFactories {
  tcp?(context: CallerContext, options: CallOptions): Transport<TcpRequest>;
  http?(context: CallerContext, options: CallOptions): Transport<HttpRequest>;
  turn?(): Promise<void>;
}

/** The calls of this package over the protocol. */
export function rollcallClient(protocol: Protocol, transports: TransportFactories = {}): WorldClient {
  const turn = (): Promise<void> => transports.turn?.() ?? settlePromises();
  return { turn, caller: (context) => new RollcallCaller(protocol, context, transports) };
}

class RollcallCaller implements WorldCaller {
  readonly #protocol: Protocol;
  readonly #calls: CallApi;

  constructor(protocol: Protocol, context: CallerContext, factories: TransportFactories) {
    const { loop: time, random, world } = context;
    this.#protocol = protocol;
    const catalog = new Catalog({ time, log: silentLog, onServiceRequested() {}, isEjected: () => false });
    const options = parseOptions(callFields, world.options ?? {});
    this.#calls = createCalls({
      time,
      random,
      meter: new CounterSums(),
      log: silentLog,
      services: catalog,
      options,
      transports: {
        tcp:
          factories.tcp?.(context, options) ??
          createTransport<TcpRequest>('tcp', { context, options, callOf: ({ dataJson }) => Number(dataJson) }),
        http:
          factories.http?.(context, options) ??
          createTransport<HttpRequest>('http', { context, options, callOf: ({ body }) => Number(body) }),
        grpc: createTransport<GrpcRequest>('grpc', { context, options, callOf: ({ message }) => Number(message) }),
      },
      suspect() {},
    });
    catalog.service(SERVICE);
    updateCatalog(catalog, context);
  }

  ready(): Promise<void> {
    return this.#calls.prepare();
  }

  call(planned: PlannedCall, ended: (ending: CallResult) => void): void {
    this.#begin(planned).then(
      (answer) => ended(resultOfAnswer(answer)),
      (error: unknown) => ended(resultOfError(error)),
    );
  }

  close(): Promise<void> {
    return this.#calls.close();
  }

  #begin({ number, load }: PlannedCall): Promise<unknown> {
    const { method, deadlineMs, isIdempotent: idempotent } = load;
    const callOptions = { deadlineMs, idempotent };
    if (this.#protocol === 'tcp') return this.#calls.call(SERVICE, method, number, callOptions);
    if (this.#protocol === 'grpc') return this.#calls.grpc(SERVICE, grpcMethod(method), number, callOptions);
    const request: HttpRequest = { method: 'POST', path: `/${method}`, headers: [], body: String(number) };
    return new Promise((resolve, reject) => {
      this.#calls.request(SERVICE, request, new LastValue(resolve, reject), callOptions);
    });
  }
}

/** Every status is a response; an error status is not a success. */
function resultOfAnswer(answer: unknown): CallResult {
  const status = answer instanceof HttpAnswer ? answer.head.status : 200;
  return { code: status < 400 ? 'success' : `STATUS ${status}`, attempts: [] };
}

function resultOfError(error: unknown): CallResult {
  if (!isRollcallError(error)) return { code: String(error), attempts: [] };
  return { code: error.code, attempts: error.attempts.map(({ outcome }) => outcome) };
}

function grpcMethod(name: string): GrpcMethod<number> {
  return {
    path: `/shop.Orders/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: () => new Uint8Array(),
    responseDeserialize: () => null,
  };
}

interface TransportParts<Wanted> {
  readonly context: CallerContext;
  readonly options: CallOptions;
  callOf(request: Wanted): number;
}

function createTransport<Wanted>(protocol: Protocol, parts: TransportParts<Wanted>): Transport<Wanted> {
  const { network, loop, hosts } = parts.context;
  const { connectTimeoutMs } = parts.options[protocol];
  const ways: SimulatedChannel[] = [];
  return {
    protocol,
    connectTimeoutMs,
    prepare: () => null,
    channel({ instance, endpoint }): Channel<Wanted> {
      const host = hosts[endpoint.port - FIRST_PORT];
      if (host === undefined) throw new RangeError(`No host listens on port ${endpoint.port}.`);
      // a transport gets the requests of its own protocol
      const callOf = (request: unknown): number => parts.callOf(request as Wanted);
      const channel = createChannel(protocol, {
        network,
        loop,
        host,
        connectTimeoutMs,
        expectedId: instance.id,
        callOf,
      });
      ways.push(channel);
      return channel;
    },
    close() {
      for (const channel of ways) channel.close();
      return Promise.resolve();
    },
  };
}

// ---- what the registry reports --------------------------------------------------------------------------------------

/** Feeds the catalog of a caller with what the registry of the world reports, at the times of the world. */
function updateCatalog(catalog: Catalog, { world, loop, network }: CallerContext): void {
  world.catalog.forEach((update, place) => {
    const apply = (): void => {
      if (update.kind === 'lost') return catalog.lost([SERVICE]);
      catalog.apply(frameOf(world.catalog, place));
      catalog.confirm([SERVICE]);
    };
    if (update.atMs === 0) apply();
    else network.time.setTimer(update.atMs, () => loop.deliver(apply));
  });
}

function frameOf(updates: readonly CatalogUpdate[], place: number): ServiceFrame {
  const update = updates[place];
  const about = { namespace: NAMESPACE, service: SERVICE };
  if (update?.kind !== 'list') return { event: 'unknown', data: about };
  const instances = update.instances.map((listed) => instanceOf(listed, revisionOf(listed, updates, place)));
  return {
    event: 'reset',
    data: { ...about, epoch: EPOCH, revision: place + 1, part: 0, complete: true, instances, removed: [] },
  };
}

/** The revision of an entry: that of the first word since which it is reported without a change. */
function revisionOf(listed: Listed, updates: readonly CatalogUpdate[], place: number): number {
  let first = place;
  for (let at = place - 1; at >= 0; at -= 1) {
    const update = updates[at];
    if (update?.kind === 'lost') continue;
    const isListed = update?.kind === 'list' && update.instances.some((one) => isSame(one, listed));
    if (!isListed) break;
    first = at;
  }
  return first + 1;
}

const isSame = (one: Listed, other: Listed): boolean =>
  one.host === other.host && one.deaths === other.deaths && one.state === other.state;

function instanceOf({ host, deaths, state }: Listed, revision: number): Instance {
  const endpoint = { host: '10.0.0.1', port: FIRST_PORT + host, tls: false };
  return {
    id: processId(host, deaths),
    service: SERVICE,
    namespace: NAMESPACE,
    endpoints: [
      { protocol: 'tcp', ...endpoint },
      { protocol: 'http', ...endpoint },
      { protocol: 'grpc', ...endpoint },
    ],
    version: '1.0.0',
    zone: '',
    weight: 100,
    metadata: {},
    state,
    reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
    since: 0,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 0,
    revision,
  };
}

// ---- without a library ----------------------------------------------------------------------------------------------

/**
 * The address that a bare caller uses: all in turn, or always the one that is `offset` places behind the caller's own
 * number.
 */
export type BareChoice = 'round-robin' | { readonly offset: number };

/**
 * Calls without this package: Nest’s ClientProxy, undici or grpc-js with a fixed list of addresses. Each opens its
 * connections when it first needs them, waits for them, opens them again after they broke, and does not retry. The only
 * limit is the deadline of the call.
 */
export function bareClient(protocol: Protocol, choice: BareChoice): WorldClient {
  return { turn: null, caller: (context) => new BareCaller(protocol, choice, context) };
}

class BareCaller implements WorldCaller {
  readonly #context: CallerContext;
  readonly #channels: readonly SimulatedChannel[];
  readonly #isFixed: boolean;
  #turn: number;

  constructor(protocol: Protocol, choice: BareChoice, context: CallerContext) {
    const { network, loop, hosts } = context;
    const terms = { network, loop, connectTimeoutMs: Infinity, expectedId: null, callOf: Number };
    this.#context = context;
    this.#channels = hosts.map((host) => createChannel(protocol, { ...terms, host }));
    this.#isFixed = choice !== 'round-robin';
    this.#turn = context.number + (choice === 'round-robin' ? 0 : choice.offset);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  call({ number, load }: PlannedCall, ended: (ending: CallResult) => void): void {
    const { loop } = this.#context;
    const end = (code: string, attempts: readonly string[] = []): void => {
      timer.cancel();
      ended({ code, attempts });
    };
    let exchange: Exchange | null = null;
    const timer = loop.setTimer(load.deadlineMs, () => {
      exchange?.cancel();
      end('DEADLINE_EXCEEDED');
    });
    const succeed = (): void => end('success');
    const sink = {
      next() {},
      last: succeed,
      complete: succeed,
      fail: ({ kind }: { kind: string }) => end(kind.toUpperCase(), [kind]),
    };
    const terms = { remainingMs: Infinity, attempt: 1 };
    exchange = this.#channels[this.#turn % this.#channels.length]?.send(number, terms, sink) ?? null;
    if (!this.#isFixed) this.#turn += 1;
  }

  close(): Promise<void> {
    for (const channel of this.#channels) channel.close();
    return Promise.resolve();
  }
}
