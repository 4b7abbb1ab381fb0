import type { Instance, Protocol, ServiceFrame } from '@rollcall/core';
import { isRollcallError, parseOptions, silentLog } from '@rollcall/core';
import { callFields, Calls, Catalog, HttpAnswer, LastValue } from '@rollcall/client/testing';
import type {
  CallOptions,
  Channel,
  Exchange,
  GrpcMethod,
  GrpcRequest,
  HttpRequest,
  TcpRequest,
  Transport,
} from '@rollcall/client/testing';
import { CountingMeter } from './callers.js';
import { PooledWay, SharedWay } from './channels.js';
import type { SimulatedWay, WayParts } from './channels.js';
import { processId } from './host.js';
import { settlePromises } from './world.js';
import type { CatalogEntry, Ending, Listed, PlannedCall, WorldCaller, WorldClient, WorldSite } from './world.js';

const SERVICE = 'orders';
const NAMESPACE = 'default';
const EPOCH = 'simulated';
/** Host 0 listens on this port, the others on the following ones. */
export const FIRST_PORT = 1_000;
/** Size of the pool of HTTP connections, for both callers. */
export const POOL_SIZE = 128;

/** Creates the channel that uses connections as the protocol does. */
function wayOf(protocol: Protocol, parts: WayParts): SimulatedWay {
  return protocol === 'http' ? new PooledWay(parts, POOL_SIZE) : new SharedWay(parts, protocol === 'grpc');
}

// ---- the calls of this package --------------------------------------------------------------------------------------

/** Makes the transports of a caller; default: models of this package’s transports. `turn`: see `WorldClient`. */
export interface TransportsOf {
  tcp?(site: WorldSite, options: CallOptions): Transport<TcpRequest>;
  http?(site: WorldSite, options: CallOptions): Transport<HttpRequest>;
  turn?(): Promise<void>;
}

/** The calls of this package over the protocol. */
export function rollcallClient(protocol: Protocol, transports: TransportsOf = {}): WorldClient {
  const turn = (): Promise<void> => transports.turn?.() ?? settlePromises();
  return { turn, caller: (site) => new RollcallCaller(protocol, site, transports) };
}

class RollcallCaller implements WorldCaller {
  readonly #protocol: Protocol;
  readonly #calls: Calls;

  constructor(protocol: Protocol, site: WorldSite, own: TransportsOf) {
    const { loop: time, random, world } = site;
    this.#protocol = protocol;
    const catalog = new Catalog({ time, log: silentLog, onServiceRequested() {}, isEjected: () => false });
    const options = parseOptions(callFields, world.options ?? {});
    this.#calls = new Calls({
      time,
      random,
      meter: new CountingMeter(),
      log: silentLog,
      services: catalog,
      options,
      transports: {
        tcp:
          own.tcp?.(site, options) ??
          transportOf<TcpRequest>('tcp', { site, options, callOf: ({ dataJson }) => Number(dataJson) }),
        http:
          own.http?.(site, options) ??
          transportOf<HttpRequest>('http', { site, options, callOf: ({ body }) => Number(body) }),
        grpc: transportOf<GrpcRequest>('grpc', { site, options, callOf: ({ message }) => Number(message) }),
      },
      suspect() {},
    });
    catalog.service(SERVICE);
    follow(catalog, site);
  }

  ready(): Promise<void> {
    return this.#calls.prepare();
  }

  call(planned: PlannedCall, ended: (ending: Ending) => void): void {
    this.#begin(planned).then(
      (answer) => ended(endingBy(answer)),
      (error: unknown) => ended(endingOf(error)),
    );
  }

  close(): Promise<void> {
    return this.#calls.close();
  }

  #begin({ number, load }: PlannedCall): Promise<unknown> {
    const { method, deadlineMs, isIdempotent: idempotent } = load;
    const options = { deadlineMs, idempotent };
    if (this.#protocol === 'tcp') return this.#calls.call(SERVICE, method, number, options);
    if (this.#protocol === 'grpc') return this.#calls.grpc(SERVICE, grpcMethod(method), number, options);
    const request: HttpRequest = { method: 'POST', path: `/${method}`, headers: [], body: String(number) };
    return new Promise((resolve, reject) => {
      this.#calls.request(SERVICE, request, new LastValue(resolve, reject), options);
    });
  }
}

/** Every status is a response; an error status is not a success. */
function endingBy(answer: unknown): Ending {
  const status = answer instanceof HttpAnswer ? answer.head.status : 200;
  return { code: status < 400 ? 'success' : `STATUS ${status}`, attempts: [] };
}

function endingOf(error: unknown): Ending {
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
  readonly site: WorldSite;
  readonly options: CallOptions;
  callOf(request: Wanted): number;
}

function transportOf<Wanted>(protocol: Protocol, parts: TransportParts<Wanted>): Transport<Wanted> {
  const { network, loop, hosts } = parts.site;
  const { connectTimeoutMs } = parts.options[protocol];
  const ways: SimulatedWay[] = [];
  return {
    protocol,
    connectTimeoutMs,
    prepare: () => null,
    channel({ instance, endpoint }): Channel<Wanted> {
      const host = hosts[endpoint.port - FIRST_PORT];
      if (host === undefined) throw new RangeError(`No host listens on port ${endpoint.port}.`);
      // a transport gets the requests of its own protocol
      const callOf = (request: unknown): number => parts.callOf(request as Wanted);
      const way = wayOf(protocol, { network, loop, host, connectTimeoutMs, expectedId: instance.id, callOf });
      ways.push(way);
      return way;
    },
    close() {
      for (const way of ways) way.close();
      return Promise.resolve();
    },
  };
}

// ---- what the registry reports --------------------------------------------------------------------------------------

/** Feeds the catalog of a caller with what the registry of the world reports, at the times of the world. */
function follow(catalog: Catalog, { world, loop, network }: WorldSite): void {
  world.catalog.forEach((entry, place) => {
    const apply = (): void => {
      if (entry.kind === 'lost') return catalog.lost([SERVICE]);
      catalog.apply(frameOf(world.catalog, place));
      catalog.confirm([SERVICE]);
    };
    if (entry.atMs === 0) apply();
    else network.time.setTimer(entry.atMs, () => loop.deliver(apply));
  });
}

function frameOf(entries: readonly CatalogEntry[], place: number): ServiceFrame {
  const entry = entries[place];
  const about = { namespace: NAMESPACE, service: SERVICE };
  if (entry?.kind !== 'list') return { event: 'unknown', data: about };
  const instances = entry.instances.map((listed) => instanceOf(listed, revisionOf(listed, entries, place)));
  return {
    event: 'reset',
    data: { ...about, epoch: EPOCH, revision: place + 1, part: 0, complete: true, instances, removed: [] },
  };
}

/** The revision of an entry: that of the first report since which it is unchanged. */
function revisionOf(listed: Listed, entries: readonly CatalogEntry[], place: number): number {
  let first = place;
  for (let at = place - 1; at >= 0; at -= 1) {
    const entry = entries[at];
    if (entry?.kind === 'lost') continue;
    const isListed = entry?.kind === 'list' && entry.instances.some((one) => isSame(one, listed));
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
  return { turn: null, caller: (site) => new BareCaller(protocol, choice, site) };
}

class BareCaller implements WorldCaller {
  readonly #site: WorldSite;
  readonly #ways: readonly SimulatedWay[];
  readonly #isFixed: boolean;
  #turn: number;

  constructor(protocol: Protocol, choice: BareChoice, site: WorldSite) {
    const { network, loop, hosts } = site;
    const terms = { network, loop, connectTimeoutMs: Infinity, expectedId: null, callOf: Number };
    this.#site = site;
    this.#ways = hosts.map((host) => wayOf(protocol, { ...terms, host }));
    this.#isFixed = choice !== 'round-robin';
    this.#turn = site.number + (choice === 'round-robin' ? 0 : choice.offset);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  call({ number, load }: PlannedCall, ended: (ending: Ending) => void): void {
    const { loop } = this.#site;
    const end = (code: string, attempts: readonly string[] = []): void => {
      timer.cancel();
      ended({ code, attempts });
    };
    let exchange: Exchange | null = null;
    const timer = loop.setTimer(load.deadlineMs, () => {
      exchange?.cancel();
      end('DEADLINE_EXCEEDED');
    });
    const good = (): void => end('success');
    const sink = {
      next() {},
      last: good,
      complete: good,
      fail: ({ kind }: { kind: string }) => end(kind.toUpperCase(), [kind]),
    };
    const terms = { remainingMs: Infinity, attempt: 1 };
    exchange = this.#ways[this.#turn % this.#ways.length]?.send(number, terms, sink) ?? null;
    if (!this.#isFixed) this.#turn += 1;
  }

  close(): Promise<void> {
    for (const way of this.#ways) way.close();
    return Promise.resolve();
  }
}
