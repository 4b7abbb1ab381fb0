import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { HttpAdapterHost } from '@nestjs/core';
import { ATTEMPT_KEY, DEADLINE_KEY, HEARTBEAT_PATH, PROBLEMS, TARGET_KEY } from '@rollcall/core';
import type { ProblemCode } from '@rollcall/core';
import type { BoundEndpoint, Door, Keeper } from './door.js';

const EVENT_STREAM = 'text/event-stream';
const OUR_PATHS = '/.well-known/rollcall/';
/** A Heartbeat-1 is a quarter of this. */
const LARGEST_BODY_BYTES = 1_024;
/** A connection that the registry keeps for its next call may be idle for so long. */
const KEPT_MS = 120_000;

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
  keeper.inFlight.begin(response, () => isEventStream(request, response));
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

function answerUs(keeper: Keeper, request: IncomingMessage, response: ServerResponse): void {
  if (request.url !== HEARTBEAT_PATH) return refuse(response, 'NOT_FOUND', `There is nothing at ${request.url}.`);
  if (request.method !== 'POST') return refuse(response, 'METHOD_NOT_ALLOWED', `${HEARTBEAT_PATH} takes POST.`);
  readBody(request, (body) => {
    if (body === null) return refuseBody(response);
    const received = parse(body);
    if (received === undefined) return refuse(response, 'INVALID', 'The body is no JSON.');
    const reply = keeper.answer(received);
    if (reply.closes) response.setHeader('connection', 'close');
    // Node gives an idle connection 5 s, which is the interval of the calls: each would find it closed
    if (reply.keeps) response.once('finish', () => request.socket.setTimeout(KEPT_MS));
    send(response, 200, 'application/json', reply.answer);
  });
}

function refuseBody(response: ServerResponse): void {
  response.setHeader('connection', 'close'); // the rest of it is not waited for
  refuse(response, 'TOO_LARGE', `A body has at most ${LARGEST_BODY_BYTES} bytes.`);
}

/** Hands over the body, or null as soon as it is too large. A request that breaks off is never handed over. */
function readBody(request: IncomingMessage, done: (body: string | null) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  const take = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= LARGEST_BODY_BYTES) return void chunks.push(chunk);
    request.off('data', take).off('end', finish);
    done(null);
  };
  const finish = (): void => done(Buffer.concat(chunks).toString('utf8'));
  request.on('data', take).on('end', finish);
}

/** Undefined for what is no JSON. */
function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function refuse(response: ServerResponse, code: ProblemCode | 'DEADLINE_EXCEEDED', detail: string): void {
  const status = code === 'DEADLINE_EXCEEDED' ? 504 : PROBLEMS[code];
  send(response, status, 'application/problem+json', { type: 'about:blank', title: code, status, code, detail });
}

function send(response: ServerResponse, status: number, type: string, content: unknown): void {
  const body = Buffer.from(JSON.stringify(content));
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, 'cache-control': 'no-store' });
  response.end(body);
}
