import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveHash, hashOf, instanceHash, routeOf, screenOf, serviceHash, withFilter } from './route.js';

describe('the route', () => {
  it.each([
    ['', { at: 'overview' }],
    ['#/overview', { at: 'overview' }],
    ['#/services?state=CRITICAL', { at: 'services', filters: { state: 'CRITICAL' } }],
    ['#/services/default/orders', { at: 'service', namespace: 'default', name: 'orders' }],
    ['#/instances?state=CRITICAL&q=a%20b', { at: 'instances', filters: { state: 'CRITICAL', q: 'a b' } }],
    ['#/instances/orders-1', { at: 'instance', id: 'orders-1' }],
    ['#/events?kind=Actions', { at: 'events', filters: { kind: 'Actions' } }],
    ['#/services/default', { at: 'nowhere', path: 'services/default' }],
    ['#/topology/x', { at: 'nowhere' }],
    ['#/%', { at: 'nowhere' }],
  ])('parses %s', (hash, route) => expect(routeOf(hash)).toMatchObject(route));

  it('makes links that lead to their places for any names', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (namespace, name) => {
        expect(routeOf(serviceHash(namespace, name))).toMatchObject({ at: 'service', namespace, name });
        expect(routeOf(instanceHash(name))).toMatchObject({ at: 'instance', id: name });
        expect(routeOf(hashOf('events', { service: name })).filters).toEqual({ service: name });
      }),
    );
  });

  it('sets, replaces and clears a filter in place', () => {
    expect(withFilter('#/services', 'state', 'CRITICAL')).toBe('#/services?state=CRITICAL');
    expect(withFilter('#/services?state=CRITICAL&ns=shop', 'state', '')).toBe('#/services?ns=shop');
    expect(withFilter('', 'ns', 'shop')).toBe('#/overview?ns=shop');
  });

  it('counts a service and an instance among the services', () => {
    expect(screenOf(routeOf('#/services/default/orders'))).toBe('services');
    expect(screenOf(routeOf('#/instances/x'))).toBe('services');
    expect(screenOf(routeOf('#/nowhere'))).toBe('overview');
  });

  it('keeps the shown namespace for a link within the page only', () => {
    expect(resolveHash('#/services', true, 'staging')).toBe('#/services?ns=staging');
    expect(resolveHash('#/services?ns=*', true, 'staging')).toBe('#/services?ns=*');
    expect(resolveHash('#/services', true, undefined)).toBe('#/services');
    expect(resolveHash('#/services', false, 'staging')).toBe('#/services');
    expect(resolveHash('#/services?ns=default', false, 'staging')).toBe('#/services?ns=default');
  });
});
