import { ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Server as NetServer } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { HttpAdapterHost } from '@nestjs/core';
import { ATTEMPT_KEY, DEADLINE_KEY, TARGET_KEY } from '@rollcall/core';
import type { BoundEndpoint, Door, Keeper } from './door.js';
import type { RequestKind } from './in-flight.js';
import { answerUs, OUR_PATHS, refuse } from './well-known.js';

const EVENT_STREAM = 'text/event-stream';
/** By its path alone: what is asked for is not for a log. */
const OVER_HTTP: RequestKind = {
  nameOf: (response) =>
    response instanceof ServerResponse
      ? `${response.req.method} ${response.req.url?.replace(/\?.*$/s, '')}`
      : 'an HTTP request',
  isPulled: false,
};

/** Called with each request; `proceed` gives it to the framework. */
type Guard = (request: IncomingMessage, response: ServerResponse, proceed: () => void) => void;

/**
 * Goes into the application's HTTP server, before the framework: a route would be stopped by middleware (`app.use(auth)`), find
 * its body eaten or missing (`bodyParser: false`), and come after what it should refuse. Null when there is no server.
 */
export function openHttpDoor(host: HttpAdapterHost, keeper: Keeper): Door | null {
  const adapter = host.httpAdapter;
  const server: unknown = adapter?.getHttpServer?.();
  if (!(server instanceof NetServer)) return null;
  standBefore(server, (request, response, proceed) => admit(keeper, { request, response }, proceed));
  const beforeClose = adapter.beforeClose?.bind(adapter);
  // Nest 12 begins to refuse requests here if `return503OnClosing` is set: callers should have gone by then
  Object.assign(adapter, {
    beforeClose: async () => {
      await keeper.drain();
      return beforeClose?.();
    },
  });
  host.listen$.subscribe(() => keeper.opened());
  return {
    name: 'http',
    get isListening() {
      return host.listening;
    },
    bound: () => (host.listening ? boundOf(server) : null),
  };
}

function boundOf(server: NetServer): BoundEndpoint | null {
  const address = server.address();
  if (address === null || typeof address === 'string') return null;
  return { protocol: 'http', host: address.address, port: address.port, tls: server instanceof TlsServer };
}

function standBefore(server: NetServer, guard: Guard): void {
  const listeners = server.listeners('request');
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    guard(request, response, () => {
      for (const listener of listeners) Reflect.apply(listener, server, [request, response]);
    });
  });
}

/** Answers what is not for the application, and what nobody waits for; counts the rest, and lets it in with what it leaves to its calls. */
function admit(
  keeper: Keeper,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  proceed: () => void,
): void {
  if (request.url?.startsWith(OUR_PATHS) === true) return answerUs(keeper, request, response);
  const { headers } = request;
  const target = headers[TARGET_KEY];
  if (target !== undefined && target !== keeper.id) {
    return refuse(response, 'MISDIRECTED', `This is ${keeper.id}; the request was for ${String(target)}.`);
  }
  const { inheritance } = keeper;
  inheritance.run(headers[DEADLINE_KEY], headers[ATTEMPT_KEY], () => {
    if (!inheritance.isLate) {
      count(keeper, request, response);
      return proceed();
    }
    keeper.refusedLate('http');
    refuse(response, 'DEADLINE_EXCEEDED', 'The caller stopped waiting before the request arrived.');
  });
}

function count(keeper: Keeper, request: IncomingMessage, response: ServerResponse): void {
  keeper.inFlight.begin(response, () => isEventStream(request, response), OVER_HTTP);
  keeper.inheritance.begin(response);
  response.once('close', () => {
    keeper.inFlight.end(response);
    keeper.inheritance.end(response);
  });
  // a kept connection would be cut at the end, perhaps with the next request on its way
  if (keeper.isDraining && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
}

/** A response whose headers were given to `writeHead` alone does not tell them, hence the look at what was asked for. */
function isEventStream(request: IncomingMessage, response: ServerResponse): boolean {
  const type = String(response.getHeader('content-type'));
  return request.headers.accept === EVENT_STREAM || type.startsWith(EVENT_STREAM);
}
