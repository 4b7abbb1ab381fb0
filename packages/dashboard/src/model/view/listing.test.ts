import { reasonFor } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { signal } from '@preact/signals';
import { describe, expect, it } from 'vitest';
import type { ServiceNode } from '../live/roll.js';
import { INSTANCE_SORTS, instanceFilter, serviceFilter, sortInstances, parseSort, sortServices } from './listing.js';

const instance = (id: string, overrides: Partial<Instance> = {}): Instance => ({
  id,
  service: 'orders',
  namespace: 'default',
  endpoints: [{ protocol: 'tcp', host: '10.0.0.1', port: 3001, tls: false }],
  version: '1.4.2',
  zone: 'eu-1a',
  weight: 100,
  metadata: { team: 'Łódź' },
  state: 'HEALTHY',
  reason: reasonFor('BOTH_WAYS_OK', ''),
  since: 0,
  next: null,
  admin: 'ENABLED',
  source: 'native',
  registeredAt: 0,
  revision: 1,
  ...overrides,
});

it('finds an instance by the name of its service, whatever its id is', () => {
  const adopted = instance('8f14e45f-1e07');
  expect(instanceFilter({ q: 'ord' })(adopted)).toBe(true);
  expect(instanceFilter({ q: 'pay' })(adopted)).toBe(false);
});

const isMatch = (filters: Record<string, string>, overrides: Partial<Instance> = {}): boolean =>
  instanceFilter(filters)(instance('orders-0001e07', overrides));

const node = (name: string, overrides: Partial<Instance>): ServiceNode => ({
  key: `default/${name}`,
  namespace: 'default',
  name,
  instances: signal(new Map([[`${name}-1`, instance(`${name}-1`, { service: name, ...overrides })]])),
});

const names = (of: readonly ServiceNode[]): string[] => of.map(({ name }) => name);

const rateOf = ({ name }: ServiceNode): number | null => ({ orders: 9, catalog: 2 })[name] ?? null;

describe('the listed instances', () => {
  it.each([
    [{}, {}, true],
    [{ state: 'CRITICAL,UNHEALTHY' }, { state: 'UNHEALTHY' as const }, true],
    [{ state: 'CRITICAL,UNHEALTHY' }, {}, false],
    [{ callable: 'yes' }, { state: 'UNHEALTHY' as const }, true],
    [{ callable: 'yes' }, { admin: 'DRAINING' as const }, false],
    [{ callable: 'no' }, { state: 'CRITICAL' as const }, true],
    [{ admin: 'DRAINING' }, { admin: 'MAINTENANCE' as const }, false],
    [{ zone: 'eu-1a', version: '1.4.2', service: 'orders', admin: 'ENABLED' }, {}, true],
    [{ version: '1.4' }, {}, false],
    [{ weight: '0' }, { weight: 0 }, true],
    [{ weight: '0' }, {}, false],
    [{ service: 'default/orders' }, {}, true],
    [{ service: 'default/orders' }, { namespace: 'staging' }, false],
    [{ service: 'orders' }, { namespace: 'staging' }, true],
    [{ service: 'order' }, {}, false],
    [{ q: 'ORD 3001' }, {}, true],
    [{ q: 'orders…1e07' }, {}, true],
    [{ q: 'orders...1e08' }, {}, false],
    [{ q: 'łódź' }, {}, true],
    [{ q: 'orders 10.0.0.2' }, {}, false],
  ])('match %j of %j: %s', (filters, overrides, isListed) => expect(isMatch(filters, overrides)).toBe(isListed));
});

describe('the order of instances', () => {
  const all = [
    instance('orders-3', { zone: 'b', since: 5 }),
    instance('orders-1', { state: 'CRITICAL', zone: 'a', since: 1 }),
    instance('orders-2', { admin: 'DRAINING', zone: 'a', since: 9 }),
  ];
  const ids = (sort: string | undefined): string[] => sortInstances(all, sort).map(({ id }) => id.slice(-1));

  it('puts the worst first without a valid choice', () => {
    expect(ids(undefined)).toEqual(['1', '2', '3']);
    expect(ids('colour')).toEqual(['1', '2', '3']);
  });

  it('sorts both ways by any column, equal ones worst first', () => {
    expect(ids('instance')).toEqual(['1', '2', '3']);
    expect(ids('-instance')).toEqual(['3', '2', '1']);
    expect(ids('zone')).toEqual(['1', '2', '3']);
    expect(ids('-zone')).toEqual(['3', '1', '2']);
    expect(ids('callable')).toEqual(['1', '2', '3']);
    expect(ids('since')).toEqual(['2', '3', '1']);
    for (const sort of INSTANCE_SORTS) expect(ids(sort).toSorted()).toEqual(['1', '2', '3']);
  });

  it('puts those of low weight first among the callable ones', () => {
    const sorted = sortInstances([instance('orders-1', {}), instance('orders-2', { weight: 0 })], 'callable');
    expect(sorted.map(({ id }) => id)).toEqual(['orders-2', 'orders-1']);
  });

  it('sorts by the number of open circuits', () => {
    const circuits = new Map([
      ['orders-3', { closed: 1, open: 2, halfOpen: 0 }],
      ['orders-2', { closed: 1, open: 0, halfOpen: 0 }],
    ]);
    const by = (sort: string): string[] => sortInstances(all, sort, circuits).map(({ id }) => id.slice(-1));
    expect([by('circuits'), by('-circuits')]).toEqual([
      ['3', '2', '1'],
      ['1', '2', '3'],
    ]);
  });

  it('comes from the address', () => {
    expect(parseSort(INSTANCE_SORTS, '-zone')).toEqual(['zone', true]);
    expect(parseSort(INSTANCE_SORTS, undefined)).toEqual([null, false]);
  });
});

describe('the list of services', () => {
  const nodes = [node('catalog', {}), node('orders', {}), node('payments', { state: 'CRITICAL' })];

  it('filters by a part of the name and by a state', () => {
    expect(names(nodes.filter(serviceFilter({ q: 'AY' })))).toEqual(['payments']);
    expect(names(nodes.filter(serviceFilter({ state: 'CRITICAL' })))).toEqual(['payments']);
    expect(names(nodes.filter(serviceFilter({ q: 'orders', state: 'CRITICAL' })))).toEqual([]);
  });

  it('filters services without a callable instance', () => {
    const drained = node('drained', { admin: 'DRAINING' });
    const leaving = node('leaving', { state: 'DEREGISTERING' });
    const all = [...nodes, drained, leaving, node('sick', { state: 'UNHEALTHY' })];
    expect(names(all.filter(serviceFilter({ callable: 'no' })))).toEqual(['payments', 'drained']);
    expect(names(all.filter(serviceFilter({ callable: 'no', q: 'dra' })))).toEqual(['drained']);
    expect(all.filter(serviceFilter({})).length).toBe(all.length);
  });

  it('sorts by trouble, by calls, or by names', () => {
    expect(names(sortServices(nodes, undefined, rateOf))).toEqual(['payments', 'catalog', 'orders']);
    expect(names(sortServices(nodes, 'rate', rateOf))).toEqual(['orders', 'catalog', 'payments']);
    expect(names(sortServices(nodes, 'name', rateOf))).toEqual(['catalog', 'orders', 'payments']);
  });
});
