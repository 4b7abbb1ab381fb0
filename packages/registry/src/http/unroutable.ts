import type { Problem } from '@rollcall/core';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { refuse } from './plain-answer.js';
import { flawed, problemOfError, rawProblem, UNREADABLE } from './problem.js';
import type { Rim } from './rim.js';
import { SECURITY_HEADERS } from './security.js';

/** What never became a request: there is no route and no reply, just a socket. Fastify's `clientErrorHandler`. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  // who has said nothing waits for no answer, and may be one of thousands
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) socket.destroy();
  else part(socket, rawProblem(problemOfError(error) ?? UNREADABLE));
}

/** Requests that Node hands to no route, and would answer without a word, or without a document. */
export function refuseUnroutable(server: Server, { metrics }: Pick<Rim, 'metrics'>): void {
  server.on('connect', (_request, socket) => {
    metrics?.refused(NO_PROXY.code);
    // Node has let go of it
    socket.on('error', () => {});
    part(socket, rawProblem(NO_PROXY, { allow: 'GET, HEAD, POST, PATCH, DELETE' }));
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const problem = flawed('Expect', request.headers.expect ?? '', '100-continue, or not at all');
    metrics?.refused(problem.code);
    refuse(response, problem, { ...SECURITY_HEADERS, connection: 'close' });
  });
}

function part(socket: Duplex, answer: string): void {
  socket.end(answer, () => socket.destroy());
}

const NO_PROXY: Problem = {
  code: 'METHOD_NOT_ALLOWED',
  detail: 'The registry is no proxy: it does not take CONNECT.',
  fix: 'Ask it directly; GET /openapi.json lists every route.',
};
