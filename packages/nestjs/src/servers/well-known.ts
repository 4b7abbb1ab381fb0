import type { IncomingMessage, ServerResponse } from 'node:http';
import { HEARTBEAT_PATH, PROBLEMS } from '@rollcall/core';
import type { ProblemCode } from '@rollcall/core';
import type { ServerHost } from './server-adapter.js';

/** Paths with this prefix are for us, on every HTTP server of the application. */
export const OWN_PATHS = '/.well-known/rollcall/';
/** For platform probes: 200 while this process serves, 503 once it drains. It does not check the registry. */
export const READY_PATH = `${OWN_PATHS}ready`;
/** The largest body; a Heartbeat-1 is a quarter of this. */
const LARGEST_BODY_BYTES = 1_024;
/** How long a connection that the registry keeps for its next call may be idle. */
const KEPT_MS = 120_000;

/** Answers a request to one of our paths, which the application never sees. */
export function answerOwnPath(serverHost: ServerHost, request: IncomingMessage, response: ServerResponse): void {
  if (request.url === READY_PATH) return answerReady(serverHost, request, response);
  if (request.url !== HEARTBEAT_PATH) return refuse(response, 'NOT_FOUND', `There is nothing at ${request.url}.`);
  if (request.method !== 'POST') return refuse(response, 'METHOD_NOT_ALLOWED', `${HEARTBEAT_PATH} takes POST.`);
  readBody(request, (body) => {
    if (body === null) return refuseBody(response);
    const received = parse(body);
    if (received === undefined) return refuse(response, 'INVALID', 'The body is not JSON.');
    const reply = serverHost.answer(received);
    if (reply.closes) response.setHeader('connection', 'close');
    // Node gives an idle connection 5 s, which is the interval of the calls, so each call would find it closed
    if (reply.keeps) response.once('finish', () => request.socket.setTimeout(KEPT_MS));
    send(response, 200, 'application/json', reply.answer);
  });
}

function answerReady(serverHost: ServerHost, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(response, 'METHOD_NOT_ALLOWED', `${READY_PATH} takes GET.`);
  const { id, isDraining } = serverHost;
  send(response, isDraining ? 503 : 200, 'application/json', { instance: id, ready: !isDraining });
}

function refuseBody(response: ServerResponse): void {
  response.setHeader('connection', 'close'); // the rest of it is not waited for
  refuse(response, 'TOO_LARGE', `A body has at most ${LARGEST_BODY_BYTES} bytes.`);
}

/** Passes on the body, or null as soon as it is too large; an aborted request is never passed on. */
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

/** Parses JSON; undefined if the text is not JSON. */
function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** Ends a refused request. */
export function refuse(response: ServerResponse, code: ProblemCode | 'DEADLINE_EXCEEDED', detail: string): void {
  const status = code === 'DEADLINE_EXCEEDED' ? 504 : PROBLEMS[code];
  send(response, status, 'application/problem+json', { type: 'about:blank', title: code, status, code, detail });
}

function send(response: ServerResponse, status: number, type: string, content: unknown): void {
  const body = Buffer.from(JSON.stringify(content));
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, 'cache-control': 'no-store' });
  response.end(body);
}
