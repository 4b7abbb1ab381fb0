import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { POLL, Stage } from './stage.fixture.js';
import type { Answer } from './stage.fixture.js';

/**
 * "B registers A's name or address, drains A, beats for A, replays a beat: refused". A and B both have a valid token;
 * that of B is once for another service and once for the same one.
 */

let stage: Stage;
let tokenOfA = '';
let tokenOfB = '';
let operator = '';
const SECRET_OF_B = 'the-secret-of-B-which-is-long-enough';

async function begin(intervalMs: number): Promise<void> {
  stage = await Stage.make();
  tokenOfA = await stage.token({ services: ['orders'] });
  tokenOfB = await stage.token({ services: ['billing'] });
  operator = await stage.token({ role: 'operator', services: [] });
  await stage.start({ intervalMs });
}

/** A registry that takes no decision by itself for a minute. */
async function startCalmRegistry(): Promise<void> {
  await stage.close();
  await begin(60_000);
}

/** The time since a direction of the heartbeats succeeded, ms. */
async function successAgoMs(id: string, direction: 'heartbeat1' | 'heartbeat2'): Promise<number> {
  const { body } = await about(id);
  return body.heartbeats[direction].lastSuccessAgoMs ?? Infinity;
}

beforeEach(() => begin(300));
afterEach(() => stage.close());

const about = async (id: string): Promise<Answer> => await stage.ask(`/api/v1/instances/${id}`, { bearer: operator });
const post = (path: string, bearer: string, body: object): Promise<Answer> =>
  stage.ask(path, { method: 'POST', bearer, body, from: '127.0.0.1' });
const beat = (id: string, bearer: string, seq: number, nonce: string | null = null): Promise<Answer> =>
  post(`/api/v1/instances/${id}/heartbeat`, bearer, { nonce, seq });

describe('B does not take the identity of A:', () => {
  it('B registers A’s name', async () => {
    const { answer } = await stage.register(tokenOfB, 'orders-of-B');
    expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    expect(await about('orders-of-B')).toMatchObject({ status: 404 });
  });

  it('B registers A’s id, with a token for A’s service, for its own, and with no secret', async () => {
    await startCalmRegistry();
    await stage.register(tokenOfA, 'orders-1', { version: '1' });
    for (const [bearer, service] of [
      [tokenOfA, 'orders'],
      [tokenOfB, 'billing'],
    ] as const) {
      for (const secret of [SECRET_OF_B, undefined]) {
        const { answer } = await stage.register(bearer, 'orders-1', { service, version: '2', secret });
        expect(answer).toMatchObject({ status: 409, body: { code: 'ID_HELD' } });
      }
    }
    expect((await about('orders-1')).body).toMatchObject({ service: 'orders', version: '1' });
  });

  it('B registers A’s address: the address is probed, A answers, and B is removed', async () => {
    const { rollcall, port } = await stage.startService(tokenOfA);
    const { answer, secret } = await stage.register(tokenOfB, 'billing-of-B', {
      service: 'billing',
      endpoints: [{ protocol: 'http', port }],
    });
    expect(answer.status).toBe(201);
    await expect.poll(async () => (await beat('billing-of-B', secret, Date.now())).status, POLL).toBe(409);
    expect((await beat('billing-of-B', secret, Date.now())).body.code).toBe('ADDRESS_TAKEN');
    expect(rollcall.state).toBe('HEALTHY');
    const { body } = await stage.ask('/api/v1/services/billing', { bearer: operator });
    expect(body.instances).toEqual([]);
  });

  it('B registers A’s removed id: it is ended for good, or reserved for the owner of the secret', async () => {
    const { secret } = await stage.register(tokenOfA, 'orders-left');
    await stage.ask('/api/v1/instances/orders-left', { method: 'DELETE', bearer: secret });
    await stage.register(tokenOfA, 'orders-removed');
    await stage.ask('/api/v1/instances/orders-removed', { method: 'DELETE', bearer: operator });
    // no process answers at this one, and it does not beat
    await stage.register(tokenOfA, 'orders-silent');
    await expect.poll(async () => (await about('orders-silent')).status, POLL).toBe(404);
    for (const id of ['orders-left', 'orders-removed', 'orders-silent']) {
      const { answer } = await stage.register(tokenOfA, id, { secret: SECRET_OF_B });
      expect(answer).toMatchObject({ status: 409, body: { code: 'ID_HELD' } });
    }
    expect((await stage.register(tokenOfA, 'orders-left')).answer).toMatchObject({
      status: 410,
      body: { code: 'ENDED' },
    });
    expect((await stage.register(tokenOfA, 'orders-removed')).answer).toMatchObject({
      status: 410,
      body: { code: 'ENDED' },
    });
    expect((await stage.register(tokenOfA, 'orders-silent')).answer.status).toBe(201);
  });
});

const act = (method: string, path: string, bearer: string | null, body?: object): Promise<Answer> =>
  stage.ask(`/api/v1/instances/${path}`, { method, bearer, ...(body === undefined ? {} : { body }) });

describe('B does not act for A:', () => {
  const ACTIONS: readonly (readonly [string, (id: string, bearer: string | null) => Promise<Answer>])[] = [
    ['drains A', (id, bearer) => act('POST', `${id}/drain`, bearer, { deadlineMs: 0 })],
    ['beats for A', (id, bearer) => act('POST', `${id}/heartbeat`, bearer, { nonce: null, seq: 1 })],
    ['ends A', (id, bearer) => act('DELETE', id, bearer)],
    ['takes A out of service', (id, bearer) => act('PATCH', id, bearer, { admin: 'MAINTENANCE', reason: 'x' })],
  ];

  it.each(ACTIONS)(
    'B %s, with nothing, a token, its own secret, a wrong one, and the header of operators',
    async (_what, tried) => {
      const { rollcall } = await stage.startService(tokenOfA);
      const { secret } = await stage.register(tokenOfB, 'billing-1', { service: 'billing' });
      const { id } = rollcall;
      for (const bearer of [null, tokenOfA, tokenOfB, secret, 'a'.repeat(43)]) {
        const answer = await tried(id, bearer);
        expect([401, 403]).toContain(answer.status);
        expect(answer.body).toMatchObject({ fix: expect.any(String) });
      }
      expect(rollcall.state).toBe('HEALTHY');
      expect((await about(id)).body).toMatchObject({ state: 'HEALTHY', admin: 'ENABLED' });
    },
  );

  it('B opens A’s line', async () => {
    await startCalmRegistry();
    const { rollcall } = await stage.startService(tokenOfA);
    await expect.poll(() => successAgoMs(rollcall.id, 'heartbeat1'), POLL).toBeGreaterThan(500);
    for (const bearer of [null, tokenOfB, tokenOfA, SECRET_OF_B]) {
      expect(await stage.ask(`/api/v1/watch?instance=${rollcall.id}`, { bearer })).toMatchObject({ status: 401 });
    }
    // a line that ends has its instance probed at once; none of these was its line
    expect(await successAgoMs(rollcall.id, 'heartbeat1')).toBeGreaterThan(500);
    expect((await about(rollcall.id)).body.state).toBe('HEALTHY');
    expect(rollcall.state).toBe('HEALTHY');
  });

  it('B reports A as dead: A is probed, and stays', async () => {
    await startCalmRegistry();
    const { rollcall } = await stage.startService(tokenOfA);
    const { rollcall: other } = await stage.startService(tokenOfB, 'billing');
    const reportSuspicion = (bearer: string, by: string): Promise<Answer> =>
      post(`/api/v1/instances/${rollcall.id}/suspect`, bearer, { by, outcome: 'refused' });
    await expect.poll(() => successAgoMs(rollcall.id, 'heartbeat1'), POLL).toBeGreaterThan(500);
    // in the name of another instance
    expect((await reportSuspicion(tokenOfB, rollcall.id)).status).toBe(403);
    expect(await successAgoMs(rollcall.id, 'heartbeat1')).toBeGreaterThan(500);
    expect((await reportSuspicion(tokenOfB, other.id)).status).toBe(202);
    await expect.poll(() => successAgoMs(rollcall.id, 'heartbeat1'), POLL).toBeLessThan(500);
    expect((await about(rollcall.id)).body.state).toBe('HEALTHY');
  });
});

describe('an intercepted beat', () => {
  it('is not accepted a second time: its sequence number is used', async () => {
    await startCalmRegistry();
    const { secret } = await stage.register(tokenOfA, 'orders-1');
    expect((await beat('orders-1', secret, 5)).status).toBe(200);
    const { body: before } = await about('orders-1');
    await expect.poll(() => successAgoMs('orders-1', 'heartbeat2'), POLL).toBeGreaterThan(300);
    for (const seq of [5, 4, 0]) expect((await beat('orders-1', secret, seq)).status).toBe(200);
    expect(await successAgoMs('orders-1', 'heartbeat2')).toBeGreaterThan(300);
    const { heartbeats: _, ...after } = (await about('orders-1')).body;
    expect(before).toMatchObject(after);
    expect((await beat('orders-1', secret, 6)).status).toBe(200);
    expect(await successAgoMs('orders-1', 'heartbeat2')).toBeLessThan(300);
  });

  it('keeps no instance alive', async () => {
    const { secret } = await stage.register(tokenOfA, 'orders-1');
    await beat('orders-1', secret, 5);
    await expect
      .poll(async () => {
        await beat('orders-1', secret, 5);
        return (await about('orders-1')).status;
      }, POLL)
      .toBe(404);
  });

  it('proves nothing with a nonce that is old or not the registry’s', async () => {
    const nonces: string[] = [];
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { nonce, instance } = JSON.parse(Buffer.concat(parts).toString());
        nonces.push(nonce);
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ instance, nonce }));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.onClose(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { secret } = await stage.register(tokenOfA, 'orders-1', { endpoints: [{ protocol: 'http', port }] });
    let seq = 0;
    const beatWith = async (nonce: string | null | undefined): Promise<string> => {
      seq += 1;
      return (await beat('orders-1', secret, seq, nonce ?? null)).body.state;
    };
    await expect
      .poll(async () => {
        expect(await beatWith('a-nonce-of-my-own-making')).not.toBe('HEALTHY');
        return nonces.length;
      }, POLL)
      .toBeGreaterThan(5);
    expect(await beatWith(nonces[0])).not.toBe('HEALTHY');
    await expect.poll(() => beatWith(nonces.at(-1)), POLL).toBe('HEALTHY');
  });
});
