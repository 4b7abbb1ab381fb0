import { countCallable, DEFAULT_NAMESPACE, fallsNow } from '@rollcall/core';
import type {
  DirectionAnswer,
  InstanceAnswer,
  Policy,
  ServiceAnswer,
  ServiceSummary,
  State,
  Tombstone,
} from '@rollcall/core';
import { refuse } from '../access/refusals.js';
import type { FeedView } from '../feed/feed.js';
import { serviceKeyOf } from '../instances/instance-table.js';
import type { DirectionLog, Entry, InstanceTable, ServiceEntry } from '../instances/instance-table.js';
import type { Outcome } from '../registry-api.js';
import type { StoredTombstone } from '../store/store.js';

/** All services of a namespace (`*`: of all), with the number of instances by state, and of callable ones. */
export function summaries(table: InstanceTable, namespace: string): ServiceSummary[] {
  const found: ServiceSummary[] = [];
  for (const service of table.allServices()) {
    if (namespace !== '*' && service.namespace !== namespace) continue;
    const states: Record<State, number> = { HEALTHY: 0, REGISTERING: 0, UNHEALTHY: 0, CRITICAL: 0, DEREGISTERING: 0 };
    const records = [...service.members.values()].map(({ published }) => published);
    for (const { state } of records) states[state] += 1;
    const { callable, admin } = countCallable(records);
    const { service: name, namespace: its, members } = service;
    found.push({ name, namespace: its, instances: members.size, states, callable, admin });
  }
  return found;
}

/**
 * The instances and tombstones of a service, in all namespaces for `*`; null: unknown. `heartbeats`: returns those of
 * an instance; null: they are left out.
 */
export function serviceAnswer(
  table: InstanceTable,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  heartbeats: ((entry: Entry) => InstanceAnswer['heartbeats']) | null,
): Pick<ServiceAnswer, 'service' | 'namespace' | 'instances' | 'removed'> | null {
  const services = servicesNamed(table, namespace, name);
  if (services.length === 0) return null;
  const answerOf = (entry: Entry): ServiceInstance =>
    heartbeats === null ? entry.published : { ...entry.published, heartbeats: heartbeats(entry) };
  const instances = services.flatMap(({ members }) => [...members.values()].map(answerOf));
  const removed = services.flatMap(({ tombstones }) => [...tombstones.values()].map(tombstoneAnswer));
  return { service: name, namespace, instances, removed };
}

type ServiceInstance = ServiceAnswer['instances'][number];

/** The services of that name: one, or one per namespace for `*`. */
function servicesNamed(table: InstanceTable, namespace: string, name: string): Readonly<ServiceEntry>[] {
  if (namespace === '*') return [...table.allServices()].filter(({ service }) => service === name);
  const service = table.service(serviceKeyOf(namespace, name));
  return service === undefined ? [] : [service];
}

/** Maximum of namespaces listed in a refusal. */
const MAX_NAMESPACES = 5;

/**
 * Refuses an unknown service name, and says in which namespace a service of that name is, or which namespaces exist.
 */
export function noSuchService(
  table: InstanceTable,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Outcome<never> {
  const services = [...table.allServices()];
  const text = `No service ${name} was ever registered in namespace ${namespace}.`;
  const namespaces = services.filter(({ service }) => service === name).map((one) => one.namespace);
  const [first] = namespaces.toSorted();
  if (first !== undefined)
    return refuse('NOT_FOUND', text, `${name} is in namespace ${listed(namespaces)}: ask with namespace=${first}.`);
  const known = [...new Set(services.map((one) => one.namespace))];
  if (namespace === '*' || namespace === DEFAULT_NAMESPACE || known.length === 0 || known.includes(namespace))
    return refuse('NOT_FOUND', text);
  return refuse('NOT_FOUND', text, `There is no namespace ${namespace} now; there are ${listed(known)}.`);
}

function listed(namespaces: readonly string[]): string {
  const sorted = namespaces.toSorted();
  const more = sorted.length - MAX_NAMESPACES;
  return `${sorted.slice(0, MAX_NAMESPACES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** An instance with its heartbeats: ages and counts, which are never part of the feed. */
export function detail(entry: Entry, now: number, policy: Policy): Omit<InstanceAnswer, 'lineLosses'> {
  const heartbeat1 = directionAnswer(entry.heartbeat1, now);
  const overdueMs = now - entry.vitals.outboundAt - policy.timeoutMs;
  const misses = Math.max(0, Math.floor(overdueMs / policy.intervalMs));
  const heartbeat2 = { ...directionAnswer(entry.heartbeat2, now), misses };
  const { published, own, override, vitals } = entry;
  const heartbeats = { heartbeat1, heartbeat2 };
  return { ...published, own, override, heartbeats, falls: fallsNow(vitals, now, policy), line: entry.line !== null };
}

function directionAnswer(log: DirectionLog, now: number): DirectionAnswer {
  const lastSuccessAgoMs = log.lastAt === null ? null : Math.round(now - log.lastAt);
  return { lastSuccessAgoMs, roundTripMs: log.roundTripMs, misses: log.misses, error: log.error };
}

/** The public fields of a tombstone. */
const tombstoneAnswer = ({ id, revision, reason }: StoredTombstone): Tombstone => ({ id, revision, reason });

/** The instance table as the feed reads it, to build a whole view. */
export function viewOf(table: InstanceTable): FeedView {
  const of = (namespace: string, service: string): ReturnType<InstanceTable['service']> =>
    table.service(serviceKeyOf(namespace, service));
  return {
    instances: (namespace, service) =>
      [...(of(namespace, service)?.members.values() ?? [])].map(({ published }) => published),
    tombstones: (namespace, service) => [...(of(namespace, service)?.tombstones.values() ?? [])].map(tombstoneAnswer),
    has: (namespace, service) => of(namespace, service) !== undefined,
    services: () => [...table.allServices()].map(({ namespace, service }) => ({ namespace, service })),
  };
}
