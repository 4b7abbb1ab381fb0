import { drainMessage, registrationMessage, suspicionMessage } from '@rollcall/core';
import type { FastifyPluginCallback } from 'fastify';
import { BEAT_ROUTE, beatOutcome } from './beat.js';
import { bodyOf } from './body.js';
import { sendOutcome, sendProblem } from './problem.js';
import { reasonOf } from './request.js';
import type { Rim } from './rim.js';

/** What services and their callers send. The engine decides, authentication included: the rim only reads and answers. */
export const serviceRoutes: FastifyPluginCallback<Rim> = (app, { registry, entrance, refused }, done) => {
  app.post(
    '/api/v1/register',
    refused === undefined ? {} : { preSerialization: refused.hook },
    async (request, reply) => {
      const registration = bodyOf(registrationMessage, request.body);
      if (!registration.ok) return sendProblem(reply, registration.problem);
      const refusal = entrance.registrationRefusal(request, registration.value);
      if (refusal !== null) return sendProblem(reply, refusal);
      return sendOutcome(reply, 201, await registry.register(registration.value, entrance.peerOf(request)));
    },
  );

  app.post<{ Params: { id: string } }>(BEAT_ROUTE, (request, reply) =>
    sendOutcome(reply, 200, beatOutcome(registry, request.params.id, entrance.proofOf(request.raw), request.body)),
  );

  app.post<{ Params: { id: string } }>('/api/v1/instances/:id/suspect', (request, reply) => {
    const suspicion = bodyOf(suspicionMessage, request.body);
    if (!suspicion.ok) return sendProblem(reply, suspicion.problem);
    const refusal = entrance.suspicionRefusal(request, suspicion.value);
    if (refusal !== null) return sendProblem(reply, refusal);
    return sendOutcome(reply, 202, registry.suspect(request.params.id, suspicion.value, entrance.peerOf(request)));
  });

  app.post<{ Params: { id: string } }>('/api/v1/instances/:id/drain', (request, reply) => {
    const drain = bodyOf(drainMessage, request.body ?? {});
    return sendOutcome(
      reply,
      202,
      drain.ok ? registry.drain(request.params.id, entrance.proofOf(request.raw), drain.value) : drain,
    );
  });

  app.delete<{ Params: { id: string } }>('/api/v1/instances/:id', (request, reply) => {
    const reason = reasonOf(request);
    const left = reason.ok ? registry.leave(request.params.id, entrance.enderOf(request), reason.value) : reason;
    return sendOutcome(reply, 204, left);
  });

  done();
};
