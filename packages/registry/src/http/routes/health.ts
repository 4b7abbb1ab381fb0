import type { FastifyPluginCallback } from 'fastify';
import { sendProblem } from '../exchange/problem.js';
import type { RouteContext } from '../route-context.js';

/** For orchestrators: `live` fails only if the process cannot recover, `ready` also while the store is not loaded. */
export const healthRoutes: FastifyPluginCallback<RouteContext> = (app, { registry }, done) => {
  app.get('/health/live', (_request, reply) => reply.send({ status: 'live' }));

  app.get('/health/ready', (_request, reply) => {
    if (registry.ready) return reply.send({ status: 'ready' });
    return sendProblem(reply, {
      code: 'NOT_READY',
      detail: 'The registry has not loaded its store yet.',
      fix: 'Try again in a moment.',
      retryAfterMs: 1000,
    });
  });

  done();
};
