import type { FastifyInstance } from 'fastify';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { RouteContext } from '../route-context.js';
import type { FastPath } from './beat.js';
import { Pipelines } from './pipelines.js';
import type { Queue } from './request-queue.js';

/** The parts ahead of Fastify. */
interface FrontParts {
  /**
   * True if the connection may no longer be served: checked when a request arrives, and again when it is its turn. It
   * ends the connection itself.
   */
  readonly isRevoked: (request: IncomingMessage) => boolean;
  readonly fastPath: FastPath;
  readonly queue: Queue;
}

/**
 * Passes each request to `fastPath` before Fastify, and queues the others. Once the server closes, requests go to
 * Fastify directly, which ends connections with their answers.
 */
export function interceptRequests(
  app: FastifyInstance,
  { isRevoked, fastPath, queue }: FrontParts,
  ports: Pick<RouteContext, 'log' | 'time'>,
): void {
  const server: Server = app.server;
  const routed = server.listeners('request');
  const begin = (request: IncomingMessage, response: ServerResponse): void => {
    if (isRevoked(request)) return;
    for (const listener of routed) Reflect.apply(listener, server, [request, response]);
  };
  const pipelines = new Pipelines(ports);
  let isClosing = false;
  app.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  server.on('connection', () => queue.connectionCame());
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (isClosing) return begin(request, response);
    if (isRevoked(request)) return undefined;
    const join = (): void => queue.join(request, response, () => begin(request, response));
    const first = (): void => {
      if (!fastPath(request, response)) join();
    };
    return pipelines.enter(request, response, first, join);
  });
}
