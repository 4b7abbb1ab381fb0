import { instancePatchMessage } from '@rollcall/core';
import type { FastifyPluginCallback } from 'fastify';
import { bodyOf } from './body.js';
import { sendOutcome, sendProblem } from './problem.js';
import { isOperator } from './request.js';
import type { Rim } from './rim.js';

/** What operators say. The engine decides whether they may. */
export const operatorRoutes: FastifyPluginCallback<Rim> = (app, { registry }, done) => {
  app.patch<{ Params: { id: string } }>('/api/v1/instances/:id', async (request, reply) => {
    const patch = bodyOf(instancePatchMessage, request.body);
    if (!patch.ok) return sendProblem(reply, patch.problem);
    const operator = isOperator(request) ? ({ operator: true } as const) : null;
    return sendOutcome(reply, 200, await registry.amend(request.params.id, patch.value, operator));
  });

  done();
};
