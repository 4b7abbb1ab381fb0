import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../../testing.js';
import type { RunningRegistry } from '../start.js';

const SECRET = 'a-secret-of-132-bits-22';
/** An address without a listener, so that no instance becomes HEALTHY. */
const ENDPOINTS = [{ protocol: 'tcp', port: 9 }];

const INSTANCES = [
  { id: 'billing-1', service: 'billing', version: '2.0.0', zone: 'a' },
  { id: 'orders-1', service: 'orders', version: '1.4.2', zone: 'a' },
  { id: 'orders-2', service: 'orders', version: '1.4.3', zone: 'b' },
  { id: 'orders-3', service: 'orders', version: '1.4.2', zone: 'b' },
  { id: 'shop-1', service: 'orders', version: '1.4.2', zone: 'b', namespace: 'shop' },
];

const idsOf = ({ instances }: any): string[] => instances.map(({ id }: { id: string }) => id);

describe('GET /api/v1/instances', () => {
  let registry: RunningRegistry;
  beforeAll(async () => {
    // long intervals: no state changes during the tests
    registry = await startTestRegistry({ intervalMs: 60_000 });
    for (const instance of INSTANCES) {
      const answer = await send('POST', 'register', { ...instance, endpoints: ENDPOINTS, secret: SECRET });
      expect(answer.status).toBe(201);
    }
    expect((await send('PATCH', 'instances/orders-3', { admin: 'MAINTENANCE', reason: 'a cable' })).status).toBe(200);
  });
  afterAll(() => registry.close());

  const send = (method: string, path: string, body: object): Promise<Response> =>
    fetch(`${registry.url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
      body: JSON.stringify(body),
    });
  const list = async (query = ''): Promise<any> => (await fetch(`${registry.url}/api/v1/instances?${query}`)).json();

  it('lists the instances of all services of the namespace, by service', async () => {
    const answer = await list();
    expect(idsOf(answer)).toEqual(['billing-1', 'orders-1', 'orders-2', 'orders-3']);
    expect(answer).toMatchObject({ total: 4, next: null, epoch: expect.any(String), revision: expect.any(Number) });
    expect(answer).toHaveProperty('settled');
    expect(answer.instances[1]).toMatchObject({ service: 'orders', version: '1.4.2', admin: 'ENABLED' });
    expect(answer.instances[1]).not.toHaveProperty('heartbeats');
  });

  it.each([
    ['namespace=*', ['billing-1', 'orders-1', 'orders-2', 'orders-3', 'shop-1']],
    ['namespace=shop', ['shop-1']],
    ['service=billing&service=nobody', ['billing-1']],
    ['service=*', ['billing-1', 'orders-1', 'orders-2', 'orders-3']],
    ['zone=b', ['orders-2', 'orders-3']],
    ['zone=b&version=1.4.2', ['orders-3']],
    ['version=1.4.3&version=2.0.0', ['billing-1', 'orders-2']],
    ['admin=MAINTENANCE', ['orders-3']],
    ['admin=ENABLED&admin=DRAINING&service=orders', ['orders-1', 'orders-2']],
    ['state=HEALTHY', []],
    ['callable=true&admin=MAINTENANCE', []],
    ['callable=false&admin=MAINTENANCE', ['orders-3']],
    ['q=BILL', ['billing-1']],
    ['q=127.0.0.1:9', ['billing-1', 'orders-1', 'orders-2', 'orders-3']],
    ['q=nothing-like-it', []],
    ['sort=-id', ['orders-3', 'orders-2', 'orders-1', 'billing-1']],
    ['sort=version', ['orders-1', 'orders-3', 'orders-2', 'billing-1']],
    ['sort=-zone', ['orders-3', 'orders-2', 'orders-1', 'billing-1']],
  ])('?%s lists those that match, in that order', async (query, ids) => {
    const answer = await list(query);
    expect(idsOf(answer)).toEqual(ids);
    expect(answer.total).toBe(ids.length);
  });

  it('adds the state of heartbeats if requested', async () => {
    const { instances } = await list('heartbeats=true&service=billing');
    expect(instances[0].heartbeats).toMatchObject({ heartbeat1: expect.any(Object), heartbeat2: expect.any(Object) });
  });

  it('continues after the previous page, also when its last instance is gone', async () => {
    const whole = await list('limit=1000');
    expect(whole.next).toBeNull();
    const first = await list('limit=2&sort=-id');
    expect(idsOf(first)).toEqual(['orders-3', 'orders-2']);
    expect(first).toMatchObject({ total: 4, next: expect.any(String) });
    const gone = { id: 'orders-11', service: 'orders', endpoints: ENDPOINTS, secret: SECRET };
    await send('POST', 'register', gone);
    const page = await list('limit=2&sort=id');
    expect(idsOf(page)).toEqual(['billing-1', 'orders-1']);
    const then = await list(`limit=1&sort=id&after=${page.next}`);
    expect(idsOf(then)).toEqual(['orders-11']);
    await send('DELETE', 'instances/orders-11', {});
    const last = await list(`limit=2&sort=id&after=${then.next}`);
    expect(idsOf(last)).toEqual(['orders-2', 'orders-3']);
    expect(last).toMatchObject({ total: 4, next: null });
  });

  it.each([
    ['namespace=A%20B', 'namespace'],
    ['service=A_B', 'service'],
    ['state=ILL', 'state'],
    ['admin=enabled', 'admin'],
    ['callable=maybe', 'callable'],
    ['heartbeats=1', 'heartbeats'],
    ['sort=colour', 'sort'],
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['after=nonsense', 'after'],
    [`after=${Buffer.from('["id",1,"a"]').toString('base64url')}&sort=id`, 'after'],
    [`q=${'a'.repeat(129)}`, 'q'],
  ])('refuses ?%s, and names the allowed values', async (query, path) => {
    const answer = await fetch(`${registry.url}/api/v1/instances?${query}`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 'INVALID', flaws: [{ path, allowed: expect.any(String) }] });
  });

  it('refuses a cursor of another order', async () => {
    const { next } = await list('limit=1&sort=id');
    expect(await list(`limit=1&sort=version&after=${next}`)).toMatchObject({ code: 'INVALID' });
    expect(await list(`limit=1&sort=-id&after=${next}`)).toMatchObject({ code: 'INVALID' });
  });
});
