import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { reasonFor } from '@rollcall/core';
import type { Instance, ReasonCode, State } from '@rollcall/core';

/** Ages are in minutes: a slow machine shows the same. */
const MINUTE_MS = 60_000;
const ago = (minutes: number): number => Date.now() - minutes * MINUTE_MS - MINUTE_MS / 2;

interface InstanceFields {
  readonly id: string;
  readonly port: number;
  readonly state?: State;
  readonly code?: ReasonCode;
  readonly detail?: string;
  readonly minutes?: number;
  readonly next?: Instance['next'];
}

function buildInstance({
  id,
  port,
  state = 'HEALTHY',
  code = 'BOTH_WAYS_OK',
  detail,
  minutes = 72,
  next = null,
}: InstanceFields): Instance {
  const service = id.split('-')[0] ?? id;
  return {
    id,
    service,
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.3.21', port, tls: false }],
    version: '1.4.2',
    zone: 'a',
    weight: 100,
    metadata: {},
    state,
    reason: reasonFor(code, detail),
    since: ago(minutes),
    next,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: ago(72),
    revision: 48_213,
  };
}

const BROKEN = 'orders-0192f0c1-7a3b-7c4d-8e5f-0123456a1e07';
const REFUSED = 'connect ECONNREFUSED 10.0.3.21:3001';

const instances = (): readonly Instance[] => [
  buildInstance({
    id: BROKEN,
    port: 3_001,
    state: 'UNHEALTHY',
    code: 'INBOUND_REFUSED',
    detail: REFUSED,
    minutes: 3,
    next: { state: 'CRITICAL', afterMs: 5 * MINUTE_MS, unless: 'HEARTBEAT_1' },
  }),
  buildInstance({ id: 'orders-0192f0c1-7a3b-7c4d-8e5f-01234569b2c4', port: 3_002 }),
  buildInstance({ id: 'gateway-0192f0c1-7a3b-7c4d-8e5f-0123456c6f80', port: 3_333 }),
];

/** Adds both directions, as the registry measures them. */
function withHeartbeats(instance: Instance): object {
  const fine = { lastSuccessAgoMs: 2_200, roundTripMs: 1.9, misses: 0, error: null };
  const heartbeat1 = instance.id === BROKEN ? { ...fine, misses: 2, error: REFUSED } : fine;
  return { ...instance, heartbeats: { heartbeat1, heartbeat2: { ...fine, roundTripMs: null } } };
}

function detailOf(instance: Instance): object {
  return {
    ...withHeartbeats(instance),
    own: { weight: 100, metadata: {} },
    override: null,
    falls: instance.id === BROKEN ? 0.9931091681913292 : 0,
  };
}

function serviceOf(name: string, drained: ReadonlySet<string>): object {
  const found = instances().filter(({ service }) => service === name);
  const listed = found.map((instance) =>
    withHeartbeats(drained.has(instance.id) ? { ...instance, admin: 'DRAINING' } : instance),
  );
  return { revision: 48_213, instances: listed };
}

function events(): readonly object[] {
  const [instance] = instances();
  if (instance === undefined) return [];
  const { namespace, service, id, state, reason, revision } = instance;
  const common = { namespace, service, instance: id, revision, by: 'registry' };
  return [
    {
      ...common,
      seq: 1,
      at: ago(72),
      kind: 'registered',
      state: 'REGISTERING',
      reason: reasonFor('NEW'),
      by: 'instance',
      text: 'registered',
    },
    {
      ...common,
      seq: 2,
      at: ago(72),
      kind: 'state',
      state: 'HEALTHY',
      reason: reasonFor('BOTH_WAYS_OK'),
      text: 'REGISTERING → HEALTHY',
    },
    { ...common, seq: 3, at: ago(3), kind: 'state', state, reason, text: 'HEALTHY → UNHEALTHY' },
  ];
}

function topology(): object {
  const circuits = { closed: 0, open: 1, halfOpen: 0 };
  const targets = [{ instance: BROKEN, callsPerSecond: 0.4, failures: 2, p99Ms: null, circuits }];
  const counts = { callers: 1, calls: 204, callsPerSecond: 40.8, failures: 0, retries: 2, p50Ms: 3.1, p99Ms: 42 };
  return {
    withinMs: 15_000,
    edges: [{ namespace: 'default', from: 'gateway', to: 'orders', ...counts, inFlight: 0, ageMs: 900, targets }],
  };
}

/** The answer of a route; undefined: unknown route. A drain is added to `drained`. */
function answerFor(method: string, path: string, drained: Set<string>): unknown {
  const [, id = '', timeline] = /^\/api\/v1\/instances\/([^/]+)(\/timeline)?$/.exec(path) ?? [];
  const instance = instances().find((known) => known.id === id);
  const [, name] = /^\/api\/v1\/services\/(.+)$/.exec(path) ?? [];
  if (timeline !== undefined) return { id, since: 0, events: events() };
  if (instance !== undefined && method === 'PATCH') {
    drained.add(id);
    return { ...detailOf(instance), admin: 'DRAINING' };
  }
  if (instance !== undefined) return detailOf(instance);
  if (name !== undefined) return serviceOf(name, drained);
  if (path === '/api/v1/services') return { services: [{ name: 'gateway' }, { name: 'orders' }] };
  if (path === '/api/v1/events') return { epoch: 'e', since: 0, last: 3, more: false, missed: 0, events: events() };
  return path === '/api/v1/topology' ? topology() : undefined;
}

/** A registry with fixed answers, for pages of the documentation. */
export async function startFixedRegistry(): Promise<{ readonly url: string; readonly server: Server }> {
  const drained = new Set<string>();
  const server = createServer((request, response) => {
    request.resume();
    const answer = answerFor(request.method ?? '', new URL(request.url ?? '', 'http://x').pathname, drained);
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
