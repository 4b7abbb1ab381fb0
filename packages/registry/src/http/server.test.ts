import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { connect } from 'node:net';
import { request } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { RegistryApi } from '../registry-api.js';
import { serveRegistry } from './server.js';
import type { RegistryServer, ServeOptions } from './server.js';

const open: RegistryServer[] = [];
afterEach(() => Promise.all(open.splice(0).map((server) => server.close())));

/** A registry that knows nothing, refuses nothing and records its calls; tests replace the relevant parts. */
function fakeRegistry(parts: Partial<RegistryApi> = {}): RegistryApi & { readonly calls: unknown[][] } {
  const calls: unknown[][] = [];
  const note =
    (name: string, value: unknown) =>
    (...given: unknown[]): any => {
      calls.push([name, ...given]);
      return { ok: true, value };
    };
  return {
    calls,
    ready: true,
    register: async (...given) => note('register', {})(...given),
    admits: () => true,
    beat: note('beat', { state: 'HEALTHY', revision: 7 }),
    suspect: note('suspect', null),
    drain: note('drain', { watchers: 3 }),
    leave: note('leave', null),
    amend: async (...given) => note('amend', {})(...given),
    timeline: note('timeline', { events: [] }),
    events: note('events', { events: [] }),
    topology: note('topology', { withinMs: 15_000, edges: [] }),
    traffic: note('traffic', { stepMs: 5_000, points: [] }),
    beats: note('beats', { heartbeat1: [], heartbeat2: [] }),
    call: note('call', null),
    services: note('services', { revision: 7, services: [] }),
    service: note('service', { instances: [], removed: [] }),
    instances: note('instances', { instances: [] }),
    instance: note('instance', {}),
    describe: note('describe', { replica: 'replica-1', epoch: 'e' }),
    watch: note('watch', { closed() {} }),
    ...parts,
  };
}

async function serve(options: Partial<ServeOptions> = {}): Promise<RegistryServer> {
  const server = await serveRegistry({ registry: fakeRegistry(), port: 0, ...options });
  open.push(server);
  return server;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: any;
}

/** Uses node:http, as fetch does not let you choose Host. */
function send(url: string, options: RequestOptions & { readonly body?: string | Buffer } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, body: text === '' ? null : JSON.parse(text) });
      });
    });
    sent.on('error', reject).end(options.body);
  });
}

function post(url: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> {
  return send(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
}

/** The whole answer of a server to these bytes until it closes. */
function converse(server: RegistryServer, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(server.port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8').on('data', (part: string) => (received += part));
    socket.on('close', () => resolve(received)).on('error', reject);
  });
}

const ID = 'orders-0192f0c4-0000-7000-8000-000000000001';
const SECRET = 'abcdefghijklmnopqrstuv';
const REGISTRATION = JSON.stringify({ id: ID, service: 'orders', endpoints: [{ protocol: 'tcp', port: 3001 }] });

describe('the routes of services', () => {
  it('pass a valid registration to the engine, with its source address', async () => {
    const registry = fakeRegistry();
    const { url } = await serve({ registry });
    expect((await post(`${url}/api/v1/register`, REGISTRATION)).status).toBe(201);
    expect(registry.calls).toMatchObject([['register', { id: ID, namespace: 'default' }, { address: '127.0.0.1' }]]);
  });

  it('pass on the secret of a heartbeat, and answer the state after it', async () => {
    const registry = fakeRegistry();
    const { url } = await serve({ registry });
    const path = `${url}/api/v1/instances/${ID}/heartbeat`;
    const answer = await post(path, '{"nonce":null,"seq":1}', { authorization: `bearer ${SECRET}` });
    expect(answer).toMatchObject({ status: 200, body: { state: 'HEALTHY', revision: 7 } });
    expect(registry.calls).toEqual([['beat', ID, SECRET, { nonce: null, seq: 1 }]]);
  });

  it('treat an impossible secret as none', async () => {
    const registry = fakeRegistry();
    const { url } = await serve({ registry });
    await post(`${url}/api/v1/instances/${ID}/heartbeat`, '{"nonce":null,"seq":1}', { authorization: 'Bearer short' });
    expect(registry.calls[0]?.[2]).toBeNull();
  });

  it('drain with the default deadline when there is no body at all', async () => {
    const registry = fakeRegistry();
    const { url } = await serve({ registry });
    const answer = await send(`${url}/api/v1/instances/${ID}/drain`, { method: 'POST' });
    expect(answer).toMatchObject({ status: 202, body: { watchers: 3 } });
    expect(registry.calls).toEqual([['drain', ID, null, { deadlineMs: 30_000 }]]);
  });

  it('accept a report with an empty answer', async () => {
    const { url } = await serve();
    const answer = await post(`${url}/api/v1/instances/${ID}/suspect`, '{"by":"gateway","outcome":"refused"}');
    expect(answer).toMatchObject({ status: 202, body: null });
  });

  it('distinguish an instance that leaves from an operator that removes it', async () => {
    const registry = fakeRegistry();
    const { url } = await serve({ registry });
    const remove = (headers: Record<string, string>): Promise<Answer> =>
      send(`${url}/api/v1/instances/${ID}`, { method: 'DELETE', headers });
    expect((await remove({ authorization: `Bearer ${SECRET}` })).status).toBe(204);
    await remove({ 'x-rollcall-operator': '1' });
    await remove({});
    expect(registry.calls.map(([, , ender]) => ender)).toEqual([{ secret: SECRET }, { operator: true }, null]);
  });
});

describe('a refusal', () => {
  it('is a problem document, with the flaws of an invalid message', async () => {
    const { url } = await serve();
    const answer = await post(`${url}/api/v1/register`, REGISTRATION.replace('3001', '"x"'));
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer).toMatchObject({
      status: 400,
      body: { type: 'urn:rollcall:problem:INVALID', status: 400, code: 'INVALID', title: expect.any(String) },
    });
    expect(answer.body.flaws).toMatchObject([{ path: 'endpoints[0].port', received: '"x"' }]);
  });

  it('is sent with its status and Retry-After if it comes from the engine', async () => {
    const problem = { code: 'NOT_READY', detail: 'not yet', fix: 'wait', retryAfterMs: 1_200 } as const;
    const { url } = await serve({ registry: fakeRegistry({ services: () => ({ ok: false, problem }) }) });
    const answer = await send(`${url}/api/v1/services`);
    expect(answer).toMatchObject({ status: 503, body: problem, headers: { 'retry-after': '2' } });
  });

  it('reports that a secret is required', async () => {
    const problem = { code: 'UNAUTHORIZED', detail: 'no', fix: 'send it' } as const;
    const { url } = await serve({ registry: fakeRegistry({ leave: async () => ({ ok: false, problem }) }) });
    const answer = await send(`${url}/api/v1/instances/${ID}`, { method: 'DELETE' });
    expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
  });

  it.each([
    ['an unknown route', 'GET', '/api/v2/nothing', undefined, 404, 'NOT_FOUND'],
    ['another method', 'PUT', '/api/v1/register', '{}', 405, 'METHOD_NOT_ALLOWED'],
    ['broken JSON', 'POST', '/api/v1/register', '{"id":', 400, 'INVALID', /^The body is not valid JSON/],
    ['no body', 'POST', '/api/v1/register', undefined, 400, 'INVALID'],
    ['a body of more than 16 KiB', 'POST', '/api/v1/register', `{"id":"${'x'.repeat(17_000)}"}`, 413, 'TOO_LARGE'],
    ['a path that cannot be decoded', 'GET', '/api/v1/instances/%E0%A4', undefined, 400, 'INVALID'],
    ['an id that is too long', 'GET', `/api/v1/instances/${'x'.repeat(200)}`, undefined, 400, 'INVALID', /128 char/],
    ['a name that is none', 'GET', '/api/v1/services/Orders', undefined, 400, 'INVALID'],
    ['a namespace that is none', 'GET', '/api/v1/services?namespace=A', undefined, 400, 'INVALID'],
    ['a state that is none', 'GET', '/api/v1/services/orders?state=FINE', undefined, 400, 'INVALID'],
    ['a wait that is too long', 'GET', '/api/v1/services/a?revision=1&waitMs=1e9', undefined, 400, 'INVALID'],
    ['a limit that is none', 'GET', '/api/v1/events?limit=0', undefined, 400, 'INVALID'],
    ['a kind that is none', 'GET', '/api/v1/events?kind=all', undefined, 400, 'INVALID'],
    ['an empty patch of an operator', 'PATCH', '/api/v1/instances/a', '{}', 400, 'INVALID'],
    ['a patch without a body', 'PATCH', '/api/v1/instances/a', undefined, 400, 'INVALID'],
    ['a watch of nothing', 'GET', '/api/v1/watch', undefined, 400, 'INVALID'],
  ])('is given to %s', async (...row) => {
    const [, method, path, body, status, code, detail = /./] = row;
    const { url } = await serve();
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await send(`${url}${path}`, { method, headers, ...(body !== undefined && { body }) });
    const problem = { code, detail: expect.stringMatching(detail), fix: expect.any(String) };
    expect(answer).toMatchObject({ status, body: problem });
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  it('lists the methods that a route has', async () => {
    const { url } = await serve();
    const answer = await send(`${url}/api/v1/instances/${ID}`, { method: 'PUT' });
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'DELETE, PATCH, GET, HEAD' } });
  });

  it('is the answer to a body whose content type is not JSON', async () => {
    const { url } = await serve();
    const answer = await post(`${url}/api/v1/register`, REGISTRATION, { 'content-type': 'text/plain' });
    expect(answer).toMatchObject({ status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } });
  });

  it.each([
    ['{"metadata":{"__proto__":"x"}}', 'metadata.__proto__'],
    ['{"unknown":[{"\\u0063onstructor":1}]}', 'unknown[0].constructor'],
    [`${'['.repeat(7_000)}{"prototype":1}${']'.repeat(7_000)}`, expect.stringMatching(/^….{1,100}\[0\]\.prototype$/)],
  ])('names the key that reaches a prototype', async (body, path) => {
    const { url } = await serve();
    expect((await post(`${url}/api/v1/register`, body)).body.flaws).toMatchObject([{ path }]);
  });

  it('is the answer to bytes that are not UTF-8', async () => {
    const { url } = await serve();
    const answer = await post(
      `${url}/api/v1/register`,
      Buffer.from(REGISTRATION.replace('orders', '\u00ff'), 'latin1'),
    );
    const flaws = [{ path: '', received: 'other bytes', allowed: 'UTF-8' }];
    expect(answer).toMatchObject({ status: 400, body: { detail: 'The body is not valid UTF-8.', flaws } });
  });

  it('is the answer to input that is not HTTP, and closes the connection', async () => {
    const server = await serve();
    expect(await converse(server, 'rollcall\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [^]*"code":"INVALID"/);
    const long = `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`;
    expect(await converse(server, long)).toMatch(/^HTTP\/1\.1 413 [^]*"code":"TOO_LARGE"/);
  });

  it('hides failures of the registry itself, and logs them', async () => {
    const log = recordingLog();
    const failing = fakeRegistry({
      instance: () => {
        throw new Error('disk on fire');
      },
    });
    const { url } = await serve({ registry: failing, log });
    const answer = await send(`${url}/api/v1/instances/${ID}`);
    expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL' } });
    expect(JSON.stringify(answer.body)).not.toContain('fire');
    expect(log.texts('error')).toEqual([
      expect.stringContaining('GET /api/v1/instances/:id failed: Error: disk on fire'),
    ]);
  });
});

describe('a web page', () => {
  it.each(['127.0.0.1', '127.0.0.1:1337', 'localhost', 'LOCALHOST.:80', '[::1]:1337', 'registry.internal', '10.1.2.3'])(
    'may name the host %s',
    async (host) => {
      const { url } = await serve({ names: ['registry.internal'] });
      expect((await send(`${url}/health/live`, { headers: { host } })).status).toBe(200);
    },
  );

  it.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '0x7f000001', '127.1', '[evil]', 'a b'])(
    'may not name the host "%s", which could be made to resolve to us',
    async (host) => {
      const { url } = await serve();
      for (const path of ['/health/live', '/api/v1/watch?service=*', '/nothing']) {
        const answer = await send(`${url}${path}`, { headers: { host } });
        expect(answer).toMatchObject({ status: 421, body: { code: 'MISDIRECTED' } });
      }
    },
  );

  it('must send a Host', async () => {
    const server = await serve();
    expect(await converse(server, 'GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 421 /,
    );
  });

  it('is refused on every route if it is of another origin', async () => {
    const registry = fakeRegistry();
    const { url } = await serve({ registry });
    for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1:1']) {
      const headers = { origin, 'x-rollcall-operator': '1' };
      const answer = await send(`${url}/api/v1/instances/${ID}`, { method: 'DELETE', headers });
      expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
      expect(await send(`${url}/api/v1/register`, { method: 'OPTIONS', headers })).toMatchObject({ status: 403 });
    }
    expect(registry.calls).toEqual([]);
  });

  it('is answered if it is of the registry’s own origin', async () => {
    const { url } = await serve();
    expect((await send(`${url}/api/v1/services`, { headers: { origin: url } })).status).toBe(200);
  });
});

describe('a server', () => {
  it('is live before it is ready', async () => {
    const { url } = await serve({ registry: fakeRegistry({ ready: false }) });
    expect((await send(`${url}/health/live`)).status).toBe(200);
    expect(await send(`${url}/health/ready`)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  });

  it('describes every route it has, and no other', async () => {
    const { url } = await serve();
    const { body } = await send(`${url}/openapi.json`);
    expect(Object.keys(body.paths).toSorted()).toEqual([
      '/api/v1/events',
      '/api/v1/instances',
      ...['', '/beats', '/call', '/drain', '/heartbeat', '/suspect', '/timeline'].map(
        (rest) => `/api/v1/instances/{id}${rest}`,
      ),
      '/api/v1/register',
      '/api/v1/registry',
      '/api/v1/services',
      '/api/v1/services/{name}',
      '/api/v1/topology',
      '/api/v1/traffic',
      '/api/v1/watch',
      '/health/live',
      '/health/ready',
      '/metrics',
      '/openapi.json',
      '/sd/prometheus',
    ]);
    for (const [path, operations] of Object.entries<object>(body.paths)) {
      const answer = await send(url + path.replace(/\{\w+\}/, 'x'), { method: 'OPTIONS' });
      const allowed = (answer.headers.allow ?? '').split(', ').filter((method) => method !== 'HEAD');
      expect([path, ...allowed.toSorted()]).toEqual([
        path,
        ...Object.keys(operations)
          .map((one) => one.toUpperCase())
          .toSorted(),
      ]);
    }
    const references = [...JSON.stringify(body).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
    expect(Object.keys(body.components.schemas)).toEqual(expect.arrayContaining(references));
  });

  it('refuses to listen on a network unless that is intended, and then logs it', async () => {
    await expect(serve({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'NOT_LOOPBACK' });
    const log = recordingLog();
    const server = await serve({ host: '0.0.0.0', insecure: true, log });
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect(log.texts('warn')).toEqual([expect.stringContaining('insecure')]);
    expect((await send(`${server.url}/api/v1/registry`)).body).toMatchObject({ replica: 'replica-1', insecure: true });
  });

  it('reports what holds its port, and the fix', async () => {
    const first = await serve();
    await expect(serve({ port: first.port })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringMatching(/A Rollcall registry serves .* already.*--port 0/),
    });
  });

  it('reports an address that this machine does not have', async () => {
    await expect(serve({ host: '203.0.113.7', insecure: true })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringMatching(/cannot listen on 203\.0\.113\.7:0: .*EADDRNOTAVAIL/),
    });
  });

  it('keeps a connection open after an answer, so that the instance can close first', async () => {
    const server = await serve();
    const socket = connect(server.port, '127.0.0.1');
    for (let round = 0; round < 2; round += 1) {
      socket.write('GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n');
      const [answer] = await once(socket, 'data');
      expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /);
    }
    socket.end();
    await once(socket, 'close');
  });

  it('answers a request whose sender closed its side immediately', async () => {
    const registry = fakeRegistry();
    const server = await serve({ registry });
    const body = '{"nonce":null,"seq":1}';
    const head = `POST /api/v1/instances/${ID}/heartbeat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json`;
    const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    const [first] = await once(socket, 'data');
    expect(String(first)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('closes, twice, even if a client holds a connection', async () => {
    const time = new ManualTime();
    const server = await serve({ time });
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    const closing = Promise.all([server.close(), server.close()]);
    time.advance(1_000);
    await closing;
    await expect(send(`${server.url}/health/live`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
    socket.destroy();
  });
});
