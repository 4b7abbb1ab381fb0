import { describe, expect, it } from 'vitest';
import { findInstances, findServices, isExactMatch } from './search.js';

const service = (namespace: string, name: string) => ({ namespace, name });
const KNOWN = [
  service('default', 'orders'),
  service('default', 'orders-archive'),
  service('default', 'users'),
  service('staging', 'orders'),
  service('staging', 'stock'),
];
const found = (typed: string): string[] =>
  findServices(KNOWN, typed).map(({ namespace, name }) => `${namespace}/${name}`);

describe('findServices', () => {
  it('finds by name in every namespace, the exact one first', () => {
    expect(found('orders')).toEqual(['default/orders', 'staging/orders', 'default/orders-archive']);
    expect(found('  ORD ')).toEqual(['default/orders', 'default/orders-archive', 'staging/orders']);
    expect(found('nothing')).toEqual([]);
  });

  it('finds by namespace, and by both', () => {
    expect(found('staging')).toEqual(['staging/orders', 'staging/stock']);
    expect(found('staging/')).toEqual(['staging/orders', 'staging/stock']);
    expect(found('staging/ord')).toEqual(['staging/orders']);
    expect(found('default/orders')).toEqual(['default/orders', 'default/orders-archive']);
  });
});

const instance = (namespace: string, id: string) => ({
  id,
  namespace,
  service: 'orders',
  endpoints: [{ protocol: 'tcp' as const, host: '10.0.0.5', port: 3_001, tls: false }],
});

describe('findInstances', () => {
  const instances = [instance('default', 'orders-0b1e07'), instance('staging', 'orders-0c1e07')];
  const ids = (typed: string): string[] => [...findInstances(instances, typed)].map(({ id }) => id);

  it('finds by the printed name, by any part of the id, and by address', () => {
    expect(ids('orders…1e07')).toEqual(['orders-0b1e07', 'orders-0c1e07']);
    expect(ids('orders...0c1e07')).toEqual(['orders-0c1e07']);
    expect(ids('0b1')).toEqual(['orders-0b1e07']);
    expect(ids('10.0.0.5:3001')).toHaveLength(2);
    // the name finds the service
    expect(ids('orders')).toEqual([]);
  });

  it('finds by an address of IPv6 as it is printed', () => {
    const [endpoint] = instance('default', 'orders-1').endpoints;
    const sixth = { ...instance('default', 'orders-6'), endpoints: [{ ...endpoint!, host: 'fd00::5' }] };
    for (const typed of ['[fd00::5]:3001', 'fd00::5'])
      expect([...findInstances([sixth], typed)].map(({ id }) => id)).toEqual(['orders-6']);
  });

  it('searches in the namespace that is typed before the name', () => {
    expect(ids('staging/orders…1e07')).toEqual(['orders-0c1e07']);
    expect(ids('default/1e07')).toEqual(['orders-0b1e07']);
    expect(ids('staging/')).toEqual([]);
  });
});

it.each([
  ['127.1.1.10', true],
  ['127.1.1.10:3001', true],
  ['orders-1', true],
  ['127.1.1.1', false],
  ['orders', false],
])('compares %s with the id, host and address of an instance: %s', (typed, isExact) => {
  const endpoints = [{ protocol: 'tcp', host: '127.1.1.10', port: 3001, tls: false }] as const;
  expect(isExactMatch({ id: 'orders-1', endpoints }, typed)).toBe(isExact);
});
