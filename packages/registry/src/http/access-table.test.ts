import { silentLog, systemTime } from '@rollcall/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PERMISSIONS } from '../access.js';
import { World } from '../registry.fixture.js';
import { TokenEntrance } from './access.js';
import { ENDPOINT, Guarded } from './access.fixture.js';
import type { Answer } from './access.fixture.js';
import { buildApp } from './server.js';

const COLUMNS = [
  'no token',
  'a wrong token',
  'an expired one',
  'a revoked one',
  'that of another service',
  'a reader',
  'a service',
  'an operator',
  'the secret',
  'the secret of another instance',
  'the secret, its token revoked',
  'the secret, its token expired',
] as const;
type Column = (typeof COLUMNS)[number];

/** What each route answers to each of `COLUMNS`, written out: this and the permission table in access.ts must say the same. */
const TABLE: Readonly<Record<string, string>> = {
  'POST /api/v1/register': '401 401 401 401 403 403 201 403 401 401 401 401',
  'POST /api/v1/instances/:id/heartbeat': '401 401 401 401 403 403 403 403 200 401 401 401',
  'POST /api/v1/instances/:id/suspect': '401 401 401 401 403 403 202 403 401 401 401 401',
  'POST /api/v1/instances/:id/drain': '401 401 401 401 403 403 403 403 202 401 401 401',
  'DELETE /api/v1/instances/:id': '401 401 401 401 403 403 403 204 204 401 401 401',
  'PATCH /api/v1/instances/:id': '401 401 401 401 403 403 403 200 401 401 401 401',
  'GET /api/v1/watch': '401 401 401 401 200 200 200 200 200 401 401 401',
  'GET /api/v1/services': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/services/:name': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/instances/:id': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/instances/:id/timeline': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/events': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/topology': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/registry': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /health/live': '200 200 200 200 200 200 200 200 200 200 200 200',
  'GET /health/ready': '200 200 200 200 200 200 200 200 200 200 200 200',
  'GET /openapi.json': '200 200 200 200 200 200 200 200 200 200 200 200',
};

describe('every route, whatever comes to it', () => {
  let registry: Guarded;
  const bearers = new Map<Column, string | null>();
  /** Registered with a token that was revoked, or has expired, since. */
  const lapsed = new Map<Column, { id: string; secret: string }[]>();
  let service = '';
  let operator = '';

  beforeAll(async () => {
    registry = await Guarded.make();
    const ofOrders = { role: 'service', services: ['orders', 'pay-*'] } as const;
    const brief = await registry.token({ ...ofOrders, expiresAt: systemTime.wall() + 3_000 });
    const doomed = await registry.token(ofOrders);
    service = (await registry.token(ofOrders)).text;
    operator = (await registry.token({ role: 'operator' })).text;
    bearers.set('no token', null);
    bearers.set('a wrong token', `rct_0123456789_${'A'.repeat(43)}`);
    bearers.set('an expired one', (await registry.token({ ...ofOrders, expiresAt: 1 })).text);
    bearers.set('a revoked one', (await registry.token(ofOrders, 1)).text);
    bearers.set('that of another service', (await registry.token({ role: 'service', services: ['billing'] })).text);
    bearers.set('a reader', (await registry.token()).text);
    bearers.set('a service', service);
    bearers.set('an operator', operator);
    await registry.start();
    const many = async (token: string) => {
      const instances: { id: string; secret: string }[] = [];
      while (instances.length < Object.keys(TABLE).length) instances.push(await registry.enrol(token));
      return instances;
    };
    lapsed.set('the secret, its token expired', await many(brief.text));
    lapsed.set('the secret, its token revoked', await many(doomed.text));
    await registry.revoke(doomed.id);
    await registry.until(doomed.text, 401);
    await registry.until(brief.text, 401);
  });
  afterAll(() => registry.close());

  /** One request to a route, as this column has it, about an instance of its own. */
  async function visit(route: string, column: Column): Promise<{ answer: Answer; id: string }> {
    const [method = '', path = ''] = route.split(' ');
    const own = lapsed.get(column)?.pop() ?? (await registry.enrol(service));
    const isSecret = column.startsWith('the secret');
    const foreign = column === 'the secret of another instance' ? (await registry.enrol(service)).secret : own.secret;
    const bodies: Readonly<Record<string, object>> = {
      'POST /api/v1/register': { id: `${own.id}-new`, service: 'orders', endpoints: [ENDPOINT] },
      'POST /api/v1/instances/:id/heartbeat': { nonce: null, seq: 1 },
      'POST /api/v1/instances/:id/suspect': { by: own.id, outcome: 'refused' },
      'PATCH /api/v1/instances/:id': { admin: 'MAINTENANCE', reason: 'a cable' },
    };
    const query = path !== '/api/v1/watch' ? '' : isSecret ? `?instance=${own.id}` : '?service=orders';
    const where = path.replace(':id', own.id).replace(':name', 'orders') + query;
    const bearer = isSecret ? foreign : (bearers.get(column) ?? null);
    const body = bodies[route];
    const answer = await registry.ask(where, { method, bearer, ...(body === undefined ? {} : { body }) });
    return { answer, id: own.id };
  }

  it('has a row here, and one in the permission table', async () => {
    const world = new World();
    const entrance = new TokenEntrance({
      tokens: { find: () => ({ kind: 'none' }), isValid: () => false, onChange() {} },
      registry: world.registry,
      log: silentLog,
      time: systemTime,
    });
    const rim = {
      registry: world.registry,
      time: systemTime,
      log: silentLog,
      insecure: false,
      access: 'tokens',
      lasting: new Set<() => void>(),
    } as const;
    const app = buildApp({ ...rim, entrance }, [], entrance);
    await app.ready();
    const routes = entrance.routes.filter((route) => !route.startsWith('HEAD ')).toSorted();
    expect(routes).toEqual(Object.keys(TABLE).toSorted());
    expect(PERMISSIONS.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(routes);
    await app.close();
  });

  for (const [route, statuses] of Object.entries(TABLE)) {
    it(`${route}: ${statuses}`, async () => {
      const answered: string[] = [];
      for (const column of COLUMNS) {
        const { answer, id } = await visit(route, column);
        answered.push(`${answer.status} ${column}`);
        if (answer.status < 400) continue;
        expect(answer.body).toMatchObject({
          status: answer.status,
          detail: expect.any(String),
          fix: expect.any(String),
        });
        // and nothing has changed
        const after = await registry.ask(`/api/v1/instances/${id}`, { bearer: operator });
        expect(after).toMatchObject({
          status: 200,
          body: { admin: 'ENABLED', state: expect.not.stringMatching('DEREG') },
        });
        expect((await registry.ask(`/api/v1/instances/${id}-new`, { bearer: operator })).status).toBe(404);
      }
      const expected = statuses.split(' ').map((status, index) => `${status} ${COLUMNS[index]}`);
      expect(answered).toEqual(expected);
    });
  }

  it('a HEAD of it is as its GET', async () => {
    expect((await registry.ask('/api/v1/services', { method: 'HEAD' })).status).toBe(401);
    expect((await registry.ask('/api/v1/services', { method: 'HEAD', bearer: operator })).status).toBe(200);
  });

  it('another method of it, and what does not exist, says only that', async () => {
    expect((await registry.ask('/api/v1/services', { method: 'PUT' })).status).toBe(405);
    expect((await registry.ask('/api/v1/nothing')).status).toBe(404);
  });

  it('the header of an open registry makes nobody an operator', async () => {
    const { id } = await registry.enrol(service);
    const headers = { 'x-rollcall-operator': '1' };
    expect((await registry.ask(`/api/v1/instances/${id}`, { method: 'DELETE', headers })).status).toBe(401);
    const patched = await registry.ask(`/api/v1/instances/${id}`, {
      method: 'PATCH',
      headers,
      bearer: service,
      body: { weight: 1 },
    });
    expect(patched.status).toBe(403);
  });

  it('no token and no secret is ever repeated: not in the log, nor in an answer, nor in what it says of itself', async () => {
    const about = await registry.ask('/api/v1/registry', { bearer: operator });
    expect(about.body).toMatchObject({
      access: 'tokens',
      insecure: false,
      options: { tokens: { value: 'asked for' } },
    });
    const events = await registry.ask('/api/v1/events?limit=1000', { bearer: operator });
    expect(events.body.events.length).toBeGreaterThan(50);
    expect(registry.secrets.length).toBeGreaterThan(50);
    const said = [...registry.texts, ...registry.log.texts()].join('\n');
    expect(registry.secrets.filter((secret) => said.includes(secret))).toEqual([]);
    expect(registry.texts.join('\n')).not.toContain(registry.path);
    // it would have been seen
    expect([...registry.texts, registry.secrets[0]].join('\n')).toContain(registry.secrets[0]);
  });
});
