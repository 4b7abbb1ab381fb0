import { nonceOf, noMeter, RollcallError, silentLog, systemRandom, systemTime, uuidV7 } from '@rollcall/core';
import type {
  AnnouncedEndpoint,
  HeartbeatAnswer,
  Instance,
  InstanceId,
  Metadata,
  Methods,
  State,
  Suspicion,
  Time,
} from '@rollcall/core';
import { Calls } from './call/calls.js';
import type { OneCall, StreamObserver } from './call/calls.js';
import type { Explanation } from './call/explain.js';
import type { GrpcCall } from './call/grpc-call.js';
import { policyOf } from './call/policy/service-options.js';
import { Readiness } from './call/readiness.js';
import type { ReadyOptions } from './call/readiness.js';
import { NO_OPTIONS } from './call/resolved-options.js';
import { noCatalogError } from './call/service/call-error.js';
import { cacheOf } from './discovery/cache.js';
import type { Cache } from './discovery/cache.js';
import { Catalog } from './discovery/catalog.js';
import type { ServiceView } from './discovery/catalog.js';
import { Feed } from './discovery/feed.js';
import { staticService } from './discovery/static-service.js';
import type { StaticEndpoint } from './discovery/static-service.js';
import type { ExternalChannel } from './integrations/grpc-js/external-channel.js';
import type { GrpcResolverOptions } from './integrations/grpc-js/resolver-options.js';
import { registerGrpcResolver } from './integrations/grpc-js/resolver.js';
import { serviceDispatcher } from './integrations/undici/dispatcher.js';
import type { Dispatcher, DispatcherOptions } from './integrations/undici/dispatcher.js';
import { fetchByName } from './integrations/undici/fetch.js';
import type { FetchParts } from './integrations/undici/fetch.js';
import { parseClientOptions, registriesOf } from './options.js';
import type { ClientOptions, RollcallOptions } from './options.js';
import type { RollcallPorts } from './ports.js';
import { ServiceRegistration } from './registration/registration.js';
import { Contact, countContact } from './registry-client/connection-status.js';
import type { ContactStatus } from './registry-client/connection-status.js';
import { openLinks } from './registry-client/failover.js';
import { FailureReports } from './registry-client/failure-reports.js';
import type { RegistryClient } from './registry-client/registry-client.js';
import type { EdgeStats } from './telemetry/call-stats.js';
import type { CallerListener } from './telemetry/events.js';
import type { GrpcMethod } from './transport/grpc/message.js';
import type { MessageSource } from './transport/grpc/upload.js';
import type { TcpCodec } from './transport/tcp/codec.js';

/**
 * The client of one process: it registers the process and calls other services; the main class of this package. The constructor checks the
 * options and opens nothing; the first call, `start` or `register` does.
 */
export class Rollcall {
  /** This process, for the registry and in reports: its instance id if it has a service, else an id of its own. */
  readonly id: string;
  readonly #options: ClientOptions;
  readonly #link: RegistryClient;
  readonly #time: Time;
  readonly #contact: Contact;
  readonly #catalog: Catalog;
  readonly #cache: Cache | null;
  readonly #session: ServiceRegistration | null;
  readonly #feed: Feed;
  readonly #calls: Calls;
  readonly #readiness: Readiness;
  #isAnnounced = false;
  readonly #fetching: FetchParts = {
    call: (service, path, init, wishes) => this.#calls.fetch(service, path, init, wishes),
    instances: (service) => this.#catalog.service(service).instances,
    deadlineMs: (service) => policyOf(this.#options.calls, service).deadlineMs,
    now: () => this.#time.now(),
  };
  #closing: Promise<void> | null = null;

  /** Throws OPTION_INVALID. */
  constructor(options: RollcallOptions = {}, ports: RollcallPorts = {}) {
    const parsed = parseClientOptions(options);
    const { time = systemTime, random = systemRandom, meter = noMeter, log = silentLog } = ports;
    const urls = registriesOf(parsed.registry);
    const { registryOrder: order, token, registryTls: tls } = parsed;
    const link = ports.link ?? openLinks(urls, { order, token, tls, time, random, log });
    const contact = new Contact(log, link.name);
    const common = { time, random, log, link, contact };
    this.#options = parsed;
    this.#link = link;
    this.#time = time;
    this.#contact = contact;
    this.#session = sessionOf(parsed, {
      ...common,
      lineChanged: () => this.#feed.refresh(),
      edges: () => this.#calls.edges(),
    });
    this.id = this.#session?.id ?? `client-${uuidV7(random, time.wall())}`;
    this.#catalog = new Catalog({
      time,
      log,
      onServiceRequested: () => this.#feed.refresh(),
      isEjected: (id) => this.#calls.isEjected(id),
      changed: () => this.#cache?.changed(),
    });
    this.#cache = cacheOf(parsed, { time, log, registry: link.name, catalog: this.#catalog });
    contact.onMissing(() => this.#cache?.missing());
    this.#feed = new Feed({
      ...common,
      catalog: this.#catalog,
      namespace: parsed.namespace,
      line: this.#session,
      intervalMs: () => this.#session?.intervalMs ?? parsed.heartbeatIntervalMs,
    });
    const suspicions = new FailureReports({ time, log, link, contact, by: this.id });
    this.#calls = new Calls({
      time,
      random,
      meter,
      log,
      services: this.#catalog,
      options: parsed.calls,
      locality: {
        id: this.id,
        zone: parsed.zone,
        intervalMs: () => this.#session?.intervalMs ?? parsed.heartbeatIntervalMs,
      },
      ...(ports.transports === undefined ? {} : { transports: ports.transports }),
      ...(ports.inherited === undefined ? {} : { inherited: ports.inherited }),
      ...(ports.tracer === undefined ? {} : { tracer: ports.tracer }),
      suspect: (id, outcome) => this.#suspect(suspicions, id, outcome),
    });
    const isAnnounced = (): boolean => this.#isAnnounced;
    this.#readiness = new Readiness({ time, services: this.#catalog, options: parsed, contact, isAnnounced });
    if (ports.onCallerEvent !== undefined) this.#calls.onEvent(ports.onCallerEvent);
    countContact(contact, meter);
  }

  // ---- finding others ------------------------------------------------------------------------------------------------

  /** Opens the change feed for the services requested before and from now on. May be called twice. */
  start(): void {
    this.#cache?.start();
    this.#feed.start();
  }

  /** True if the registry answers. Calls continue without it. */
  get status(): ContactStatus {
    return this.#contact.status;
  }

  /** Called after each change of `status`, synchronously; it must not throw. Returns how to stop. */
  onStatus(listener: (status: ContactStatus) => void): () => void {
    return this.#contact.onChange(listener);
  }

  /** Our copy of one service, which is watched from now on (once `start`ed). */
  service(name: string): ServiceView {
    return this.#catalog.service(name);
  }

  /**
   * Makes a service of fixed addresses, for what runs without a registry: it is balanced, retried and ejected as any
   * other, and no registry is asked for it. Call it before the first call to the service. Throws OPTION_INVALID.
   */
  fix(service: string, endpoints: readonly StaticEndpoint[]): void {
    const { namespace } = this.#options;
    const [now, wall] = [this.#time.now(), this.#time.wall()];
    this.#catalog.fix(staticService(endpoints, { service, namespace, now, wall }));
  }

  /**
   * Calls over TCP to a service whose server has a serializer or a deserializer of its own use these. To be said before
   * the first call to it; it holds for every call of this process.
   */
  useTcpCodec(service: string, codec: TcpCodec): void {
    this.#calls.useTcpCodec(service, codec);
  }

  /**
   * All known instances of a service, in any state; empty when the registry knows no such service. Rejects with
   * NO_CATALOG if the registry has not answered for it in time, which does not mean that it has no instances.
   */
  async instances(name: string): Promise<readonly Instance[]> {
    return (await this.#settled(name, this.#options.calls.catalogWaitMs)).instances;
  }

  /** This process depends on the service: it is what `ready` waits for when no names are given. */
  dependOn(service: string): void {
    this.#readiness.dependOn(service);
  }

  /** Resolves when each of the services (default: those of `dependOn`) can be called; see `Readiness.wait`. */
  async ready(services?: string | readonly string[], options?: ReadyOptions): Promise<void> {
    if (this.#isClosed) throw closedError();
    this.start();
    await this.#readiness.wait(services, options);
  }

  /** See `Calls.call`. */
  call(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<unknown> {
    this.start();
    return this.#calls.call(service, pattern, data, options);
  }

  /** See `Calls.stream`. */
  // eslint-disable-next-line max-params -- the shape of a call, with an observer
  stream(
    service: string,
    pattern: unknown,
    data: unknown,
    observer: StreamObserver,
    options?: OneCall,
  ): { cancel(): void } {
    this.start();
    return this.#calls.stream(service, pattern, data, observer, options);
  }

  /** See `Calls.emit`. */
  emit(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<void> {
    this.start();
    return this.#calls.emit(service, pattern, data, options);
  }

  /**
   * See `Calls.fetch`; redirects within the service are followed, and `init.signal` rejects with its reason, as `fetch`
   * does both.
   */
  fetch(service: string, path: string, init: RequestInit = {}, options: OneCall = NO_OPTIONS): Promise<Response> {
    this.start();
    return fetchByName(this.#fetching, service, path, { init, options });
  }

  /**
   * An undici dispatcher for which services are hosts: `fetch('http://orders/7', { dispatcher })`, `undici.request`, or
   * for the whole process `setGlobalDispatcher`. What it calls by name is called as by `fetch`; all else goes to its
   * fallback. Throws OPTION_INVALID.
   */
  dispatcher(options?: DispatcherOptions): Promise<Dispatcher> {
    const { bufferedBytes } = this.#options.calls.http;
    return serviceDispatcher({ calls: this.#calls, bufferedBytes, wake: () => this.start() }, options);
  }

  /** See `Calls.grpc`. */
  grpc<Input, Output>(
    service: string,
    method: GrpcMethod<Input, Output>,
    message: Input,
    options?: GrpcCall,
  ): Promise<Output> {
    this.start();
    return this.#calls.grpc(service, method, message, options);
  }

  /** See `Calls.grpcStream`. */
  // eslint-disable-next-line max-params -- the shape of a call, with an observer
  grpcStream<Input>(
    service: string,
    method: GrpcMethod<Input>,
    message: Input | MessageSource<Input>,
    observer: StreamObserver,
    options?: GrpcCall,
  ): { cancel(): void } {
    this.start();
    return this.#calls.grpcStream(service, method, message, observer, options);
  }

  /**
   * Makes `rollcall:///orders` a URL for the clients of @grpc/grpc-js in this process, Nest's `ClientGrpc` too: their
   * calls are balanced as ours are. Needs @grpc/grpc-js. To be called before such a client is made; rejects with
   * OPTION_INVALID.
   */
  registerGrpcResolver(options?: GrpcResolverOptions): Promise<void> {
    const route = (service: string): ExternalChannel => this.#calls.grpcRoute(service);
    return registerGrpcResolver({ time: this.#time, wake: () => this.start(), route }, options);
  }

  /** The view that this process has of a service, and why it picks which instance. */
  explain(service: string): Explanation {
    return this.#calls.explain(service);
  }

  /** The statistics of the services that this process called in the last whole window of 5 s; see `EdgeStats`. */
  edges(): readonly EdgeStats[] {
    return this.#calls.edges();
  }

  /**
   * Calls the listener soon after each event in the life of our calls, outside of them; what it throws is logged.
   * Returns how to stop.
   */
  onEvent(listener: CallerListener): () => void {
    return this.#calls.onEvent(listener);
  }

  // ---- being found ---------------------------------------------------------------------------------------------------

  /**
   * Registers this process under the option `service`, for as long as it lives, with endpoints that listen already; the
   * first is the primary. `methods`: what callers should know of what it serves. Returns at once: a registry that is
   * away is tried until it is there. The first time counts.
   */
  register(endpoints: readonly AnnouncedEndpoint[], methods?: Methods): void {
    if (this.#isClosed) throw closedError();
    if (this.#session === null) {
      throw new RollcallError('OPTION_INVALID', 'To register, this process needs a name: set the option `service`.');
    }
    const { advertiseHost } = this.#options;
    this.start();
    this.#isAnnounced = true;
    this.#session.start(
      endpoints.map((endpoint) =>
        advertiseHost === undefined || endpoint.host !== undefined ? endpoint : { ...endpoint, host: advertiseHost },
      ),
      methods,
    );
  }

  /**
   * Adds entries to the metadata of this process, for people and for `rollcall doctor`; a registry that lists it already
   * gets them at once. Does nothing if this process has no service. They must fit: at most 64 keys, 4 KiB in all.
   */
  say(metadata: Metadata): void {
    this.#session?.setMetadata(metadata);
  }

  /** The state of this process in the registry; null when it is not registered. */
  get state(): State | null {
    return this.#session?.state ?? null;
  }

  /**
   * The answer to Heartbeat-1 and to an identity check, which the application sends, whatever the question
   * was. It does no I/O.
   */
  answer(question: unknown): HeartbeatAnswer {
    return this.#session?.answer(question) ?? { instance: this.id, nonce: nonceOf(question) };
  }

  /**
   * Asks the registry to send no more callers here; answers and beats until `close`. `deadlineMs`, 0 …
   * 3,600,000: when the registry may remove us by itself. Returns how many streams watch our service and have to hear
   * of it: 0 needs no waiting; null: the registry did not report it.
   */
  async drain({ deadlineMs }: { readonly deadlineMs: number }): Promise<number | null> {
    return this.#session === null ? 0 : this.#session.drain(deadlineMs);
  }

  /** Deregisters, ends all calls and closes everything. May be called twice; nothing works after it. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#session?.leave();
    this.#feed.close();
    this.#catalog.close();
    this.#readiness.close(closedError());
    await Promise.all([this.#cache?.close(), this.#calls.close()]);
    await this.#link.close();
  }

  get #isClosed(): boolean {
    return this.#closing !== null;
  }

  async #settled(name: string, timeoutMs: number): Promise<ServiceView> {
    if (this.#isClosed) throw closedError();
    this.start();
    const view = this.#catalog.service(name);
    await this.#catalog.settle(view, timeoutMs);
    if (view.status === 'waiting' && this.#isClosed) throw closedError();
    if (view.status === 'waiting') throw noCatalogError(name, timeoutMs);
    return view;
  }

  #suspect(suspicions: FailureReports, id: InstanceId, outcome: Suspicion['outcome']): void {
    if (this.#catalog.isFixed(id)) return;
    suspicions.report(id, outcome);
    if (outcome === 'misdirected') this.#catalog.disprove(id);
  }
}

/** Null for a process that has no service, and so cannot be found. */
function sessionOf(
  options: ClientOptions,
  parts: Omit<ConstructorParameters<typeof ServiceRegistration>[0], 'self' | 'intervalMs'>,
): ServiceRegistration | null {
  const { service, namespace, version, zone, weight, metadata, heartbeatIntervalMs } = options;
  if (service === undefined) return null;
  const self = { service, namespace, version, zone, weight, metadata };
  return new ServiceRegistration({ ...parts, self, intervalMs: heartbeatIntervalMs });
}

function closedError(): RollcallError {
  return new RollcallError('CLOSED', 'This client was closed.');
}
