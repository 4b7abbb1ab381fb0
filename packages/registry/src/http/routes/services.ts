import { drainMessage, registrationMessage, suspicionMessage } from '@rollcall/core';
import type { FastifyPluginCallback } from 'fastify';
import { bodyOf } from '../exchange/body.js';
import { sendOutcome, sendProblem } from '../exchange/problem.js';
import { reasonOf } from '../exchange/request.js';
import { BEAT_ROUTE, beatOutcome } from '../overload/beat.js';
import type { RouteContext } from '../route-context.js';

/**
 * Routes for services and their callers. The engine decides, authentication included: a route only reads and answers.
 */
export const serviceRoutes: FastifyPluginCallback<RouteContext> = (app, { registry, authorization, refused }, done) => {
  app.post(
    '/api/v1/register',
    refused === undefined ? {} : { preSerialization: refused.hook },
    async (request, reply) => {
      const registration = bodyOf(registrationMessage, request.body);
      if (!registration.ok) return sendProblem(reply, registration.problem);
      const refusal = authorization.registrationRefusal(request, registration.value);
      if (refusal !== null) return sendProblem(reply, refusal);
      return sendOutcome(reply, 201, await registry.register(registration.value, authorization.peerOf(request)));
    },
  );

  app.post<{ Params: { id: string } }>(BEAT_ROUTE, (request, reply) =>
    sendOutcome(reply, 200, beatOutcome(registry, request.params.id, authorization.proofOf(request.raw), request.body)),
  );

  app.post<{ Params: { id: string } }>('/api/v1/instances/:id/suspect', (request, reply) => {
    const suspicion = bodyOf(suspicionMessage, request.body);
    if (!suspicion.ok) return sendProblem(reply, suspicion.problem);
    const refusal = authorization.suspicionRefusal(request, suspicion.value);
    if (refusal !== null) return sendProblem(reply, refusal);
    return sendOutcome(reply, 202, registry.suspect(request.params.id, suspicion.value, authorization.peerOf(request)));
  });

  app.post<{ Params: { id: string } }>('/api/v1/instances/:id/drain', async (request, reply) => {
    const drain = bodyOf(drainMessage, request.body ?? {});
    if (!drain.ok) return sendProblem(reply, drain.problem);
    const proof = authorization.proofOf(request.raw);
    return sendOutcome(reply, 202, await registry.drain(request.params.id, proof, drain.value));
  });

  app.delete<{ Params: { id: string } }>('/api/v1/instances/:id', async (request, reply) => {
    const reason = reasonOf(request);
    if (!reason.ok) return sendProblem(reply, reason.problem);
    const ender = authorization.enderOf(request);
    return sendOutcome(reply, 204, await registry.leave(request.params.id, ender, reason.value));
  });

  done();
};
