import { ADMIN_STATES, STATES } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import { decodePlace } from '../../queries/instance-list.js';
import { INSTANCE_SORTS } from '../../queries/instance-query.js';
import type { InstanceSort } from '../../queries/instance-query.js';
import type { InstanceQuery, Outcome } from '../../registry-api.js';
import { flawed, sendOutcome } from '../exchange/problem.js';
import { flagOf, limitOf, listOf, namesOf, namespaceOf, enumOf } from '../exchange/request.js';
import type { RouteContext } from '../route-context.js';

/** A pattern longer than any text that is searched finds nothing. */
export const MAX_SEARCH_LENGTH = 128;

/** Instances of all services, by filters, a page at a time. */
export const instanceRoutes: FastifyPluginCallback<RouteContext> = (app, { registry }, done) => {
  app.get('/api/v1/instances', (request, reply) => {
    const query = queryOf(request);
    return sendOutcome(reply, 200, query.ok ? registry.instances(query.value) : query);
  });

  done();
};

function queryOf(request: FastifyRequest): Outcome<InstanceQuery> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const services = namesOf(request, 'service');
  if (!services.ok) return services;
  const states = enumOf(request, 'state', STATES);
  if (!states.ok) return states;
  const admins = enumOf(request, 'admin', ADMIN_STATES);
  if (!admins.ok) return admins;
  const callable = flagOf(request, 'callable');
  if (!callable.ok) return callable;
  const heartbeats = flagOf(request, 'heartbeats');
  if (!heartbeats.ok) return heartbeats;
  const [search = ''] = listOf(request, 'q');
  if (search.length > MAX_SEARCH_LENGTH) {
    return { ok: false, problem: flawed('q', search, `at most ${MAX_SEARCH_LENGTH} characters`) };
  }
  const page = pageOf(request);
  if (!page.ok) return page;
  return {
    ok: true,
    value: {
      namespace: namespace.value,
      services: services.value.includes('*') ? [] : services.value,
      states: states.value,
      admins: admins.value,
      callable: listOf(request, 'callable').length === 0 ? null : callable.value,
      zones: listOf(request, 'zone'),
      versions: listOf(request, 'version'),
      search,
      withHeartbeats: heartbeats.value,
      ...page.value,
    },
  };
}

/** The order, the cursor and the number of instances of a page. */
function pageOf(request: FastifyRequest): Outcome<Pick<InstanceQuery, 'sort' | 'isReversed' | 'limit' | 'after'>> {
  const [sortText = 'service'] = listOf(request, 'sort');
  const isReversed = sortText.startsWith('-');
  const sort: InstanceSort | undefined = INSTANCE_SORTS.find((known) => known === sortText.slice(isReversed ? 1 : 0));
  if (sort === undefined) {
    const allowed = `one of ${INSTANCE_SORTS.join(', ')}, reversed with a - before it`;
    return { ok: false, problem: flawed('sort', sortText, allowed) };
  }
  const limit = limitOf(request);
  if (!limit.ok) return limit;
  const [afterText] = listOf(request, 'after');
  const after = afterText === undefined ? null : decodePlace(afterText, { sort, isReversed });
  if (afterText !== undefined && after === null) {
    return { ok: false, problem: flawed('after', afterText, 'the next of the previous answer, with the same sort') };
  }
  return { ok: true, value: { sort, isReversed, limit: limit.value, after } };
}
