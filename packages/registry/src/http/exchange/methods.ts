import type { FastifyInstance } from 'fastify';
import { sendProblem, wrongMethod } from './problem.js';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Fastify answers 404 to a known path with another method. This collects the methods of all routes added from now on;
 * call the result once all are added, to answer all other methods of them with 405 and `Allow`.
 */
export function collectMethods(app: FastifyInstance): () => void {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    methods.set(url, known);
    for (const one of [method].flat()) known.add(one);
  });
  return () => {
    for (const [url, known] of methods) refuseOthers(app, url, [...known]);
  };
}

function refuseOthers(app: FastifyInstance, url: string, allowed: readonly string[]): void {
  app.route({
    method: METHODS.filter((method) => !allowed.includes(method)),
    url,
    // before the body is read, whatever its type
    onRequest: (request, reply) => {
      reply.header('allow', allowed.join(', '));
      sendProblem(reply, wrongMethod(request.method, request.url, allowed));
    },
    handler: () => {},
  });
}
