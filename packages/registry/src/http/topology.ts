import type { FastifyPluginCallback } from 'fastify';
import { sendOutcome } from './problem.js';
import { namespaceOf } from './request.js';
import type { Rim } from './rim.js';

/** Who calls whom. */
export const topologyRoutes: FastifyPluginCallback<Rim> = (app, { registry }, done) => {
  app.get('/api/v1/topology', (request, reply) => {
    const namespace = namespaceOf(request);
    return sendOutcome(reply, 200, namespace.ok ? registry.topology(namespace.value) : namespace);
  });

  done();
};
