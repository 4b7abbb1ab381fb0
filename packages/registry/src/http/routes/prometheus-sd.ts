import { addressOf, TOLD } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { Outcome, RegistryApi } from '../../registry-api.js';
import { flawed, sendProblem } from '../exchange/problem.js';
import { listOf, namesOf, namespaceOf } from '../exchange/request.js';
import type { RouteContext } from '../route-context.js';

/** Prometheus takes nothing else. */
const JSON_TYPE = 'application/json; charset=utf-8';
/** The key of the metadata under which an instance announces its metrics endpoint. */
export const METRICS_KEY = TOLD.metrics;

/** A query of Prometheus. */
interface Query {
  readonly namespace: string;
  /** None, or `*`: all. */
  readonly services: readonly string[];
  /** The key of the metadata with the port; null: `rollcall.metrics`, or else the HTTP endpoint. */
  readonly key: string | null;
}

/** One group of targets, as `http_sd_config` of Prometheus reads it. */
export interface TargetGroup {
  readonly targets: readonly [string];
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The scrape targets for Prometheus (`http_sd_config`): every instance in any state, as an instance that is down has to
 * be seen as down. A registry that is not ready or not settled answers 503, and Prometheus keeps its targets; an empty
 * list would remove them all.
 */
export const prometheusRoutes: FastifyPluginCallback<RouteContext> = (app, { registry }, done) => {
  app.get('/sd/prometheus', (request, reply) => {
    const query = readQuery(request);
    if (!query.ok) return sendProblem(reply, query.problem);
    const found = groupsOf(registry, query.value);
    if (!found.ok) return sendProblem(reply, found.problem);
    return reply.type(JSON_TYPE).send(JSON.stringify(found.value));
  });

  done();
};

function readQuery(request: FastifyRequest): Outcome<Query> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const services = namesOf(request, 'service');
  if (!services.ok) return services;
  const [key = null] = listOf(request, 'port-from-metadata');
  if (key === '')
    return { ok: false, problem: flawed('port-from-metadata', key, `a key of metadata, such as ${METRICS_KEY}`) };
  return { ok: true, value: { namespace: namespace.value, services: services.value, key } };
}

function groupsOf(registry: RegistryApi, query: Query): Outcome<readonly TargetGroup[]> {
  const about = registry.describe();
  if (!about.ok) return about;
  const summaries = registry.services(query.namespace);
  if (!summaries.ok) return summaries;
  if (!about.value.settled) return NOT_SETTLED;
  const wants = (name: string): boolean =>
    query.services.length === 0 || query.services.includes('*') || query.services.includes(name);
  const groups = summaries.value.services
    .filter(({ name }) => wants(name))
    .flatMap(({ namespace, name }) => {
      const found = registry.service(namespace, name);
      return found.ok ? found.value.instances : [];
    })
    .map((instance) => groupOf(instance, query.key));
  return { ok: true, value: groups.filter((group) => group !== null) };
}

const NOT_SETTLED: Outcome<never> = {
  ok: false,
  problem: {
    code: 'NOT_READY',
    detail:
      'This registry has just started, or lost sight of many instances: its list of instances is not yet complete.',
    fix: 'Keep the targets that you have, and ask again in a moment.',
    retryAfterMs: 1_000,
  },
};

interface Place {
  readonly port: number;
  readonly path: string;
}

/** Null: it has no metrics endpoint, or announces it in an invalid form. */
export function groupOf(instance: Instance, key: string | null): TargetGroup | null {
  const http = instance.endpoints.find(({ protocol }) => protocol === 'http');
  const announced = instance.metadata[key ?? METRICS_KEY];
  const isAnnounced = announced !== undefined || key !== null;
  const place = isAnnounced ? placeIn(announced ?? '') : http === undefined ? null : { port: http.port, path: '' };
  // it is scraped at its registered host, whatever it declares: no instance can point Prometheus at another host
  const endpoint = http ?? instance.endpoints[0];
  if (place === null || endpoint === undefined) return null;
  const isTls = http?.tls === true && http.port === place.port;
  return {
    targets: [addressOf({ host: endpoint.host, port: place.port })],
    labels: {
      ...metadataLabels(instance),
      __meta_rollcall_service: instance.service,
      __meta_rollcall_namespace: instance.namespace,
      __meta_rollcall_instance: instance.id,
      __meta_rollcall_version: instance.version,
      __meta_rollcall_zone: instance.zone,
      __meta_rollcall_state: instance.state,
      // many HTTP services have no metrics: a relabel rule keeps those that announce them
      __meta_rollcall_metrics: isAnnounced ? 'announced' : 'assumed',
      ...(place.path === '' ? {} : { __metrics_path__: place.path }),
      ...(isTls ? { __scheme__: 'https' } : {}),
    },
  };
}

/** `9464`, or `9464/internal/metrics`. */
function placeIn(announced: string): Place | null {
  const [, digits = '', path = ''] = /^(\d{1,5})(\/[\x21-\x7e]*)?$/.exec(announced) ?? [];
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { port, path } : null;
}

/** Label names of Prometheus have letters, digits and _ alone. */
function metadataLabels({ metadata }: Instance): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata))
    labels[`__meta_rollcall_metadata_${key.replaceAll(/[^a-zA-Z0-9_]/g, '_')}`] = value;
  return labels;
}
