import { addressOf, isCallable } from '@rollcall/core';
import type { Instance, InstanceAnswer, InstancesAnswer, State } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';

import type { InstancePlace, InstanceQuery, InstanceSort } from './instance-query.js';

/**
 * A page of the instances of all services. `detailOf` is called only for instances of the page, and only if heartbeats
 * are requested.
 */
export function instancePage(
  table: { all(): Iterable<Entry> },
  query: InstanceQuery,
  detailOf: (entry: Entry) => Pick<InstanceAnswer, 'heartbeats'>,
): Pick<InstancesAnswer, 'total' | 'next' | 'instances'> {
  const { sort, isReversed, limit, after, withHeartbeats } = query;
  const keyOf = KEYS[sort];
  const order = isReversed ? reversed(placeOrder) : placeOrder;
  const matches = matcherOf(query);
  const found: (InstancePlace & { readonly entry: Entry })[] = [];
  for (const entry of table.all()) {
    const { id, published } = entry;
    if (matches(published)) found.push({ entry, key: keyOf(published), id });
  }
  const left = after === null ? found : found.filter((one) => order(one, after) > 0);
  const page = left.toSorted(order).slice(0, limit);
  const last = page.at(-1);
  return {
    total: found.length,
    next: last === undefined || page.length === left.length ? null : encodePlace(query, last),
    instances: page.map(({ entry }) => ({
      ...entry.published,
      ...(entry.override === null ? {} : { override: entry.override }),
      ...(withHeartbeats ? { heartbeats: detailOf(entry).heartbeats } : {}),
    })),
  };
}

function matcherOf(query: InstanceQuery): (instance: Instance) => boolean {
  const { namespace, callable } = query;
  const services = new Set(query.services);
  const states = new Set(query.states);
  const admins = new Set(query.admins);
  const zones = new Set(query.zones);
  const versions = new Set(query.versions);
  const search = query.search.toLowerCase();
  return (instance) =>
    (namespace === '*' || instance.namespace === namespace) &&
    holds(services, instance.service) &&
    holds(states, instance.state) &&
    holds(admins, instance.admin) &&
    (callable === null || isCallable(instance) === callable) &&
    holds(zones, instance.zone) &&
    holds(versions, instance.version) &&
    (search === '' || textsOf(instance).some((text) => text.toLowerCase().includes(search)));
}

/** An empty filter matches everything. */
const holds = <Value>(wanted: ReadonlySet<Value>, value: Value): boolean => wanted.size === 0 || wanted.has(value);

const textsOf = ({ id, service, version, zone, endpoints }: Instance): readonly string[] => [
  id,
  service,
  version,
  zone,
  ...endpoints.map(addressOf),
];

/** Sort order: instances that need attention first, then those in transition, HEALTHY last. */
const WORST_FIRST: Readonly<Record<State, number>> = {
  CRITICAL: 0,
  UNHEALTHY: 1,
  REGISTERING: 2,
  DEREGISTERING: 3,
  HEALTHY: 4,
};

const KEYS: Readonly<Record<InstanceSort, (instance: Instance) => string | number>> = {
  // a space sorts before every character of a name
  service: ({ service, namespace }) => `${service} ${namespace}`,
  state: ({ state }) => WORST_FIRST[state],
  // newest change first
  since: ({ since }) => -since,
  version: ({ version }) => version,
  zone: ({ zone }) => zone,
  id: ({ id }) => id,
};

type Order = (one: InstancePlace, other: InstancePlace) => number;

/** The keys of a sort are all numbers or all strings. */
const placeOrder: Order = (one, other) => compared(one.key, other.key) || compared(one.id, other.id);

const reversed =
  (order: Order): Order =>
  (one, other) =>
    order(other, one);

function compared(one: string | number, other: string | number): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

// ---- the place where a page ended, as text --------------------------------------------------------------------------

type Sorting = Pick<InstanceQuery, 'sort' | 'isReversed'>;

const sortingText = ({ sort, isReversed }: Sorting): string => `${isReversed ? '-' : ''}${sort}`;

function encodePlace(sorting: Sorting, { key, id }: InstancePlace): string {
  return Buffer.from(JSON.stringify([sortingText(sorting), key, id])).toString('base64url');
}

/** Decodes a place; null if it is not a place in this order: it belongs to another one, or is invalid. */
export function decodePlace(text: string, sorting: Sorting): InstancePlace | null {
  const parts = jsonOf(Buffer.from(text, 'base64url').toString());
  if (!Array.isArray(parts) || parts.length !== 3 || parts[0] !== sortingText(sorting)) return null;
  const [key, id]: readonly unknown[] = parts.slice(1);
  const isNumeric = sorting.sort === 'state' || sorting.sort === 'since';
  if (typeof id !== 'string' || (typeof key !== 'string' && typeof key !== 'number')) return null;
  return (typeof key === 'number') === isNumeric ? { key, id } : null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
