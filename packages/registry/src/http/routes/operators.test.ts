import type { FastifyRequest } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { SECRET, value, RegistryFixture } from '../../registry.fixture.js';
import { isOperator } from '../exchange/request.js';
import { serveRegistry } from '../server.js';
import type { RegistryServer } from '../server.js';

const open: RegistryServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

const OPERATOR = { 'x-rollcall-operator': '1' };

interface Served {
  readonly fixture: RegistryFixture;
  readonly get: (path: string) => Promise<{ readonly status: number; readonly body: any }>;
  /** Removes `orders-1`; resolves with the status. */
  readonly remove: (query: string) => Promise<number>;
  readonly post: (path: string, headers: Record<string, string>) => Promise<number>;
  readonly patch: (
    id: string,
    body: unknown,
    headers?: Record<string, string>,
  ) => Promise<{ readonly status: number; readonly body: any }>;
}

/** A registry with one instance, `orders-1`, on a port of its own. */
async function serve(): Promise<Served> {
  const fixture = await RegistryFixture.start();
  await fixture.registerHealthy('orders-1', 3001);
  const server = await serveRegistry({ registry: fixture.registry, port: 0 });
  open.push(server);
  const ask = async (path: string, init: RequestInit = {}): Promise<{ status: number; body: any }> => {
    const answer = await fetch(`${server.url}/api/v1/${path}`, init);
    return { status: answer.status, body: await answer.json() };
  };
  const patch: Served['patch'] = (id, body, headers = OPERATOR) =>
    ask(`instances/${id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const post: Served['post'] = async (path, headers) =>
    (await fetch(`${server.url}/api/v1/${path}`, { method: 'POST', headers })).status;
  const remove: Served['remove'] = async (query) =>
    (await fetch(`${server.url}/api/v1/instances/orders-1${query}`, { method: 'DELETE', headers: OPERATOR })).status;
  return { fixture, get: (path) => ask(path), post, patch, remove };
}

describe('PATCH /api/v1/instances/{id}', () => {
  it('is answered with the changed record', async () => {
    const { fixture, get, patch } = await serve();
    const untilMs = fixture.time.wall() + 60_000;
    const answer = await patch('orders-1', { admin: 'MAINTENANCE', metadata: { lane: 'a' }, reason: 'cable', untilMs });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        id: 'orders-1',
        state: 'HEALTHY',
        admin: 'MAINTENANCE',
        metadata: { lane: 'a' },
        own: { weight: 100, metadata: {} },
        override: { admin: 'MAINTENANCE', weight: null, metadata: { lane: 'a' }, reason: 'cable', untilMs },
      },
    });
    expect((await get('instances/orders-1')).body).toEqual(answer.body);
  });

  it('requires the operator header, which a foreign web page cannot send', async () => {
    const { fixture, patch } = await serve();
    expect(await patch('orders-1', { weight: 1 }, {})).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    const secret = { authorization: `Bearer ${SECRET}` };
    expect((await patch('orders-1', { weight: 1 }, secret)).status).toBe(403);
    const page = { ...OPERATOR, origin: 'http://evil.example' };
    expect(await patch('orders-1', { weight: 1 }, page)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    expect(fixture.record('orders-1').weight).toBe(100);
  });

  it.each([
    ['127.0.0.1', '1', true],
    ['::1', '1', true],
    ['::ffff:127.0.0.1', '1', true],
    ['10.0.0.5', '1', false],
    ['127.0.0.1', '0', false],
    ['127.0.0.1', undefined, false],
  ])('with a source of %s and the header "%s" is by an operator: %s', (remoteAddress, header, isOne) => {
    const headers = header === undefined ? {} : { 'x-rollcall-operator': header };
    expect(isOperator({ headers, socket: { remoteAddress } } as unknown as FastifyRequest)).toBe(isOne);
  });

  it.each([
    ['nothing', {}, ''],
    ['no object', '[]', ''],
    ['only unknown fields', { state: 'HEALTHY' }, ''],
    ['an admin state that is none', { admin: 'OFF' }, 'admin'],
    ['an admin state of null', { admin: null }, 'admin'],
    ['a weight above 1000', { weight: 1_001 }, 'weight'],
    ['a reason of 201 characters', { weight: 1, reason: 'x'.repeat(201) }, 'reason'],
    ['a reason of two lines', { weight: 1, reason: 'a\nb' }, 'reason'],
    ['metadata that is not text', { metadata: { a: 1 } }, 'metadata.a'],
    [
      'metadata of 65 keys',
      { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [at, null])) },
      'metadata',
    ],
    ['metadata of 4097 bytes', { metadata: { a: 'x'.repeat(4_096) } }, 'metadata'],
    ['a key that reaches a prototype', '{"metadata":{"__proto__":"x"}}', 'metadata.__proto__'],
    ['the same taken back', '{"metadata":{"__proto__":null}}', 'metadata.__proto__'],
    ['an end in the past', { weight: 1, untilMs: 1 }, 'untilMs'],
    ['an end that is not a whole number', { weight: 1, untilMs: 1.5 }, 'untilMs'],
  ])('refuses %s', async (_, body, path) => {
    const { patch } = await serve();
    const answer = await patch('orders-1', body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'INVALID', flaws: [{ path }] } });
  });

  it('refuses changes of an instance that is unknown, removed or leaving', async () => {
    const { fixture, patch } = await serve();
    expect(await patch('nobody', { weight: 1 })).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    value(await fixture.registry.drain('orders-1', SECRET, {}));
    expect(await patch('orders-1', { weight: 1 })).toMatchObject({ status: 409, body: { code: 'LEAVING' } });
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    expect(await patch('orders-1', { weight: 1 })).toMatchObject({ status: 410, body: { code: 'ENDED' } });
  });
});

describe('POST /api/v1/instances/{id}/call', () => {
  it('probes the instance now, for operators', async () => {
    const { fixture, post } = await serve();
    expect(await post('instances/orders-1/call', {})).toBe(403);
    expect(await post('instances/nobody/call', OPERATOR)).toBe(404);
    const before = fixture.network.calls.length;
    expect(await post('instances/orders-1/call', OPERATOR)).toBe(202);
    await fixture.time.advanceBy(1);
    expect(fixture.network.calls.length).toBe(before + 1);
  });
});

describe('DELETE /api/v1/instances/{id}', () => {
  it('reports the reason of the operator afterwards', async () => {
    const { fixture, get, remove } = await serve();
    expect(await remove(`?reason=${'x'.repeat(201)}`)).toBe(400);
    expect(await remove('?reason=two%0Alines')).toBe(400);
    expect(value(fixture.registry.instance('orders-1')).state).toBe('HEALTHY');
    expect(await remove('?reason=leaked%20token')).toBe(204);
    const why = { code: 'OPERATOR', text: 'removed by an operator: leaked token' };
    expect((await get('services/orders')).body.removed).toMatchObject([{ id: 'orders-1', reason: why }]);
    expect((await get('instances/orders-1/timeline')).body.events.at(-1)).toMatchObject({
      kind: 'removed',
      reason: why,
    });
  });
});

describe('the heartbeats', () => {
  it('are readable for a whole service, and the last ones for one instance', async () => {
    const { get } = await serve();
    const { heartbeats } = (await get('instances/orders-1')).body;
    const [listed] = (await get('services/orders?heartbeats=true')).body.instances;
    expect(listed).toMatchObject({ id: 'orders-1', heartbeats });
    expect((await get('services/orders?heartbeats=false')).body.instances[0]).not.toHaveProperty('heartbeats');
    expect((await get('services/orders?heartbeats=yes')).status).toBe(400);
    expect((await get('instances/orders-1/beats')).body).toEqual({
      id: 'orders-1',
      intervalMs: 5_000,
      heartbeat1: [{ agoMs: expect.any(Number), roundTripMs: expect.any(Number) }],
      heartbeat2: [{ agoMs: expect.any(Number) }],
      notListening: [],
    });
    expect((await get('instances/nobody/beats')).status).toBe(404);
  });
});

describe('the history', () => {
  it('is readable for one instance, also when it is gone', async () => {
    const { fixture, get, patch } = await serve();
    await patch('orders-1', { admin: 'DRAINING', reason: 'move' });
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    const { status, body } = await get('instances/orders-1/timeline');
    expect([status, body.id, body.since]).toEqual([200, 'orders-1', expect.any(Number)]);
    expect(body.events.map(({ kind, by }: any) => `${kind} by ${by}`)).toEqual([
      'registered by instance',
      'state by registry',
      'admin by operator',
      'removed by instance',
    ]);
    expect(body.events[2]).toEqual({
      seq: 4,
      at: expect.any(Number),
      kind: 'admin',
      namespace: 'default',
      service: 'orders',
      instance: 'orders-1',
      state: 'HEALTHY',
      reason: { code: 'OPERATOR', text: 'move' },
      revision: expect.any(Number),
      by: 'operator',
      text: 'drained by an operator',
    });
    expect(await get('instances/nobody/timeline')).toMatchObject({ status: 404 });
  });

  it('is readable for all, in pages and with filters', async () => {
    const { fixture, get } = await serve();
    value(await fixture.register('stock-1', 3002, { service: 'stock', namespace: 'shop' }));
    const all = (await get('events?namespace=*')).body;
    expect(all).toMatchObject({ epoch: fixture.registry.epoch, last: 4, more: false, missed: 0 });
    expect(all.events.map(({ seq }: any) => seq)).toEqual([1, 2, 3, 4]);
    const part = (await get('events?namespace=*&after=1&limit=2')).body;
    expect(part).toMatchObject({ last: 3, more: true, events: [{ seq: 2 }, { seq: 3 }] });
    const seqsOf = async (query: string) => (await get(`events?${query}`)).body.events.map(({ seq }: any) => seq);
    expect(await seqsOf('')).toEqual([1, 2, 3]);
    expect(await seqsOf('namespace=*&service=stock')).toEqual([4]);
    expect(await seqsOf('namespace=*&service=*&kind=registered&kind=registry')).toEqual([1, 2, 4]);
    expect(await seqsOf('limit=1')).toEqual([3]);
  });
});

describe('GET /api/v1/registry', () => {
  it('shows view, self-preservation, policy, limits and options', async () => {
    const { get } = await serve();
    const { body } = await get('registry');
    expect(body).toMatchObject({
      revision: expect.any(Number),
      view: { revision: body.revision, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      preservation: { active: false, registry: { used: 0, rule: null }, services: [] },
      policy: { intervalMs: 5_000 },
      limits: { maxInstances: 20_000 },
      options: {},
      insecure: false,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      visitor: null,
    });
  });
});
