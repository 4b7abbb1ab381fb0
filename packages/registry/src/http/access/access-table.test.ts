import { silentLog, systemTime } from '@rollcall/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PERMISSIONS } from '../../access/permissions.js';
import { RegistryFixture } from '../../registry.fixture.js';
import { buildApp } from '../server.js';
import { ENDPOINT, GuardedRegistry } from './authorization.fixture.js';
import type { Answer, Question } from './authorization.fixture.js';
import { TokenEntrance } from './authorization.js';
import { Pki } from './pki.fixture.js';
import type { Pair } from './pki.fixture.js';

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

/** Over TLS with client certificates: each is answered as the equivalent token. */
const CERTIFIED = {
  'a certificate that has signed itself': 'a wrong token',
  'a certificate of another CA': 'a wrong token',
  'an expired certificate': 'an expired one',
  'a revoked certificate': 'a revoked one',
  'the certificate of another service': 'that of another service',
  'the certificate of a reader': 'a reader',
  'the certificate of a service': 'a service',
  'the certificate of an operator': 'an operator',
  'the secret, and an expired certificate': 'an expired one',
  'the secret, its certificate not shown': 'the secret, its token revoked',
} as const satisfies Readonly<Record<string, Column>>;

/**
 * The status of each route for each of `COLUMNS`, written out: the table in permissions.ts must agree with it.
 */
const TABLE: Readonly<Record<string, string>> = {
  'POST /api/v1/register': '401 401 401 401 403 403 201 403 401 401 401 401',
  'POST /api/v1/instances/:id/heartbeat': '401 401 401 401 403 403 403 403 200 401 401 401',
  'POST /api/v1/instances/:id/suspect': '401 401 401 401 403 403 202 403 401 401 401 401',
  'POST /api/v1/instances/:id/drain': '401 401 401 401 403 403 403 403 202 401 401 401',
  'DELETE /api/v1/instances/:id': '401 401 401 401 403 403 403 204 204 401 401 401',
  'PATCH /api/v1/instances/:id': '401 401 401 401 403 403 403 200 401 401 401 401',
  'POST /api/v1/instances/:id/call': '401 401 401 401 403 403 403 202 401 401 401 401',
  'GET /api/v1/watch': '401 401 401 401 200 200 200 200 200 401 401 401',
  'GET /api/v1/services': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/services/:name': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/instances': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/instances/:id': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/instances/:id/timeline': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/instances/:id/beats': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/events': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/topology': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/traffic': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /api/v1/registry': '401 401 401 401 200 200 200 200 401 401 401 401',
  'GET /metrics': '401 401 401 401 200 200 200 200 401 401 401 401',
  // with an invalid query: the route answers 503 otherwise while the registry is not settled
  'GET /sd/prometheus': '401 401 401 401 400 400 400 400 401 401 401 401',
  'GET /health/live': '200 200 200 200 200 200 200 200 200 200 200 200',
  'GET /health/ready': '200 200 200 200 200 200 200 200 200 200 200 200',
  'GET /openapi.json': '200 200 200 200 200 200 200 200 200 200 200 200',
  'GET /': '200 200 200 200 200 200 200 200 200 200 200 200',
  'GET /assets/*': '404 404 404 404 404 404 404 404 404 404 404 404',
};

/** One request to a route about this instance: with `isSecret`, a watch is its line. */
function requestOf(
  route: string,
  own: { readonly id: string },
  isSecret: boolean,
): { where: string; request: Question } {
  const [method = '', path = ''] = route.split(' ');
  const bodies: Readonly<Record<string, object>> = {
    'POST /api/v1/register': { id: `${own.id}-new`, service: 'orders', endpoints: [ENDPOINT] },
    'POST /api/v1/instances/:id/heartbeat': { nonce: null, seq: 1 },
    'POST /api/v1/instances/:id/suspect': { by: own.id, outcome: 'refused' },
    'PATCH /api/v1/instances/:id': { admin: 'MAINTENANCE', reason: 'a cable' },
  };
  const queries: Readonly<Record<string, string>> = {
    '/api/v1/watch': isSecret ? `?instance=${own.id}` : '?service=orders',
    '/sd/prometheus': '?namespace=A_B',
  };
  const body = bodies[route];
  const where = path.replace(':id', own.id).replace(':name', 'orders') + (queries[path] ?? '');
  return { where, request: { method, ...(body === undefined ? {} : { body }) } };
}

describe('every route', () => {
  let registry: GuardedRegistry;
  const bearers = new Map<Column, string | null>();
  /** Registered with a token that was revoked, or has expired, since. */
  const lapsed = new Map<Column, { id: string; secret: string }[]>();
  let service = '';
  let operator = '';

  beforeAll(async () => {
    registry = await GuardedRegistry.make();
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

  /** Sends one request to a route with the credentials of this column, about an instance that no other request uses. */
  async function visit(route: string, column: Column): Promise<{ answer: Answer; id: string }> {
    const own = lapsed.get(column)?.pop() ?? (await registry.enrol(service));
    const isSecret = column.startsWith('the secret');
    const foreign = column === 'the secret of another instance' ? (await registry.enrol(service)).secret : own.secret;
    const { where, request } = requestOf(route, own, isSecret);
    const bearer = isSecret ? foreign : (bearers.get(column) ?? null);
    const answer = await registry.ask(where, { ...request, bearer });
    return { answer, id: own.id };
  }

  it('has a row here and one in the permission table', async () => {
    const fixture = new RegistryFixture();
    const entrance = new TokenEntrance({
      tokens: { find: () => ({ kind: 'none' }), isValid: () => false, onChange() {} },
      registry: fixture.registry,
      log: silentLog,
      time: systemTime,
    });
    const context = {
      registry: fixture.registry,
      time: systemTime,
      log: silentLog,
      insecure: false,
      access: 'tokens',
      lasting: new Set<() => void>(),
    } as const;
    const app = buildApp({ ...context, authorization: entrance }, [], entrance);
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

  it('answers a HEAD like its GET', async () => {
    expect((await registry.ask('/api/v1/services', { method: 'HEAD' })).status).toBe(401);
    expect((await registry.ask('/api/v1/services', { method: 'HEAD', bearer: operator })).status).toBe(200);
  });

  it('reveals nothing by another method or an unknown path', async () => {
    expect((await registry.ask('/api/v1/services', { method: 'PUT' })).status).toBe(405);
    expect((await registry.ask('/api/v1/nothing')).status).toBe(404);
  });

  it('grants no rights for the operator header of an open registry', async () => {
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

  it('reveals no token or secret in the log, in an answer, or in the status of the registry', async () => {
    const about = await registry.ask('/api/v1/registry', { bearer: operator });
    expect(about.body).toMatchObject({
      access: 'tokens',
      insecure: false,
      options: { tokens: { value: 'asked for' } },
    });
    const events = await registry.ask('/api/v1/events?limit=1000', { bearer: operator });
    expect(events.body.events.length).toBeGreaterThan(50);
    expect(registry.secrets.length).toBeGreaterThan(50);
    const output = [...registry.texts, ...registry.log.texts()].join('\n');
    expect(registry.secrets.filter((secret) => output.includes(secret))).toEqual([]);
    expect(registry.texts.join('\n')).not.toContain(registry.path);
    // it would have been seen
    expect([...registry.texts, registry.secrets[0]].join('\n')).toContain(registry.secrets[0]);
  });
});

describe.each(['tokens and certificates', 'certificates'] as const)(
  'every route over TLS, where it asks for %s',
  (request) => {
    let registry: GuardedRegistry;
    let pki: Pki;
    const certificates = new Map<string, Pair>();
    let operator: Pair;
    let service: Pair;

    beforeAll(async () => {
      pki = await Pki.make();
      registry = await GuardedRegistry.make();
      const orders = { sans: ['URI:rollcall:service:orders', 'URI:rollcall:service:pay-*'] };
      const server = await pki.sign({ sans: ['IP:127.0.0.1'] });
      service = await pki.sign(orders);
      operator = await pki.sign({ sans: ['URI:rollcall:operator'] });
      const stranger = await Pki.make();
      const revoked = await pki.sign(orders);
      const expired = await pki.sign({ ...orders, isExpired: true });
      certificates.set('a certificate that has signed itself', await pki.selfSigned(orders));
      certificates.set('a certificate of another CA', await stranger.sign(orders));
      certificates.set('an expired certificate', expired);
      certificates.set('the secret, and an expired certificate', expired);
      certificates.set('a revoked certificate', revoked);
      certificates.set(
        'the certificate of another service',
        await pki.sign({ sans: ['URI:rollcall:service:billing'] }),
      );
      certificates.set('the certificate of a reader', await pki.sign({ sans: ['URI:rollcall:reader'] }));
      certificates.set('the certificate of a service', service);
      certificates.set('the certificate of an operator', operator);
      certificates.set('one without such a name', await pki.sign({ sans: ['DNS:orders.prod.internal'] }));
      certificates.set('one for no client', await pki.sign({ ...orders, extendedKeyUsage: 'serverAuth' }));
      await stranger.close();
      registry.ca = pki.ca;
      const tls = {
        certFile: await pki.write('server.pem', server.cert),
        keyFile: await pki.write('server.key', server.key),
        caFile: pki.path('ca.pem'),
        crlFile: await pki.write('revoked.crl', await pki.revocationList(revoked)),
      };
      await registry.start(request === 'certificates' ? { tls, tokens: null } : { tls });
    });
    afterAll(async () => {
      await registry.close();
      await pki.close();
    });

    async function statusOf(route: string, column: string): Promise<number> {
      const own = await registry.enrol(service);
      const isSecret = column.includes('the secret');
      const { where, request: question } = requestOf(route, own, isSecret);
      const certificate = certificates.get(column) ?? (column.includes('and its own') ? service : null);
      const answer = await registry.ask(where, { ...question, certificate, bearer: isSecret ? own.secret : null });
      if (answer.status >= 400) {
        expect(answer.body).toMatchObject({ detail: expect.any(String), fix: expect.any(String) });
        const after = await registry.ask(`/api/v1/instances/${own.id}`, { certificate: operator });
        expect(after).toMatchObject({
          status: 200,
          body: { admin: 'ENABLED', state: expect.not.stringMatching('DEREG') },
        });
        const added = await registry.ask(`/api/v1/instances/${own.id}-new`, { certificate: operator });
        expect(added.status).toBe(404);
      }
      return answer.status;
    }

    it.each(Object.keys(TABLE))('%s answers each certificate as its token', async (route) => {
      const statuses = TABLE[route]?.split(' ').map(Number) ?? [];
      const as = (column: Column): number | undefined => statuses[COLUMNS.indexOf(column)];
      const expected: Record<string, number | undefined> = { 'no certificate': as('no token') };
      for (const [column, token] of Object.entries(CERTIFIED)) expected[column] = as(token);
      const isForAnyone = as('no token') !== 401;
      expected['one without such a name'] = isForAnyone ? as('no token') : 403;
      expected['one for no client'] = as('a wrong token');
      // if no secret is required, the certificate beside it counts
      expected['the secret, and its own certificate'] = as('the secret') === 401 ? as('a service') : as('the secret');
      const answered: Record<string, number> = {};
      for (const column of Object.keys(expected)) answered[column] = await statusOf(route, column);
      expect(answered).toEqual(expected);
    });
  },
);
