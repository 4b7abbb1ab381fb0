import { EVENT_KINDS, ID_PATTERN, MAX_NAMES_PER_REQUEST, STATES } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { EventQuery, Outcome } from '../../registry-api.js';
import { flawed, sendOutcome } from '../exchange/problem.js';
import { limitOf, listOf, namesOf, namespaceOf, numberOf, enumOf } from '../exchange/request.js';
import type { RouteContext } from '../route-context.js';

/** The history: events with their subjects and reasons. */
export const historyRoutes: FastifyPluginCallback<RouteContext> = (app, { registry }, done) => {
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
  const instances = idsOf(request);
  if (!instances.ok) return instances;
  const kinds = enumOf(request, 'kind', EVENT_KINDS);
  if (!kinds.ok) return kinds;
  const states = enumOf(request, 'state', STATES);
  if (!states.ok) return states;
  const timeRange = timeRangeOf(request);
  if (!timeRange.ok) return timeRange;
  const page = pageOf(request);
  if (!page.ok) return page;
  return {
    ok: true,
    value: {
      namespace: namespace.value,
      services: services.value.includes('*') ? [] : services.value,
      instances: instances.value,
      kinds: kinds.value,
      states: states.value,
      ...timeRange.value,
      ...page.value,
    },
  };
}

function idsOf(request: FastifyRequest): Outcome<readonly string[]> {
  const ids = listOf(request, 'instance');
  const wrong = ids.find((id) => !ID_PATTERN.test(id));
  if (wrong !== undefined)
    return { ok: false, problem: flawed('instance', wrong, 'the whole id of an instance, as it was registered') };
  if (ids.length <= MAX_NAMES_PER_REQUEST) return { ok: true, value: ids };
  return { ok: false, problem: flawed('instance', `${ids.length} ids`, `at most ${MAX_NAMES_PER_REQUEST} ids`) };
}

function timeRangeOf(request: FastifyRequest): Outcome<Pick<EventQuery, 'from' | 'to'>> {
  const from = numberOf(request, 'from', Number.MAX_SAFE_INTEGER);
  if (!from.ok) return from;
  const to = numberOf(request, 'to', Number.MAX_SAFE_INTEGER);
  if (!to.ok) return to;
  if (from.value === null || to.value === null || from.value < to.value)
    return { ok: true, value: { from: from.value, to: to.value } };
  return { ok: false, problem: flawed('to', String(to.value), 'a time, ms since 1970, later than `from`') };
}

function pageOf(request: FastifyRequest): Outcome<Pick<EventQuery, 'after' | 'before' | 'limit'>> {
  const after = numberOf(request, 'after', Number.MAX_SAFE_INTEGER);
  if (!after.ok) return after;
  const before = numberOf(request, 'before', Number.MAX_SAFE_INTEGER);
  if (!before.ok) return before;
  if (after.value !== null && before.value !== null) {
    const allowed = 'the number of an event, without `after`: only one of the two can be sent';
    return { ok: false, problem: flawed('before', String(before.value), allowed) };
  }
  const limit = limitOf(request);
  if (!limit.ok) return limit;
  return { ok: true, value: { after: after.value, before: before.value, limit: limit.value } };
}
