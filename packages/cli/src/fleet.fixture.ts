import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { reasonFor } from '@rollcall/core';
import type { AdminState, Instance, ReasonCode, State } from '@rollcall/core';

/** The maximum length of a service name. */
export const LONGEST_NAME = `payments-${'x'.repeat(54)}`;
export const LONGEST_NAMESPACE = `team-${'y'.repeat(58)}`;
const NAMES = [LONGEST_NAME, 'customer-notification-preferences', 'orders'];
const VERSIONS = ['1.4.2', '2026.11.30-rc.1+build.20261130T235959Z.0123456789abcdef0123456', '日本語版-1.0'];

const REFUSED = 'connect ECONNREFUSED 10.0.3.21:3001';
const KINDS: readonly (readonly [State, ReasonCode, string | undefined])[] = [
  ['HEALTHY', 'BOTH_WAYS_OK', undefined],
  ['CRITICAL', 'PROOF_OF_DEATH', REFUSED],
  ['UNHEALTHY', 'INBOUND_REFUSED', `${REFUSED}（接続拒否）`],
  ['HEALTHY', 'BOTH_WAYS_OK', undefined],
  ['REGISTERING', 'NEW', undefined],
];
const NEXT: Instance['next'] = { state: 'DEREGISTERING', afterMs: 3_600_000, unless: 'HEARTBEAT_2' };

/**
 * Services of 5 instances each: in all states, with names and versions of maximum length, and texts in wide characters.
 */
export function createFleet(services: number, now: number): readonly Instance[] {
  return Array.from({ length: services * 5 }, (_, index) => createInstance(index, now));
}

function createInstance(index: number, now: number): Instance {
  const number = Math.floor(index / 5);
  const name = NAMES[number] ?? `service-${number}`;
  const [state, code, detail] = KINDS[index % 5] ?? ['HEALTHY', 'BOTH_WAYS_OK', undefined];
  const admin: AdminState = index % 15 === 3 ? 'MAINTENANCE' : 'ENABLED';
  return {
    id: `${name}-0192f0c1-7a3b-7c4d-8e5f-${String(index * 7_919).padStart(12, '0')}`,
    service: name,
    namespace: index % 2 === 0 ? 'default' : LONGEST_NAMESPACE,
    endpoints: [{ protocol: 'tcp', host: '10.0.3.21', port: 3_001, tls: false }],
    version: VERSIONS[number % 3] ?? '',
    zone: 'eu-central-1a',
    weight: 100,
    metadata: { team: '支払い', contact: `https://example.test/${'z'.repeat(60)}` },
    state,
    reason: reasonFor(code, detail),
    since: now - index * 100_000,
    next: state === 'HEALTHY' ? null : NEXT,
    admin,
    source: 'native',
    registeredAt: now - 1_000_000_000,
    revision: index,
  };
}

/**
 * A registry with this fleet, for commands that only read. `requests`: each requested path, with its query. `scope`: whether it has their namespaces, or all in the requested one.
 */
export async function startFleetRegistry(
  instances: readonly Instance[],
  scope: 'namespaces' | 'flat' = 'flat',
): Promise<{ readonly url: string; readonly server: Server; readonly requests: readonly string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams, search } = new URL(request.url ?? '', 'http://x');
    requests.push(pathname + search);
    const namespace = searchParams.get('namespace') ?? '*';
    const isIn = (instance: Instance): boolean =>
      scope === 'flat' || namespace === '*' || instance.namespace === namespace;
    const here = instances.filter(isIn);
    const answer =
      pathname === '/api/v1/services' ? { services: servicesOf(here, scope) } : answerFor(here, pathname, searchParams);
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, requests };
}

function servicesOf(instances: readonly Instance[], scope: 'namespaces' | 'flat'): readonly object[] {
  const spaces = new Map(
    instances.map(({ namespace, service }) => [`${namespace}/${service}`, { namespace, service }]),
  );
  const names = new Set(instances.map(({ service }) => service));
  if (scope === 'flat') return [...names].map((name) => ({ name }));
  return [...spaces.values()].map(({ namespace, service: name }) => ({ namespace, name }));
}

function answerFor(instances: readonly Instance[], path: string, query: URLSearchParams): unknown {
  if (path === '/api/v1/instances') return pageOf(instances, query);
  if (path === '/api/v1/topology') return topologyOf(instances);
  const [, kind, name = '', timeline] = /^\/api\/v1\/(services|instances)\/([^/]+)(\/timeline)?$/.exec(path) ?? [];
  if (kind === 'services') {
    return { revision: 1, instances: instances.filter(({ service }) => service === name).map(withHeartbeats) };
  }
  const instance = instances.find(({ id }) => id === name);
  if (instance === undefined) return undefined;
  if (timeline === undefined)
    return { ...withHeartbeats(instance), own: { weight: 100, metadata: {} }, override: null, falls: 0 };
  return { id: instance.id, since: 0, events: [eventOf(instance)] };
}

function withHeartbeats(instance: Instance): object {
  const fine = { lastSuccessAgoMs: 2_200, roundTripMs: 1.9, misses: 0, error: null };
  const heartbeat1 = instance.state === 'UNHEALTHY' ? { ...fine, misses: 2, error: REFUSED } : fine;
  return { ...instance, heartbeats: { heartbeat1, heartbeat2: { ...fine, roundTripMs: null } } };
}

/** The filters of state and service alone, which are enough to check that they are sent. */
function pageOf(instances: readonly Instance[], query: URLSearchParams): object {
  const [states, services] = [query.getAll('state'), query.getAll('service')];
  const matching = instances.filter(
    ({ state, service }) =>
      (states.length === 0 || states.includes(state)) && (services.length === 0 || services.includes(service)),
  );
  const from = Number(query.get('after') ?? 0);
  const to = from + Math.min(300, Number(query.get('limit') ?? 100));
  const next = to < matching.length ? String(to) : null;
  return { revision: 1, total: matching.length, next, instances: matching.slice(from, to).map(withHeartbeats) };
}

function eventOf({ id, service, namespace, state, reason, since, revision }: Instance): object {
  const about = { namespace, service, instance: id, revision, by: 'registry' };
  return { ...about, seq: 1, at: since, kind: 'state', state, reason, text: 'HEALTHY → UNHEALTHY' };
}

function topologyOf(instances: readonly Instance[]): object {
  const counts = { callers: 1, calls: 204, callsPerSecond: 40.8, failures: 0, retries: 2, p50Ms: 3.1, p99Ms: 42 };
  const circuits = { closed: 0, open: 1, halfOpen: 0 };
  const edges = instances.map(({ id, service }) => ({
    namespace: 'default',
    from: LONGEST_NAME,
    to: service,
    ...counts,
    inFlight: 0,
    ageMs: 900,
    targets: [{ instance: id, callsPerSecond: 0.4, failures: 2, p99Ms: null, circuits }],
  }));
  return { withinMs: 15_000, edges: edges.slice(0, 5) };
}
