import { afterEach, describe, expect, it } from 'vitest';
import { POLL, Stage } from './stage.fixture.js';
import type { Answer } from './stage.fixture.js';

/**
 * "No, wrong, expired, other service's token on every route: 401/403, audit line, nothing changes". The routes are
 * those that the registry itself describes, so that new ones are covered too. (Which route answers which client:
 * http/access-table.test.ts.)
 */

let stage: Stage;
afterEach(() => stage.close());

/** Public routes, which reveal nothing about instances. */
const PUBLIC_ROUTES = ['GET /health/live', 'GET /health/ready', 'GET /openapi.json', 'GET /', 'GET /assets/{file}'];
const BODIES: Readonly<Record<string, object>> = {
  'POST /api/v1/register': { id: 'orders-2', service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }] },
  'POST /api/v1/instances/{id}/heartbeat': { nonce: null, seq: 9 },
  'POST /api/v1/instances/{id}/suspect': { by: 'orders-1', outcome: 'refused' },
  'POST /api/v1/instances/{id}/drain': { deadlineMs: 0 },
  'PATCH /api/v1/instances/{id}': { admin: 'MAINTENANCE', reason: 'x' },
};

const BEARERS = {
  'no token': () => Promise.resolve(null),
  'a wrong token': () => Promise.resolve(`rct_0123456789_${'A'.repeat(43)}`),
  'no token at all': () => Promise.resolve('Bearer'),
  'an expired token': () => stage.token({ expiresAt: 2 }),
  'a revoked token': () => stage.token({}, 2),
  'the token of another service': () => stage.token({ services: ['billing'] }),
} as const;

async function routes(): Promise<readonly string[]> {
  const { body } = await stage.ask('/openapi.json');
  return Object.entries<object>(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
}

describe('on every route', () => {
  for (const [what, bearerOf] of Object.entries(BEARERS)) {
    const isForeign = what === 'the token of another service';
    it(`${what} is refused, logged, and changes nothing`, async () => {
      stage = await Stage.make();
      const service = await stage.token();
      const operator = await stage.token({ role: 'operator', services: [] });
      const bearer = await bearerOf();
      await stage.start({ intervalMs: 60_000 });
      await stage.register(service, 'orders-1');
      const about = (): Promise<Answer> => stage.ask('/api/v1/services/orders', { bearer: operator });
      const before = (await about()).text;
      const all = await routes();
      expect(all.length).toBeGreaterThan(14);
      for (const route of all) {
        const [method = '', path = ''] = route.split(' ');
        const url = path.replace('{id}', 'orders-1').replace('{name}', 'orders');
        const query = path === '/api/v1/watch' ? '?service=orders' : '';
        const body = BODIES[route];
        const lines = stage.log.texts('warn').length;
        const answer = await stage.ask(url + query, { method, bearer, ...(body === undefined ? {} : { body }) });
        const isOpen = PUBLIC_ROUTES.includes(route) || (isForeign && method === 'GET');
        const expected = isOpen ? 200 : isForeign ? 403 : 401;
        // discovery reports to permitted clients that the registry is not settled yet
        const isPermitted = isOpen && route === 'GET /sd/prometheus' && answer.body.code === 'NOT_READY';
        expect([route, isPermitted ? 200 : answer.status]).toEqual([route, expected]);
        if (isOpen) continue;
        expect(answer.body).toMatchObject({ code: expect.any(String), fix: expect.any(String) });
        const line = new RegExp(`^Access refused: .* from 127\\.2\\..*: ${method} ${url}.* → ${answer.status}$`);
        const logged = (): readonly string[] => stage.log.texts('warn').slice(lines);
        await expect.poll(logged, POLL).toEqual([expect.stringMatching(line)]);
      }
      expect((await about()).text).toBe(before);
      expect((await stage.ask('/api/v1/instances/orders-2', { bearer: operator })).status).toBe(404);
    });
  }
});

describe('a credential that exceeds its limits', () => {
  it('holds a limited number of instances, from any address: 429, with when to retry and what to do; another one is not affected', async () => {
    stage = await Stage.make();
    const [first, second] = [await stage.token(), await stage.token()];
    await stage.start({ intervalMs: 60_000, maxInstancesPerToken: 3 });
    for (const id of ['orders-1', 'orders-2', 'orders-3'])
      expect((await stage.register(first, id)).answer.status).toBe(201);
    const { answer } = await stage.register(first, 'orders-4');
    expect(answer).toMatchObject({
      status: 429,
      headers: { 'retry-after': '10' },
      body: {
        code: 'TOO_MANY',
        detail: expect.stringMatching(/^Token [0-9a-f]{10} holds 3 instances, and maxInstancesPerToken is 3\.$/),
        fix: expect.stringContaining('raise maxInstancesPerToken'),
      },
    });
    expect((await stage.register(first, 'orders-1')).answer.status).toBe(201);
    expect((await stage.register(second, 'orders-4')).answer.status).toBe(201);
    await stage.ask('/api/v1/instances/orders-1', { method: 'DELETE', bearer: 'the-secret-of-orders-1-which-is-long' });
    expect((await stage.register(first, 'orders-5')).answer.status).toBe(201);
  });

  it('registers at a limited rate, the same instance too; beats and other credentials are not affected', async () => {
    stage = await Stage.make();
    const [first, second] = [await stage.token(), await stage.token()];
    await stage.start({ intervalMs: 60_000, maxRegistrationsPerToken: 5 });
    const enter = async (token: string, id: string): Promise<number> => (await stage.register(token, id)).answer.status;
    for (let i = 0; i < 5; i += 1) expect(await enter(first, 'orders-1')).toBe(201);
    const { answer, secret } = await stage.register(first, 'orders-1');
    expect(answer).toMatchObject({
      status: 429,
      body: { code: 'TOO_MANY', fix: expect.stringContaining('Retry-After') },
    });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(await enter(second, 'orders-2')).toBe(201);
    const beat = await stage.ask('/api/v1/instances/orders-1/heartbeat', {
      method: 'POST',
      bearer: secret,
      body: { nonce: null, seq: 1 },
    });
    expect(beat.status).toBe(200);
  });
});
