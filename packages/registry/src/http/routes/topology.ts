import type { TopologyAnswer } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import { STEPS } from '../../activity/traffic.js';
import type { Outcome, TrafficQuery } from '../../registry-api.js';
import { flawed, sendOutcome } from '../exchange/problem.js';
import { flagOf, listOf, nameOf, namesOf, namespaceOf } from '../exchange/request.js';
import type { RouteContext } from '../route-context.js';
import { summaryOf } from '../../activity/topology-summary.js';

/** The graph of calls, with their counts. */
export const topologyRoutes: FastifyPluginCallback<RouteContext> = (app, { registry }, done) => {
  app.get('/api/v1/topology', (request, reply) => {
    const query = topologyQueryOf(request);
    if (!query.ok) return sendOutcome(reply, 200, query);
    const answer = registry.topology(query.value.namespace);
    return sendOutcome(reply, 200, answer.ok ? { ok: true, value: shown(answer.value, query.value) } : answer);
  });

  app.get('/api/v1/traffic', (request, reply) => {
    const query = queryOf(request);
    return sendOutcome(reply, 200, query.ok ? registry.traffic(query.value) : query);
  });

  done();
};

/** The query of the topology. */
interface TopologyQuery {
  readonly namespace: string;
  /** Only edges from or to one of these; empty: all. */
  readonly services: readonly string[];
  readonly withTargets: boolean;
  readonly isSummary: boolean;
}

function topologyQueryOf(request: FastifyRequest): Outcome<TopologyQuery> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const services = namesOf(request, 'service');
  if (!services.ok) return services;
  const withTargets = flagOf(request, 'targets', true);
  if (!withTargets.ok) return withTargets;
  const isSummary = flagOf(request, 'summary');
  if (!isSummary.ok) return isSummary;
  return {
    ok: true,
    value: {
      namespace: namespace.value,
      services: services.value.includes('*') ? [] : services.value,
      withTargets: withTargets.value,
      isSummary: isSummary.value,
    },
  };
}

function shown({ withinMs, edges }: TopologyAnswer, { services, withTargets, isSummary }: TopologyQuery): object {
  const wanted =
    services.length === 0 ? edges : edges.filter(({ from, to }) => services.includes(from) || services.includes(to));
  if (isSummary) return summaryOf({ withinMs, edges: wanted });
  return { withinMs, edges: withTargets ? wanted : wanted.map(withoutTargets) };
}

function withoutTargets(edge: TopologyAnswer['edges'][number]): object {
  const { targets: _, ...rest } = edge;
  return rest;
}

function queryOf(request: FastifyRequest): Outcome<TrafficQuery> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const from = nameOf(request, 'from');
  if (!from.ok) return from;
  const to = nameOf(request, 'to');
  if (!to.ok) return to;
  const [word = STEPS[0]] = listOf(request, 'step');
  const step = STEPS.find((one) => one === word);
  if (step === undefined) return { ok: false, problem: flawed('step', word, `one of ${STEPS.join(', ')}`) };
  return { ok: true, value: { namespace: namespace.value, from: from.value, to: to.value, step } };
}
