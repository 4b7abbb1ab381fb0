import { silentLog, systemTime } from '@rollcall/core';
import type { Log, Time } from '@rollcall/core';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Tokens } from '../access/token-file.js';
import type { BudgetAnswer, Load } from '../metrics/host-budget.js';
import type { ProcessFacts } from '../metrics/host-facts.js';
import { RegistryMetrics } from '../metrics/registry-metrics.js';
import type { RegistryApi } from '../registry-api.js';
import { OPEN_ENTRANCE, TokenEntrance } from './access/authorization.js';
import { createGuard, guardHook } from './access/guard.js';
import { ServerTls } from './access/tls.js';
import type { RegistryTls } from './access/tls.js';
import { BODY_LIMIT, parseBody } from './exchange/body.js';
import { collectMethods } from './exchange/methods.js';
import { problemOfThrown, sendProblem, unknownRoute } from './exchange/problem.js';
import { codingHook } from './exchange/response-coding.js';
import { securityHook } from './exchange/security-headers.js';
import { answerBrokenRequest, refuseExpectation, refuseUnroutable } from './exchange/unroutable.js';
import { checkHost, listen, placeOf } from './listen.js';
import { openapiRoutes } from './openapi/openapi.js';
import { createFastPath } from './overload/beat.js';
import { Connections } from './overload/connections.js';
import { interceptRequests } from './overload/front.js';
import { Queue } from './overload/request-queue.js';
import { Unread } from './overload/unread.js';
import type { RouteContext } from './route-context.js';
import { dashboardRoutes } from './routes/dashboard.js';
import { Refused } from './routes/diagnostics.js';
import { historyRoutes } from './routes/events.js';
import { healthRoutes } from './routes/health.js';
import { instanceRoutes } from './routes/instance-list.js';
import { peopleRoutes } from './routes/instances.js';
import { answersCounted, metricsRoutes } from './routes/metrics.js';
import { openDeeds } from './routes/open-access-log.js';
import { operatorRoutes } from './routes/operators.js';
import { prometheusRoutes } from './routes/prometheus-sd.js';
import { serviceRoutes } from './routes/services.js';
import { topologyRoutes } from './routes/topology.js';
import { watchRoutes } from './routes/watch.js';

/** One port for the API, the change feed, and whatever else the registry shows. */
export const DEFAULT_PORT = 1337;
export const DEFAULT_HOST = '127.0.0.1';

export interface ServeOptions {
  readonly registry: RegistryApi;
  /** 0 … 65535; 0 is any free one. Default 1337. */
  readonly port?: number;
  /** The address to listen on. Default `127.0.0.1`; anything but loopback needs `tokens`, `tls.caFile`, or `insecure`. */
  readonly host?: string;
  /** Without tokens and certificates whoever reaches the port may register, read and remove, and this is meant. Default false. */
  readonly insecure?: boolean;
  /** Who may do what. They are not closed with the server. Default: none are asked for. */
  readonly tokens?: Tokens;
  /** Serves over TLS, and may ask clients for certificates. Default: plain HTTP. */
  readonly tls?: RegistryTls | undefined;
  /** Host names, besides localhost and `host`, by which clients reach it; others are refused (DNS rebinding). */
  readonly names?: readonly string[];
  /**
   * How many connections may be open, 1 … 1,000,000: beyond it those that ask nothing are closed. Default: no bound here; in
   * `startRegistry` what its open files allow.
   */
  readonly maxConnections?: number;
  /** What the host carries, and how much of that such a load uses, for people. Default: not told. */
  readonly budgets?: (load: Load) => readonly BudgetAnswer[];
  /** How its process stands now, for people. Default: not told. */
  readonly processFacts?: () => Promise<ProcessFacts>;
  /** What `/metrics` shows; hand its `meter` to the engine. Default: one that knows of the engine only what it is asked for. */
  readonly metrics?: RegistryMetrics;
  readonly log?: Log;
  readonly time?: Time;
}

export interface RegistryServer {
  /** How a program on this machine reaches it. */
  readonly url: string;
  readonly port: number;
  /** How services reach it from elsewhere, as far as it knows. */
  readonly urls: readonly string[];
  /**
   * Ends streams and long polls, stops accepting, and gives requests under way one second. Streams that it ends are not
   * reported as closed by their peers. May be called twice.
   */
  close(): Promise<void>;
}

/** Headers must be there after 5 s, the whole request after 10 s; a connection that does nothing is closed after 30 s. */
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const IDLE_MS = 30_000;
/** Node looks for late headers and requests so often: what has come in between is closed in one go, with everybody else waiting. */
const LATENESS_CHECK_MS = 250;
/** Requests under way when the server closes get so long. */
const GRACE_MS = 1_000;

/**
 * Opens the registry's HTTP face. Rejects with NOT_LOOPBACK, PORT_TAKEN, or OPTION_INVALID for an address that this machine
 * cannot listen on, or for files of TLS that cannot be used.
 *
 * Who closes first: the server keeps a connection after an answer, so a client that opens one for each Heartbeat-2 closes it,
 * and keeps the TIME_WAIT; only after `Connection: close` must the server close, by the rules of HTTP. A peer that closes its
 * sending side has left: an answer that is not ready may be lost, and a stream's end is told in the same turn of the event loop.
 */
export async function serveRegistry(options: ServeOptions): Promise<RegistryServer> {
  const { registry, log = silentLog, time = systemTime, insecure = false } = options;
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, names = [], tokens } = options;
  const tls = options.tls === undefined ? null : new ServerTls(options.tls, { log, time });
  const clients = tls?.asksClients === true ? tls : null;
  checkHost(host, insecure || tokens !== undefined || clients !== null);
  const parts = { tokens: tokens ?? null, clients, registry, log, time };
  const guarded = tokens === undefined && clients === null ? null : new TokenEntrance(parts);
  const access = guarded === null ? 'open' : tokens === undefined ? 'certificates' : 'tokens';
  const authorization = guarded ?? OPEN_ENTRANCE;
  const context: Omit<RouteContext, 'queue'> = {
    registry,
    time,
    log,
    insecure,
    access,
    authorization,
    tls,
    ...conditionOf(options, time),
    metrics: options.metrics ?? new RegistryMetrics({ time }),
    lasting: new Set(),
  };
  const app = buildApp(context, [host, ...names], guarded);
  new Connections({ time, log, most: options.maxConnections ?? Infinity, isSecure: tls !== null }).follow(app.server);
  const actual = await listen(app, host, port);
  app.server.on('error', (error) => log.error(`The registry cannot accept a connection: ${error.message}`));
  if (insecure) log.warn(`The registry is insecure: whoever reaches ${host}:${actual} may register, read and remove.`);
  let closing: Promise<void> | null = null;
  const place = placeOf({ host, port: actual, names, tls, log });
  return { ...place, port: actual, close: () => (closing ??= shut(app, context)) };
}

/** What who diagnoses it asks of it. */
function conditionOf(
  { budgets, processFacts, tokens }: ServeOptions,
  time: Time,
): Pick<RouteContext, 'refused' | 'host' | 'endingTokens' | 'process'> {
  const endingTokens = tokens && (() => tokens.endingSoon());
  return { refused: new Refused(time), host: budgets, process: processFacts, endingTokens };
}

/** All routes, not yet listening. `guarded`: where tokens are asked for. */
export function buildApp(
  parts: Omit<RouteContext, 'queue'>,
  names: readonly string[],
  guarded: TokenEntrance | null,
): FastifyInstance {
  const unread = new Unread(parts);
  const queue = new Queue({ ...parts, isBusy: unread.isBusy });
  const rim = { ...parts, queue };
  const { tls = null } = rim;
  const app = fastify({
    ...(tls === null ? {} : { serverFactory: secureServer(tls, guarded) }),
    bodyLimit: BODY_LIMIT,
    connectionTimeout: IDLE_MS,
    keepAliveTimeout: IDLE_MS,
    requestTimeout: REQUEST_MS,
    http: HTTP_OPTIONS,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 128 },
    // hooks come after routing, which has failed
    frameworkErrors: (error, request, reply) =>
      securityHook(request, reply, () => void answerError(error, reply, rim.log)),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, rim),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, parseBody);
  app.setErrorHandler((error, _request, reply) => answerError(error, reply, rim.log));
  app.setNotFoundHandler((request, reply) => sendProblem(reply, unknownRoute(request.method, request.url)));
  const guard = createGuard(names);
  app.addHook('onRequest', securityHook);
  app.addHook('onRequest', guardHook(guard));
  app.addHook('onRequest', refuseExpectation);
  // before a failure too many is answered otherwise: it is counted as what it is
  if (rim.metrics !== undefined) app.addHook('preSerialization', answersCounted(rim.metrics));
  app.addHook('onSend', codingHook);
  app.addHook('onSend', unread.hook);
  if (guarded === null) app.addHook('onSend', openDeeds(rim));
  else guarded.install(app);
  const refuseOtherMethods = collectMethods(app);
  const forPeople = [
    operatorRoutes,
    peopleRoutes,
    instanceRoutes,
    historyRoutes,
    topologyRoutes,
    metricsRoutes,
    prometheusRoutes,
  ];
  const groups = [serviceRoutes, ...forPeople, watchRoutes, healthRoutes, openapiRoutes];
  for (const routes of groups) {
    void app.register(routes, rim);
  }
  void app.register(dashboardRoutes);
  app.after(() => {
    guarded?.complete();
    refuseOtherMethods();
  });
  refuseUnroutable(app.server, rim);
  const fastPath = createFastPath(rim, guard, guarded);
  interceptRequests(app, { isRevoked: (request) => isRevoked(request, tls), fastPath, queue }, rim);
  return app;
}

/**
 * Its certificate is trusted no longer: whoever may connects again. Or it was reset before anybody knew where it comes from: Node reads the
 * address when it is first asked for, and remembers it.
 */
function isRevoked({ socket }: IncomingMessage, tls: ServerTls | null): boolean {
  if (tls?.isRetired(socket) !== true && socket.remoteAddress !== undefined) return false;
  socket.destroy();
  return true;
}

const HTTP_OPTIONS = {
  headersTimeout: HEADERS_MS,
  connectionsCheckingInterval: LATENESS_CHECK_MS,
  // the guard refuses a missing Host as it does a foreign one
  requireHostHeader: false,
};

/** As Fastify makes its own server, but over TLS, and of one type. */
function secureServer(tls: ServerTls, guarded: TokenEntrance | null) {
  return (handler: (request: IncomingMessage, response: ServerResponse) => void): RawServerDefault => {
    const server = createServer({ ...HTTP_OPTIONS, ...tls.serverOptions }, handler);
    server.keepAliveTimeout = IDLE_MS;
    server.requestTimeout = REQUEST_MS;
    server.setTimeout(IDLE_MS);
    server.on('tlsClientError', (error, socket) => guarded?.handshakeFailed(socket, error));
    tls.attach(server);
    server.once('close', () => tls.close());
    return server;
  };
}

function answerError(error: unknown, reply: FastifyReply, log: Log): FastifyReply {
  const { method, routeOptions } = reply.request;
  return sendProblem(reply, problemOfThrown(error, `${method} ${routeOptions.url ?? ''}`, log));
}

async function shut(app: FastifyInstance, { lasting, time, tls }: Omit<RouteContext, 'queue'>): Promise<void> {
  for (const end of lasting) end();
  const cut = time.setTimer(GRACE_MS, () => {
    app.server.closeAllConnections();
    tls?.cut();
  });
  await app.close();
  cut.cancel();
}
