import { instancePatchMessage } from '@rollcall/core';
import type { FastifyPluginCallback } from 'fastify';
import { bodyOf } from '../exchange/body.js';
import { sendOutcome, sendProblem } from '../exchange/problem.js';
import type { RouteContext } from '../route-context.js';

/** Routes for operators. The engine decides whether they are permitted. */
export const operatorRoutes: FastifyPluginCallback<RouteContext> = (app, { registry, authorization }, done) => {
  app.patch<{ Params: { id: string } }>('/api/v1/instances/:id', async (request, reply) => {
    const patch = bodyOf(instancePatchMessage, request.body);
    if (!patch.ok) return sendProblem(reply, patch.problem);
    return sendOutcome(
      reply,
      200,
      await registry.amend(request.params.id, patch.value, authorization.operatorOf(request)),
    );
  });

  app.post<{ Params: { id: string } }>('/api/v1/instances/:id/call', (request, reply) =>
    sendOutcome(reply, 202, registry.call(request.params.id, authorization.operatorOf(request))),
  );

  done();
};
