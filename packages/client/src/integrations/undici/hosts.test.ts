import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ServiceHosts } from './hosts.js';

const DEFAULT = new ServiceHosts(['*', '*.rollcall']);

describe('hosts that are names of services', () => {
  it.each([
    ['http://orders', 'orders'],
    ['http://orders/', 'orders'],
    ['HTTP://Orders', 'orders'],
    ['http://orders.rollcall', 'orders'],
    ['http://localhost', null],
    ['http://localhost.rollcall', 'localhost'],
    ['http://orders:3000', null],
    ['https://orders', null],
    ['http://user@orders', null],
    ['http://orders.example', null],
    ['http://api.orders.rollcall', null],
    ['http://127.0.0.1', null],
    ['http://[::1]', null],
    ['http://-orders', null],
    ['ws://orders', null],
    ['', null],
  ])('by default: %s is %s', (origin, service) => {
    expect(DEFAULT.serviceOf(origin)).toBe(service);
    // the second time the result comes from the cache
    expect(DEFAULT.serviceOf(origin)).toBe(service);
  });

  it('are exactly those of the option', () => {
    const hosts = new ServiceHosts(['orders', 'users.internal', '*.mesh.example']);
    const named = ['orders', 'users', 'users.internal', 'pay.mesh.example', 'mesh.example', 'localhost'];
    expect(named.map((host) => hosts.serviceOf(`http://${host}`))).toEqual([
      'orders',
      null,
      'users',
      'pay',
      null,
      null,
    ]);
  });

  it('may be given as a URL', () => {
    expect(DEFAULT.serviceOf(new URL('http://orders:80/x'))).toBe('orders');
    expect(DEFAULT.serviceOf(new URL('http://orders:81/x'))).toBeNull();
  });

  it('do not include addresses: URLs with a port, a user or an IP go elsewhere, whatever the option lists', () => {
    const hosts = new ServiceHosts(['*', 'orders', '*.rollcall']);
    fc.assert(
      fc.property(fc.webUrl({ withFragments: true }), fc.integer({ min: 1, max: 65_535 }), (url, port) => {
        const { hostname } = new URL(url);
        expect(hosts.serviceOf(`http://${hostname}:${port}`)).toBeNull();
        expect(hosts.serviceOf(`http://me@${hostname}`)).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.ipV4(), (ip) => {
        expect(hosts.serviceOf(`http://${ip}`)).toBeNull();
      }),
    );
  });

  it('are cached, up to a limit', () => {
    const hosts = new ServiceHosts(['*']);
    for (let n = 0; n < 3_000; n += 1) expect(hosts.serviceOf(`http://s${n}`)).toBe(`s${n}`);
    expect(hosts.serviceOf('http://s0')).toBe('s0');
  });
});
