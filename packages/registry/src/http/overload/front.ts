import type { FastifyInstance } from 'fastify';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { RouteContext } from '../route-context.js';
import type { ShortWay } from './beat.js';
import { Pipelines } from './pipelines.js';
import type { Queue } from './request-queue.js';

/** What is ahead of Fastify. */
interface Forecourt {
  /** Answers nobody any more who lost the right to it: asked when a request comes, and again when it is its turn. It ends the connection itself. */
  readonly isBarred: (request: IncomingMessage) => boolean;
  readonly way: ShortWay;
  readonly queue: Queue;
}

/**
 * Lets `way` see each request before Fastify does, and the others wait in a queue, until the server closes: Fastify then ends connections
 * with their answers.
 */
export function putBefore(
  app: FastifyInstance,
  { isBarred, way, queue }: Forecourt,
  ports: Pick<RouteContext, 'log' | 'time'>,
): void {
  const server: Server = app.server;
  const routed = server.listeners('request');
  const begin = (request: IncomingMessage, response: ServerResponse): void => {
    if (isBarred(request)) return;
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
    if (isBarred(request)) return undefined;
    const join = (): void => queue.join(request, response, () => begin(request, response));
    const first = (): void => {
      if (!way(request, response)) join();
    };
    return pipelines.enter(request, response, first, join);
  });
}
