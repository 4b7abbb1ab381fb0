import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { Outcome, TrafficQuery } from '../face.js';
import { STEPS } from '../traffic.js';
import { flawed, sendOutcome } from './problem.js';
import { listOf, nameOf, namespaceOf } from './request.js';
import type { Rim } from './rim.js';

/** Who calls whom, and how much. */
export const topologyRoutes: FastifyPluginCallback<Rim> = (app, { registry }, done) => {
  app.get('/api/v1/topology', (request, reply) => {
    const namespace = namespaceOf(request);
    return sendOutcome(reply, 200, namespace.ok ? registry.topology(namespace.value) : namespace);
  });

  app.get('/api/v1/traffic', (request, reply) => {
    const query = queryOf(request);
    return sendOutcome(reply, 200, query.ok ? registry.traffic(query.value) : query);
  });

  done();
};

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
