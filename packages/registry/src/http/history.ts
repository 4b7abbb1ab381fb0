import { EVENT_KINDS } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { EventQuery, Outcome } from '../face.js';
import { flawed, sendOutcome } from './problem.js';
import { listOf, namesOf, namespaceOf, numberOf } from './request.js';
import type { Rim } from './rim.js';

const DEFAULT_LIMIT = 100;
export const LARGEST_LIMIT = 1_000;

/** What happened, to whom, and why. */
export const historyRoutes: FastifyPluginCallback<Rim> = (app, { registry }, done) => {
  app.get<{ Params: { id: string } }>('/api/v1/instances/:id/timeline', (request, reply) =>
    sendOutcome(reply, 200, registry.timeline(request.params.id)),
  );

  app.get<{ Params: { id: string } }>('/api/v1/instances/:id/beats', (request, reply) =>
    sendOutcome(reply, 200, registry.beats(request.params.id)),
  );

  app.get('/api/v1/events', (request, reply) => {
    const query = queryOf(request);
    return sendOutcome(reply, 200, query.ok ? registry.events(query.value) : query);
  });

  done();
};

function queryOf(request: FastifyRequest): Outcome<EventQuery> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const services = namesOf(request, 'service');
  if (!services.ok) return services;
  const after = numberOf(request, 'after', Number.MAX_SAFE_INTEGER);
  if (!after.ok) return after;
  const limit = numberOf(request, 'limit', LARGEST_LIMIT);
  if (!limit.ok) return limit;
  if (limit.value === 0)
    return { ok: false, problem: flawed('limit', '0', `a whole number from 1 to ${LARGEST_LIMIT}`) };
  const kinds = listOf(request, 'kind');
  const known = EVENT_KINDS.filter((kind) => kinds.includes(kind));
  const wrong = kinds.find((kind) => !known.some((one) => one === kind));
  if (wrong !== undefined) return { ok: false, problem: flawed('kind', wrong, `one of ${EVENT_KINDS.join(', ')}`) };
  return {
    ok: true,
    value: {
      after: after.value,
      limit: limit.value ?? DEFAULT_LIMIT,
      namespace: namespace.value,
      services: services.value.includes('*') ? [] : services.value,
      kinds: known,
    },
  };
}
