import cluster from 'node:cluster';
import { Inject, Injectable } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { messageOf, noMeter, RollcallError, TOLD } from '@rollcall/core';
import type { AnnouncedEndpoint, Timer } from '@rollcall/core';
import type { DeadlineContext } from '../calls/deadline-context.js';
import { usesClient } from '../calls/uses-client.js';
import { publishedBy } from '../handlers/handlers.js';
import { INHERITANCE, MEMBERSHIP, PORTS } from '../inject.js';
import type { Ports } from '../inject.js';
import { openHttpAdapter } from '../servers/http.js';
import { openOwnPort } from '../servers/own-port.js';
import type { ServerAdapter, ServerHost } from '../servers/server-adapter.js';
import { openRpcAdapter } from '../servers/tcp.js';
import type { RpcServer } from '../servers/tcp.js';
import { announced, ownHost } from './advertise.js';
import type { Membership } from './membership.js';

/**
 * How long some servers may listen before all do; after that, a forgotten `listen()` is more likely than a slow start.
 */
const PATIENCE_MS = 5_000;

/** Registers the application manually, with `register: 'manual'`: inject it, or use `app.get(RollcallAgent)`. */
export class RollcallAgent {
  readonly #agent: { register(): Promise<void> };

  constructor(agent: { register(): Promise<void> }) {
    this.#agent = agent;
  }

  /**
   * Registers with the servers that listen now, without waiting for the others or for a registry; further calls are
   * no-ops. Rejects with OPTION_INVALID if no server listens that should.
   */
  register(): Promise<void> {
    return this.#agent.register();
  }
}

/** Finds the servers of an application and their addresses, and registers it as soon as all of them listen. */
@Injectable()
export class Agent {
  readonly #adapters: ServerAdapter[] = [];
  readonly #serverHost: ServerHost;
  #isBooted = false;
  #isDone = false;
  #patience: Timer | null = null;

  // eslint-disable-next-line max-params -- what Nest injects
  constructor(
    @Inject(MEMBERSHIP) private readonly membership: Membership,
    @Inject(PORTS) private readonly ports: Ports,
    @Inject(HttpAdapterHost) private readonly http: HttpAdapterHost,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(INHERITANCE) private readonly inheritance: DeadlineContext,
  ) {
    const late = (ports.meter ?? noMeter).counter(
      'rollcall_late_requests_total',
      'Requests refused before their handler ran: their callers had stopped waiting.',
      ['protocol'],
    );
    this.#serverHost = {
      inFlight: membership.inFlight,
      inheritance,
      requests: ports.requests ?? null,
      id: membership.id,
      isWorker: cluster.isWorker,
      log: ports.log,
      get isDraining() {
        return membership.isDraining;
      },
      answer: (received) => membership.answer(received),
      refusedLate: (server) => late.add(1, server),
      drain: () => membership.drain(),
      opened: () => this.#opened(),
    };
    // every microservice server passes here before it listens, also one that was created before us
    modules.getRpcTargetRegistry<RpcServer>().subscribe((server) => {
      this.#adapters.push(openRpcAdapter(server, this.#serverHost));
    });
  }

  /** The application is initialised: its HTTP server exists, with all the user's middleware. */
  mount(): void {
    const adapter = openHttpAdapter(this.http, this.#serverHost);
    if (adapter !== null) this.#adapters.push(adapter);
  }

  /** Hybrid applications may listen over TCP before this, and never listen over HTTP before it. */
  booted(): void {
    this.#isBooted = true;
    if (this.#adapters.some((adapter) => adapter.isListening)) this.#opened();
    else if (this.#adapters.length === 0 && !this.#hasHttp) this.#bootedWithoutServers();
  }

  /**
   * `createApplicationContext`, as for a cron job, a script or a test: registered only on request, which opens a port.
   */
  #bootedWithoutServers(): void {
    const { client, register, heartbeatPort } = this.membership.settings;
    if (client.service === undefined || register === 'manual') return;
    if (heartbeatPort !== undefined) {
      this.register().catch((error: unknown) => this.ports.log.error(messageOf(error)));
      return;
    }
    this.ports.log.info(
      `Not registered: ${client.service} has no server (createApplicationContext), so the registry cannot ask whether it is alive. To have ` +
        'it listed and watched, set the option heartbeatPort (0 is any free port); to have this line away, leave out the option service.',
    );
  }

  /**
   * Registers with the servers that listen now, for `register: 'manual'`, without waiting for the others or for a
   * registry; further calls are no-ops. If there is nothing to call, as behind a broker, it opens a port for
   * Heartbeat-1 alone. Rejects with OPTION_INVALID if no server listens that should.
   */
  async register(): Promise<void> {
    const opening = this.#adapters.flatMap((adapter) => adapter.opening ?? []);
    if (opening.length > 0) await Promise.all(opening);
    if (this.#isDone) return;
    const { service } = this.membership.settings.client;
    if (service === undefined)
      throw new RollcallError('OPTION_INVALID', 'Not registered: this process needs a name, the option service.');
    const bound = this.#adapters.flatMap((adapter) => adapter.bound() ?? []);
    if (bound.length === 0 && this.#awaitsServers) {
      throw new RollcallError(
        'OPTION_INVALID',
        `Not registered: ${service} has no server that listens, so it cannot be called. Listen first (app.listen), then register.`,
      );
    }
    this.#finish();
    const endpoints =
      bound.length === 0 ? [await this.#openOwnPort()] : bound.map((endpoint) => announced(endpoint, this.#rules));
    if (usesClient(this.modules)) this.inheritance.expectCalls();
    const { methods, problems } = publishedBy(this.modules, this.config);
    for (const problem of problems) this.ports.log.warn(problem);
    await this.membership.register(endpoints, methods);
  }

  /** True if there are servers and none of them listens. */
  get #awaitsServers(): boolean {
    if (this.#adapters.length > 0) return this.#adapters.every((adapter) => !adapter.isListening);
    return this.#hasHttp;
  }

  get #hasHttp(): boolean {
    return typeof this.http.httpAdapter?.getHttpServer === 'function';
  }

  get #rules() {
    const { advertiseHost, registry } = this.membership.settings.client;
    return { advertiseHost, registry };
  }

  async #openOwnPort(): Promise<AnnouncedEndpoint> {
    const { heartbeatPort = 0, client } = this.membership.settings;
    const server = await openOwnPort(this.#serverHost, { host: ownHost(this.#rules), port: heartbeatPort }).catch(
      (cause: unknown) => {
        throw new RollcallError(
          'OPTION_INVALID',
          `Not registered: the port for the heartbeats of ${client.service} could not be opened: ${messageOf(cause)}. ` +
            'Set the option heartbeatPort to one that is free, or to 0 for any.',
          { cause },
        );
      },
    );
    this.membership.closeLast(server);
    this.ports.log.info(
      `${client.service} takes no calls over a port, so it opened ${server.endpoint.port} for heartbeats.`,
    );
    return server.endpoint;
  }

  #opened(): void {
    this.membership.serves = true;
    void this.membership.wake();
    const { client, register } = this.membership.settings;
    if (this.#isDone || client.service === undefined || register === 'manual') return;
    if (this.#missing().length > 0) this.#patience ??= this.#startPatience();
    else this.register().catch((error: unknown) => this.ports.log.error(messageOf(error)));
  }

  #finish(): void {
    this.#isDone = true;
    this.#patience?.cancel();
    this.#patience = this.ports.time.setTimer(PATIENCE_MS, () => this.#checkSignals(), { background: true });
  }

  #checkSignals(): void {
    if (this.membership.isDraining || process.listenerCount('SIGTERM') > 0) return;
    this.membership.setMetadata({ [TOLD.shutdownHooks]: 'off' });
    this.ports.log.warn(
      'There is no handler for SIGTERM: it will end this process in the middle of its requests. ' +
        'Call app.enableShutdownHooks(), and it will drain.',
    );
  }

  #missing(): readonly string[] {
    const closed = this.#adapters.filter((adapter) => !adapter.isListening).map((adapter) => adapter.name);
    return this.#isBooted ? closed : [...closed, 'the application itself (app.listen or app.init)'];
  }

  #startPatience(): Timer {
    const warn = (): void => {
      this.ports.log.warn(
        `Not registered after ${PATIENCE_MS} ms: ${this.#missing().join(', ')} does not listen. A hybrid application needs ` +
          `both app.startAllMicroservices() and app.listen(); else set register: 'manual' and call RollcallAgent.register().`,
      );
    };
    return this.ports.time.setTimer(PATIENCE_MS, warn, { background: true });
  }
}
