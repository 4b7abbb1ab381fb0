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
import { catalogUnavailableError } from './call/service/call-error.js';
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
 * options and opens no connection; the first call, `start` or `register` does.
 */
export class Rollcall {
  /** The id of this process in the registry and in reports: its instance id if it has a service, otherwise an id of its own. */
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

  // ---- calling other services ----------------------------------------------------------------------------------------

  /** Opens the change feed for the services requested before and from now on. May be called twice. */
  start(): void {
    this.#cache?.start();
    this.#feed.start();
  }

  /** True if the registry answers. Calls continue while it does not. */
  get status(): ContactStatus {
    return this.#contact.status;
  }

  /** Calls the listener synchronously after each change of `status`; it must not throw. Returns a function that removes it. */
  onStatus(listener: (status: ContactStatus) => void): () => void {
    return this.#contact.onChange(listener);
  }

  /** Returns our copy of one service, which is watched from now on (once `start`ed). */
  service(name: string): ServiceView {
    return this.#catalog.service(name);
  }

  /**
   * Defines a service with fixed addresses, for servers without a registry: it has load balancing, retries and ejection like any other
   * service, but the registry is not asked about it. Call this method before the first call to the service. Throws OPTION_INVALID.
   */
  fix(service: string, endpoints: readonly StaticEndpoint[]): void {
    const { namespace } = this.#options;
    const [now, wall] = [this.#time.now(), this.#time.wall()];
    this.#catalog.fix(staticService(endpoints, { service, namespace, now, wall }));
  }

  /**
   * Sets the serializer and deserializer of a service that uses its own over TCP. Call it before the first call to the service; it applies
   * to every call of this process.
   */
  useTcpCodec(service: string, codec: TcpCodec): void {
    this.#calls.useTcpCodec(service, codec);
  }

  /**
   * All known instances of a service, in any state; empty if the registry does not know the service. Rejects with NO_CATALOG if the
   * registry has not answered in time, which does not mean that the service has no instances.
   */
  async instances(name: string): Promise<readonly Instance[]> {
    return (await this.#settled(name, this.#options.calls.catalogWaitMs)).instances;
  }

  /** Declares a dependency on the service: `ready` waits for it when no names are given. */
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
   * An undici dispatcher for which services are hosts: `fetch('http://orders/7', { dispatcher })`, `undici.request`, or for the whole
   * process `setGlobalDispatcher`. Requests to a service go the same way as with `fetch`; all other requests go to the fallback. Throws
   * OPTION_INVALID.
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
   * Registers `rollcall:///orders` as a URL for the clients of @grpc/grpc-js in this process, including Nest's `ClientGrpc`: their calls
   * use the same balancing. Requires @grpc/grpc-js. Call it before such a client is created; rejects with OPTION_INVALID.
   */
  registerGrpcResolver(options?: GrpcResolverOptions): Promise<void> {
    const route = (service: string): ExternalChannel => this.#calls.grpcRoute(service);
    return registerGrpcResolver({ time: this.#time, wake: () => this.start(), route }, options);
  }

  /** Explains how this process sees a service, and why it picks which instance. */
  explain(service: string): Explanation {
    return this.#calls.explain(service);
  }

  /** The statistics of the services that this process called in the last complete window of 5 s; see `EdgeStats`. */
  edges(): readonly EdgeStats[] {
    return this.#calls.edges();
  }

  /**
   * Calls the listener shortly after each event of our calls, outside of the call; errors that it throws are logged. Returns a function
   * that removes it.
   */
  onEvent(listener: CallerListener): () => void {
    return this.#calls.onEvent(listener);
  }

  // ---- registration --------------------------------------------------------------------------------------------------

  /**
   * Registers this process under the option `service`, for as long as it lives, with endpoints that already listen; the first is the
   * primary one. `methods` are the policies that callers get for its methods. Returns at once: an unreachable registry is retried until it
   * answers. Only the first call has an effect.
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
   * Adds entries to the metadata of this process, for display and for `rollcall doctor`; a registry that already lists it gets them at
   * once. It has no effect if this process has no service. The limit is 64 keys, 4 KiB in total.
   */
  say(metadata: Metadata): void {
    this.#session?.setMetadata(metadata);
  }

  /** The state of this process in the registry; null when it is not registered. */
  get state(): State | null {
    return this.#session?.state ?? null;
  }

  /** Returns the answer to Heartbeat-1 or to an identity check, for any request; the application sends it. It does no I/O. */
  answer(question: unknown): HeartbeatAnswer {
    return this.#session?.answer(question) ?? { instance: this.id, nonce: nonceOf(question) };
  }

  /**
   * Asks the registry to direct no more callers to this process, which answers and sends heartbeats until `close`. `deadlineMs`, 0 …
   * 3,600,000: when the registry may remove it by itself. Returns how many streams watch our service and have to receive the change: 0
   * needs no waiting; null: the registry did not report the number.
   */
  async drain({ deadlineMs }: { readonly deadlineMs: number }): Promise<number | null> {
    return this.#session === null ? 0 : this.#session.drain(deadlineMs);
  }

  /** Deregisters, ends all calls and closes all connections. May be called twice; no other method works after it. */
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
    if (view.status === 'waiting') throw catalogUnavailableError(name, timeoutMs);
    return view;
  }

  #suspect(suspicions: FailureReports, id: InstanceId, outcome: Suspicion['outcome']): void {
    if (this.#catalog.isFixed(id)) return;
    suspicions.report(id, outcome);
    if (outcome === 'misdirected') this.#catalog.disprove(id);
  }
}

/** Null for a process without a service, which does not register. */
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
