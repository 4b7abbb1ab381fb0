import { ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Server as NetServer } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { HttpAdapterHost } from '@nestjs/core';
import { ATTEMPT_KEY, DEADLINE_KEY, isRecord, TARGET_KEY } from '@rollcall/core';
import type { RequestKind } from './in-flight.js';
import type { ServerAdapter, ServerHost } from './server-adapter.js';
import { answerOwnPath, OWN_PATHS, refuse } from './well-known.js';
import { Reach } from './worker-port.js';
import type { Bound } from './worker-port.js';

const EVENT_STREAM = 'text/event-stream';
/** Names a request by its path alone: the query does not belong in a log. */
const OVER_HTTP: RequestKind = {
  nameOf: (response) =>
    response instanceof ServerResponse
      ? `${response.req.method} ${response.req.url?.replace(/\?.*$/s, '')}`
      : 'an HTTP request',
  isPulled: false,
};

/** Called with each request; `proceed` passes it to the framework. */
type Guard = (request: IncomingMessage, response: ServerResponse, proceed: () => void) => void;

/**
 * Hooks into the application's HTTP server, before the framework: a route would be stopped by middleware
 * (`app.use(auth)`), find its body consumed or missing (`bodyParser: false`), and run after the requests it should
 * refuse. Null if there is no server.
 */
export function openHttpAdapter(host: HttpAdapterHost, serverHost: ServerHost): ServerAdapter | null {
  const adapter = host.httpAdapter;
  const server: unknown = adapter?.getHttpServer?.();
  if (!(server instanceof NetServer)) return null;
  guardRequests(server, (request, response, proceed) => admit(serverHost, { request, response }, proceed));
  const beforeClose = adapter.beforeClose?.bind(adapter);
  // Nest 12 refuses requests from here on if `return503OnClosing` is set: callers should have moved away by then
  Object.assign(adapter, {
    beforeClose: async () => {
      await serverHost.drain();
      return beforeClose?.();
    },
  });
  const reach = new Reach('http', serverHost);
  const isShared = portSharing(server, serverHost);
  host.listen$.subscribe(() => reach.open(boundOf(server), isShared()));
  return {
    name: 'http',
    get isListening() {
      return reach.isOpen && host.listening;
    },
    get opening() {
      return reach.opening;
    },
    bound: () => (host.listening ? reach.endpoint : null),
  };
}

function boundOf(server: NetServer): Bound | null {
  const address = server.address();
  if (address === null || typeof address === 'string') return null;
  const { address: host, port } = address;
  return { server, endpoint: { protocol: 'http', host, port, tls: server instanceof TlsServer } };
}

/** Tracks whether other processes accept connections at the port of a server: only the caller of `listen` knows that. */
function portSharing(server: NetServer, serverHost: ServerHost): () => boolean {
  let isShared = serverHost.isWorker;
  const listen: unknown = Reflect.get(server, 'listen');
  if (typeof listen !== 'function') return () => isShared;
  const listenAs = (...args: unknown[]): unknown => {
    const options = args.find(isRecord) ?? {};
    isShared = options['reusePort'] === true || (serverHost.isWorker && options['exclusive'] !== true);
    return Reflect.apply(listen, server, args);
  };
  Object.assign(server, { listen: listenAs });
  return () => isShared;
}

function guardRequests(server: NetServer, guard: Guard): void {
  const listeners = server.listeners('request');
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    guard(request, response, () => {
      for (const listener of listeners) Reflect.apply(listener, server, [request, response]);
    });
  });
}

/** Answers requests for us and late requests; counts the others, and passes them on in their deadline context. */
function admit(
  serverHost: ServerHost,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  proceed: () => void,
): void {
  if (request.url?.startsWith(OWN_PATHS) === true) return answerOwnPath(serverHost, request, response);
  const { headers } = request;
  const target = headers[TARGET_KEY];
  if (target !== undefined && target !== serverHost.id) {
    return refuse(response, 'MISDIRECTED', `This is ${serverHost.id}; the request was for ${String(target)}.`);
  }
  const { inheritance } = serverHost;
  inheritance.run(headers[DEADLINE_KEY], headers[ATTEMPT_KEY], () => {
    if (!inheritance.isLate) {
      count(serverHost, request, response);
      return proceed();
    }
    serverHost.refusedLate('http');
    refuse(response, 'DEADLINE_EXCEEDED', 'The caller stopped waiting before the request arrived.');
  });
}

function count(serverHost: ServerHost, request: IncomingMessage, response: ServerResponse): void {
  serverHost.inFlight.begin(response, () => isEventStream(request, response), OVER_HTTP);
  serverHost.inheritance.begin(response);
  response.once('close', () => {
    serverHost.inFlight.end(response);
    serverHost.inheritance.end(response);
  });
  // a kept connection would be cut at the end, perhaps with the next request in transit
  if (serverHost.isDraining && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
}

/** A response does not expose headers that were only passed to `writeHead`, hence the look at the request. */
function isEventStream(request: IncomingMessage, response: ServerResponse): boolean {
  const type = String(response.getHeader('content-type'));
  return request.headers.accept === EVENT_STREAM || type.startsWith(EVENT_STREAM);
}
