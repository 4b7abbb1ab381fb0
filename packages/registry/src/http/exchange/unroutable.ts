import type { Problem } from '@rollcall/core';
import type { onRequestHookHandler } from 'fastify';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RouteContext } from '../route-context.js';
import { flawed, problemOfError, rawProblem, sendProblem, UNREADABLE } from './problem.js';

/** What never became a request: there is no route and no reply, just a socket. Fastify's `clientErrorHandler`. */
export function answerBrokenRequest(
  error: NodeJS.ErrnoException,
  socket: Socket,
  { metrics }: Pick<RouteContext, 'metrics'>,
): void {
  // who has said nothing waits for no answer, and may be one of thousands
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) {
    socket.destroy();
    return;
  }
  const problem = problemOfError(error) ?? UNREADABLE;
  metrics?.refused(problem.code);
  part(socket, rawProblem(problem));
}

/**
 * Requests that Node hands to no route, and would answer without a word, or without a document. CONNECT ends its connection at once, whatever
 * else is under way over it.
 */
export function refuseUnroutable(server: Server, { metrics }: Pick<RouteContext, 'metrics'>): void {
  server.on('connect', (_request, socket) => {
    metrics?.refused(NO_PROXY.code);
    // Node has let go of it
    socket.on('error', () => {});
    part(socket, rawProblem(NO_PROXY, { allow: 'GET, HEAD, POST, PATCH, DELETE' }));
  });
  // in its turn, as what came before and after it over the connection
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

/** Refuses what expects something else than to be told that it may go on. */
export const refuseExpectation: onRequestHookHandler = (request, reply, next) => {
  const { headers } = request;
  if (expectsNoMore(headers)) next();
  else
    void sendProblem(
      reply.header('connection', 'close'),
      flawed('Expect', headers.expect ?? '', '100-continue, or not at all'),
    );
};

/** Than to be told that it may go on, which Node does. */
export const expectsNoMore = ({ expect }: IncomingHttpHeaders): boolean =>
  expect === undefined || /^100-continue$/i.test(expect);

function part(socket: Duplex, answer: string): void {
  socket.end(answer, () => socket.destroy());
}

const NO_PROXY: Problem = {
  code: 'METHOD_NOT_ALLOWED',
  detail: 'The registry is no proxy: it does not take CONNECT.',
  fix: 'Ask it directly; GET /openapi.json lists every route.',
};
