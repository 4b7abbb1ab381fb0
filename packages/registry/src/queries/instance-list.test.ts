import { isCallable } from '@rollcall/core';
import type { Instance, State } from '@rollcall/core';
import { expect, it } from 'vitest';
import type { Entry } from '../instances/instance-table.js';
import { decodePlace, instancePage } from './instance-list.js';
import { INSTANCE_SORTS } from './instance-query.js';
import type { InstanceQuery } from './instance-query.js';

const EVERYTHING: InstanceQuery = {
  namespace: '*',
  services: [],
  states: [],
  admins: [],
  callable: null,
  zones: [],
  versions: [],
  search: '',
  sort: 'service',
  isReversed: false,
  limit: 1_000,
  after: null,
  withHeartbeats: false,
};

interface Entries {
  all(): readonly Entry[];
}

const STATES: readonly State[] = ['HEALTHY', 'CRITICAL', 'REGISTERING', 'UNHEALTHY', 'DEREGISTERING'];

/** Five instances, one in each state; the newest change is that of the last one. */
function createTable(overridesOf: (index: number) => Partial<Instance> = () => ({})): Entries {
  const entries = STATES.map((state, index) => {
    const id = `orders-${index}`;
    const facts = { id, service: 'orders', namespace: 'default', state, since: index, version: '', zone: '' };
    return { id, published: { ...facts, admin: 'ENABLED', endpoints: [], ...overridesOf(index) } } as unknown as Entry;
  });
  return { all: () => entries };
}

const idsOf = (table: Entries, query: Partial<InstanceQuery>): string[] =>
  instancePage(table, { ...EVERYTHING, ...query }, () => {
    throw new Error('no heartbeats were requested');
  }).instances.map(({ id }) => id.slice(-1));

it('sorts by state worst first, and by since the newest first', () => {
  expect(idsOf(createTable(), { sort: 'state' })).toEqual(['1', '3', '2', '4', '0']);
  expect(idsOf(createTable(), { sort: 'state', isReversed: true })).toEqual(['0', '4', '2', '3', '1']);
  expect(idsOf(createTable(), { sort: 'since' })).toEqual(['4', '3', '2', '1', '0']);
});

it('filters callable instances as isCallable does', () => {
  const drained = createTable((index) => (index === 0 ? { admin: 'DRAINING' } : {}));
  for (const table of [createTable(), drained]) {
    const callable = table.all().flatMap(({ id, published }) => (isCallable(published) ? [id.slice(-1)] : []));
    expect(idsOf(table, { callable: true })).toEqual(callable);
    expect(idsOf(table, { callable: false })).toHaveLength(STATES.length - callable.length);
  }
  expect(idsOf(createTable(), { callable: true })).toContain('0');
  expect(idsOf(drained, { callable: false })).toContain('0');
});

it('sorts a service before those whose names begin with its name', () => {
  const names = ['orders-b', 'orders', 'orders-a', 'billing', 'orders'];
  const table = createTable((index) => ({ service: names[index] ?? '', namespace: index === 4 ? 'a' : 'default' }));
  expect(idsOf(table, {})).toEqual(['3', '4', '1', '2', '0']);
});

const ORDERS = INSTANCE_SORTS.flatMap((sort) => [false, true].map((isReversed) => ({ sort, isReversed })));

it.each(ORDERS)('continues each page after the one before, by $sort, reversed: $isReversed', (order) => {
  const seen: string[] = [];
  let after: InstanceQuery['after'] = null;
  do {
    const query: InstanceQuery = { ...EVERYTHING, ...order, limit: 2, after };
    const page = instancePage(createTable(), query, () => ({ heartbeats: {} as never }));
    seen.push(...page.instances.map(({ id }) => id.slice(-1)));
    expect(page.total).toBe(STATES.length);
    after = page.next === null ? null : decodePlace(page.next, query);
    expect(after === null).toBe(page.next === null);
  } while (after !== null && seen.length <= STATES.length);
  expect(seen).toEqual(idsOf(createTable(), order));
});
