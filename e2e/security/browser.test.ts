import { startRegistry } from '@rollcall/registry';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Stage } from './stage.fixture.js';

/**
 * "Foreign page posts an action: refused (custom header, same origin)", and other attempts of a page in the browser of
 * a user who can reach the registry. Once where tokens are required, once on loopback, where none are.
 */

type Ask = (
  path: string,
  headers?: Readonly<Record<string, string>>,
  method?: string,
  body?: string,
) => Promise<IncomingMessage>;

const LABEL = ['with tokens', 'open on loopback'] as const;
const asks = new Map<(typeof LABEL)[number], Ask>();
const cleanups: (() => Promise<unknown>)[] = [];
const MARKUP = '<script>alert(1)</script>';

function createAsk(url: string, bearer: string | null): Ask {
  return async (path, headers = {}, method = 'GET', body) => {
    const authorization = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
    const sent = request(url + path, { method, agent: false, headers: { ...authorization, ...headers } }).end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    if (String(response.headers['content-type']).startsWith('text/event-stream')) response.destroy();
    return response;
  };
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += String(part);
  return text;
}

/** A registration with markup in every free-text field. */
function withMarkup(id: string): string {
  const endpoints = [{ protocol: 'tcp', port: 9 }];
  return JSON.stringify({ id, service: 'orders', endpoints, version: MARKUP, metadata: { [MARKUP]: MARKUP } });
}

beforeAll(async () => {
  const stage = await Stage.make();
  const service = await stage.token();
  const operator = await stage.token({ role: 'operator', services: [] });
  await stage.start({ intervalMs: 15_000 });
  const open = await startRegistry({ port: 0, intervalMs: 15_000 });
  cleanups.push(
    () => stage.close(),
    () => open.close(),
  );
  asks.set('with tokens', createAsk(stage.url, operator));
  asks.set('open on loopback', createAsk(open.url, null));
  for (const [url, bearer] of [
    [stage.url, service],
    [open.url, null],
  ] as const) {
    const json = { 'content-type': 'application/json' };
    expect((await createAsk(url, bearer)('/api/v1/register', json, 'POST', withMarkup('orders-1'))).statusCode).toBe(
      201,
    );
  }
});
afterAll(async () => {
  for (const cleanup of cleanups) await cleanup();
});

const PAGES: readonly (readonly [string, Readonly<Record<string, string>>, number])[] = [
  ['a foreign page', { origin: 'http://evil.example' }, 403],
  ['a foreign page over HTTPS', { origin: 'https://evil.example' }, 403],
  ['a page without an origin', { origin: 'null' }, 403],
  ['a page on another port of this machine', { origin: 'http://127.0.0.1:1' }, 403],
  ['an origin that is none', { origin: '127.0.0.1' }, 403],
  ['an image or script of a foreign page', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, 403],
  ['a page of a neighbouring name', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' }, 403],
  ['a value that no browser sends', { 'sec-fetch-site': 'same-planet' }, 403],
  ['a frame', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, 403],
  ['a name that was made to point here', { host: 'evil.example' }, 421],
  ['that, with a port', { host: 'evil.example:1337' }, 421],
  ['a name that begins like ours', { host: 'localhost.evil.example' }, 421],
  ['a name that ends like ours', { host: 'evil-localhost' }, 421],
  ['an address in a name', { host: '127.0.0.1.nip.example' }, 421],
  ['an address in short', { host: '127.1' }, 421],
  ['an address as one number', { host: '2130706433' }, 421],
  ['a user before the host', { host: 'localhost@evil.example' }, 421],
];

/** Routes that act, read, stream, do not exist, or need no token. */
const ROUTES = [
  ['GET', '/api/v1/services'],
  ['GET', '/api/v1/watch?service=*'],
  ['POST', '/api/v1/register'],
  ['POST', '/api/v1/instances/orders-1/heartbeat'],
  ['POST', '/api/v1/instances/orders-1/drain'],
  ['DELETE', '/api/v1/instances/orders-1'],
  ['PATCH', '/api/v1/instances/orders-1'],
  ['OPTIONS', '/api/v1/instances/orders-1'],
  ['GET', '/health/live'],
  ['GET', '/openapi.json'],
  ['GET', '/nothing'],
] as const;

describe.each(LABEL)('a registry %s', (label) => {
  const ask: Ask = (...question) => asks.get(label)?.(...question) ?? Promise.reject(new Error('not started'));

  it.each(PAGES)('does not answer %s, on any route', async (_who, headers, status) => {
    for (const [method, path] of ROUTES) {
      const operator = { 'x-rollcall-operator': '1', 'content-type': 'application/json' };
      const response = await ask(path, { ...operator, ...headers }, method, method === 'POST' ? '{}' : undefined);
      expect([method, path, response.statusCode]).toEqual([method, path, status]);
      response.destroy();
    }
    expect((await ask('/api/v1/instances/orders-1')).statusCode).toBe(200);
  });

  it('lets no other origin read: no CORS header on any answer, and a preflight is refused', async () => {
    for (const [method, path] of ROUTES) {
      const { headers } = await ask(path, {}, method === 'GET' ? 'GET' : 'OPTIONS');
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
    const preflight = {
      origin: 'http://evil.example',
      'access-control-request-method': 'DELETE',
      'access-control-request-headers': 'x-rollcall-operator',
    };
    expect((await ask('/api/v1/instances/orders-1', preflight, 'OPTIONS')).statusCode).toBe(403);
    const { origin: _, ...ours } = preflight;
    expect((await ask('/api/v1/instances/orders-1', ours, 'OPTIONS')).statusCode).toBe(405);
  });

  it('sets headers so that no page can frame, sniff, cache or leak its answers, and no script runs in them', async () => {
    for (const [method, path] of ROUTES.filter(([verb]) => verb === 'GET')) {
      const { headers } = await ask(path, {}, method);
      const policy = String(headers['content-security-policy']);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toMatch(/default-src '(none|self)'/);
      expect(policy).not.toContain('unsafe');
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
      });
      expect(headers['set-cookie']).toBeUndefined();
    }
  });

  it('returns markup as data: as JSON that no browser renders as a page', async () => {
    for (const path of ['/api/v1/services/orders', '/api/v1/instances/orders-1', '/api/v1/events']) {
      const response = await ask(path);
      expect(response.headers['content-type']).toMatch(/^application\/json/);
      expect(response.headers['x-content-type-options']).toBe('nosniff');
      await textOf(response);
    }
    const refused = await ask(`/api/v1/services/${encodeURIComponent(MARKUP)}`);
    expect(refused.statusCode).toBe(400);
    expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/);
  });
});

const askWithoutToken: Ask = (...question) =>
  asks.get('open on loopback')?.(...question) ?? Promise.reject(new Error('not started'));

describe('an action on a loopback registry', () => {
  const json = { 'content-type': 'application/json' };

  it.each([
    ['without the header that no page can send', {}],
    ['with another value of it', { 'x-rollcall-operator': 'true' }],
    ['with it twice', { 'x-rollcall-operator': '1, 1' }],
  ] as const)('%s is refused', async (_what, headers) => {
    expect((await askWithoutToken('/api/v1/instances/orders-1', { ...json, ...headers }, 'DELETE')).statusCode).toBe(
      401,
    );
    const patch = await askWithoutToken(
      '/api/v1/instances/orders-1',
      { ...json, ...headers },
      'PATCH',
      '{"admin":"MAINTENANCE"}',
    );
    expect([401, 403]).toContain(patch.statusCode);
    expect(JSON.parse(await textOf(await askWithoutToken('/api/v1/instances/orders-1')))).toMatchObject({
      admin: 'ENABLED',
    });
  });

  it('is refused for its content type when a form sends it, without a preflight', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const headers = { 'content-type': type, 'sec-fetch-site': 'none' };
      expect((await askWithoutToken('/api/v1/register', headers, 'POST', withMarkup('orders-2'))).statusCode).toBe(415);
    }
  });
});
