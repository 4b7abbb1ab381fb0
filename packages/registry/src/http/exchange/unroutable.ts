import type { Problem } from '@rollcall/core';
import type { onRequestHookHandler } from 'fastify';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RouteContext } from '../route-context.js';
import { flawed, problemOfError, rawProblem, sendProblem, UNREADABLE } from './problem.js';

/** Answers input that never became a request, on its socket. Fastify's `clientErrorHandler`. */
export function answerBrokenRequest(
  error: NodeJS.ErrnoException,
  socket: Socket,
  { metrics }: Pick<RouteContext, 'metrics'>,
): void {
  // a client that sent nothing expects no answer, and may be one of thousands
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) {
    socket.destroy();
    return;
  }
  const problem = problemOfError(error) ?? UNREADABLE;
  metrics?.refused(problem.code);
  endWith(socket, rawProblem(problem));
}

/**
 * Answers requests that Node does not route, and would answer without a body. CONNECT ends its connection at once,
 * whatever else is under way over it.
 */
export function refuseUnroutable(server: Server, { metrics }: Pick<RouteContext, 'metrics'>): void {
  server.on('connect', (_request, socket) => {
    metrics?.refused(NO_PROXY.code);
    // Node no longer handles its errors
    socket.on('error', () => {});
    endWith(socket, rawProblem(NO_PROXY, { allow: 'GET, HEAD, POST, PATCH, DELETE' }));
  });
  // in order with the other requests of the connection
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

/** Refuses requests with an `Expect` other than `100-continue`. */
export const refuseExpectation: onRequestHookHandler = (request, reply, next) => {
  const { headers } = request;
  if (expectsNoMore(headers)) next();
  else
    void sendProblem(
      reply.header('connection', 'close'),
      flawed('Expect', headers.expect ?? '', '100-continue, or no such header'),
    );
};

/** True without `Expect`, or with `100-continue`, which Node handles. */
export const expectsNoMore = ({ expect }: IncomingHttpHeaders): boolean =>
  expect === undefined || /^100-continue$/i.test(expect);

function endWith(socket: Duplex, answer: string): void {
  socket.end(answer, () => socket.destroy());
}

const NO_PROXY: Problem = {
  code: 'METHOD_NOT_ALLOWED',
  detail: 'The registry is not a proxy: it does not accept CONNECT.',
  fix: 'Send requests directly; GET /openapi.json lists every route.',
};
