import { silentLog, systemTime } from '@rollcall/core';
import type { BudgetAnswer, Log, ProcessFacts, Time } from '@rollcall/core';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Tokens } from '../access/token-file.js';
import type { Load } from '../metrics/host-budget.js';

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
import { openAccessLog } from './routes/open-access-log.js';
import { operatorRoutes } from './routes/operators.js';
import { prometheusRoutes } from './routes/prometheus-sd.js';
import { serviceRoutes } from './routes/services.js';
import { topologyRoutes } from './routes/topology.js';
import { watchRoutes } from './routes/watch.js';

/** The one port of the API, the change feed and all else that the registry serves. */
export const DEFAULT_PORT = 1337;
export const DEFAULT_HOST = '127.0.0.1';

export interface ServeOptions {
  readonly registry: RegistryApi;
  /** 0 … 65535; 0 is any free one. Default 1337. */
  readonly port?: number;
  /**
   * The address to listen on. Default `127.0.0.1`; anything but loopback needs `tokens`, `tls.caFile`, or `insecure`.
   */
  readonly host?: string;
  /**
   * Accepts that, without tokens and certificates, every client that reaches the port may register, read and remove.
   * Default false.
   */
  readonly insecure?: boolean;
  /** The access tokens, which are not closed with the server. Default: tokens are not required. */
  readonly tokens?: Tokens;
  /** Serves over TLS, and may ask clients for certificates. Default: plain HTTP. */
  readonly tls?: RegistryTls | undefined;
  /** Host names, besides localhost and `host`, by which clients reach it; others are refused (DNS rebinding). */
  readonly names?: readonly string[];
  /**
   * Maximum of open connections, 1 … 1,000,000: beyond it idle ones are closed. Default: no limit here; in
   * `startRegistry` what its open files allow.
   */
  readonly maxConnections?: number;
  /** The budgets of the host and their use by a load, for operators. Default: not shown. */
  readonly budgets?: (load: Load) => readonly BudgetAnswer[];
  /** The facts about the process, for operators. Default: not shown. */
  readonly processFacts?: () => Promise<ProcessFacts>;
  /**
   * The metrics that `/metrics` shows; pass its `meter` to the engine. Default: metrics without those of the engine.
   */
  readonly metrics?: RegistryMetrics;
  readonly log?: Log;
  readonly time?: Time;
}

export interface RegistryServer {
  /** The URL for programs on this machine. */
  readonly url: string;
  readonly port: number;
  /** The URLs for services elsewhere, as far as they are known. */
  readonly urls: readonly string[];
  /**
   * Ends streams and long polls, stops accepting, and gives requests under way one second. Streams that it ends do not
   * count as closed by their peers. Idempotent.
   */
  close(): Promise<void>;
}

/** Timeouts, ms: 5 s for the headers, 10 s for the whole request, 30 s for an idle connection. */
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const IDLE_MS = 30_000;
/**
 * Interval of Node's checks for late headers and requests, ms: those found are closed at once, which delays all others.
 */
const LATENESS_CHECK_MS = 250;
/** Maximum duration of requests under way when the server closes, ms. */
const GRACE_MS = 1_000;

/**
 * Serves the registry over HTTP. Rejects with NOT_LOOPBACK, PORT_TAKEN, or OPTION_INVALID for an address that this
 * machine cannot listen on, or for unusable files of TLS.
 *
 * Which side closes first: the server keeps a connection open after an answer, so a client that opens one for each
 * Heartbeat-2 closes it and keeps the TIME_WAIT; only after `Connection: close` must the server close, by the rules of
 * HTTP. A peer that closes its sending side has left: an answer that is not ready may be lost, and the end of a stream
 * is reported in the same turn of the event loop.
 */
export async function serveRegistry(options: ServeOptions): Promise<RegistryServer> {
  const { registry, log = silentLog, time = systemTime, insecure = false } = options;
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, names = [], tokens } = options;
  const tls = options.tls === undefined ? null : new ServerTls(options.tls, { log, time });
  const clients = tls?.requestsCertificates === true ? tls : null;
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
    ...diagnosticsOf(options, time),
    metrics: options.metrics ?? new RegistryMetrics({ time }),
    lasting: new Set(),
  };
  const app = buildApp(context, [host, ...names], guarded);
  new Connections({ time, log, max: options.maxConnections ?? Infinity, isSecure: tls !== null }).follow(app.server);
  const actual = await listen(app, host, port);
  app.server.on('error', (error) => log.error(`The registry cannot accept a connection: ${error.message}`));
  if (insecure)
    log.warn(`The registry is insecure: any client that reaches ${host}:${actual} may register, read and remove.`);
  let closing: Promise<void> | null = null;
  const place = placeOf({ host, port: actual, names, tls, log });
  return { ...place, port: actual, close: () => (closing ??= shut(app, context)) };
}

/** The parts of the context for diagnostics. */
function diagnosticsOf(
  { budgets, processFacts, tokens }: ServeOptions,
  time: Time,
): Pick<RouteContext, 'refused' | 'host' | 'endingTokens' | 'process'> {
  const endingTokens = tokens && (() => tokens.endingSoon());
  return { refused: new Refused(time), host: budgets, process: processFacts, endingTokens };
}

/** Builds the app with all routes, not yet listening. `guarded`: the authorization if credentials are required. */
export function buildApp(
  parts: Omit<RouteContext, 'queue'>,
  names: readonly string[],
  guarded: TokenEntrance | null,
): FastifyInstance {
  const unread = new Unread(parts);
  const queue = new Queue({ ...parts, isBusy: unread.isBusy });
  const context = { ...parts, queue };
  const { tls = null } = context;
  const app = fastify({
    ...(tls === null ? {} : { serverFactory: secureServer(tls, guarded) }),
    bodyLimit: BODY_LIMIT,
    connectionTimeout: IDLE_MS,
    keepAliveTimeout: IDLE_MS,
    requestTimeout: REQUEST_MS,
    http: HTTP_OPTIONS,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 128 },
    // hooks run after routing, which has failed here
    frameworkErrors: (error, request, reply) =>
      securityHook(request, reply, () => void answerError(error, reply, context.log)),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, context),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, parseBody);
  app.setErrorHandler((error, _request, reply) => answerError(error, reply, context.log));
  app.setNotFoundHandler((request, reply) => sendProblem(reply, unknownRoute(request.method, request.url)));
  const guard = createGuard(names);
  app.addHook('onRequest', securityHook);
  app.addHook('onRequest', guardHook(guard));
  app.addHook('onRequest', refuseExpectation);
  // before throttling replaces a failure, so that it is counted with its own code
  if (context.metrics !== undefined) app.addHook('preSerialization', answersCounted(context.metrics));
  app.addHook('onSend', codingHook);
  app.addHook('onSend', unread.hook);
  if (guarded === null) app.addHook('onSend', openAccessLog(context));
  else guarded.install(app);
  const refuseOtherMethods = collectMethods(app);
  const operatorGroups = [
    operatorRoutes,
    peopleRoutes,
    instanceRoutes,
    historyRoutes,
    topologyRoutes,
    metricsRoutes,
    prometheusRoutes,
  ];
  const groups = [serviceRoutes, ...operatorGroups, watchRoutes, healthRoutes, openapiRoutes];
  for (const routes of groups) {
    void app.register(routes, context);
  }
  void app.register(dashboardRoutes);
  app.after(() => {
    guarded?.complete();
    refuseOtherMethods();
  });
  refuseUnroutable(app.server, context);
  const fastPath = createFastPath(context, guard, guarded);
  interceptRequests(app, { isRevoked: (request) => isRevoked(request, tls), fastPath, queue }, context);
  return app;
}

/**
 * True, after destroying the connection, if its certificate is not trusted any more: a valid client reconnects. Also if
 * it was reset before its address was read: Node reads the address at the first access, and caches it.
 */
function isRevoked({ socket }: IncomingMessage, tls: ServerTls | null): boolean {
  if (tls?.isRetired(socket) !== true && socket.remoteAddress !== undefined) return false;
  socket.destroy();
  return true;
}

const HTTP_OPTIONS = {
  headersTimeout: HEADERS_MS,
  connectionsCheckingInterval: LATENESS_CHECK_MS,
  // the guard refuses a missing Host like a foreign one
  requireHostHeader: false,
};

/** Creates a server as Fastify does, but over TLS. */
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
