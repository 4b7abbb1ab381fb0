import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectSecurely } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { diskStore } from '../../store/disk/disk.js';
import { ENDPOINT, guarded } from './authorization.fixture.js';
import type { Answer, GuardedRegistry } from './authorization.fixture.js';
import { TestPki, DAY_MS, createSkewedTime, POLL } from './tls.fixture.js';

/** A registry with an operator, a reader and a service, and the lines of its log. */
async function setUp() {
  const registry = await guarded();
  const service = await registry.token({ role: 'service', services: ['orders'] });
  const operator = await registry.token({ role: 'operator' });
  const reader = await registry.token();
  await registry.start({ store: diskStore({ folder: `${registry.folder}/data`, log: registry.log }) });
  const logged = (pattern: RegExp): string[] => registry.log.texts().filter((text) => pattern.test(text));
  return { registry, service, operator, reader, logged };
}

interface Message {
  readonly method: string;
  readonly path: string;
  readonly bearer: string;
  readonly body?: object;
}

function bytesOf({ method, path, bearer, body }: Message): string {
  const text = body === undefined ? '' : JSON.stringify(body);
  const about =
    body === undefined ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(text)}`];
  const lines = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1', `authorization: Bearer ${bearer}`, ...about];
  return `${lines.join('\r\n')}\r\n\r\n${text}`;
}

/** Ways to send a request over an open connection without waiting for the answer. Whether it arrives is random. */
const WAYS: Readonly<Record<string, (socket: Socket, bytes: string) => void>> = {
  'closes its sending side': (socket, bytes) => void socket.end(bytes),
  leaves: (socket, bytes) => void socket.write(bytes, () => socket.destroy()),
  'resets its connection': (socket, bytes) => void socket.write(bytes, () => socket.resetAndDestroy()),
  'resets it at once': (socket, bytes) => {
    socket.write(bytes);
    socket.resetAndDestroy();
  },
};
const ROUNDS = 12;
/** The source address that only these requests use. */
const FROM = '127.0.0.77';

async function sendAndLeave(registry: GuardedRegistry, way: keyof typeof WAYS, message: Message): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(registry.url).port), localAddress: FROM });
  const closed = once(
    socket.on('error', () => {}),
    'close',
  );
  await once(socket, 'connect');
  socket.resume();
  WAYS[way]?.(socket, bytesOf(message));
  await closed;
}

/**
 * Sends all but the last byte of the body, runs `meanwhile`, sends the last byte, and returns the status of the answer.
 */
async function sendSlowly(
  registry: GuardedRegistry,
  message: Message,
  meanwhile: () => Promise<void>,
): Promise<string> {
  const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (text) => (received += String(text)));
  const bytes = bytesOf(message);
  socket.write(bytes.slice(0, -1));
  await meanwhile();
  socket.write(bytes.slice(-1));
  await expect.poll(() => received, { timeout: 3_000 }).toMatch(/^HTTP/);
  socket.destroy();
  return received.slice(9, 12);
}

type Setup = Awaited<ReturnType<typeof setUp>>;

interface Kind {
  /** The token that the request is sent with. */
  readonly by: 'service' | 'operator';
  readonly message: (id: string) => Omit<Message, 'bearer'>;
  readonly isDone: (answer: Answer) => boolean;
}

const KINDS: Readonly<Record<string, Kind>> = {
  register: {
    by: 'service',
    message: (id) => ({
      method: 'POST',
      path: '/api/v1/register',
      body: { id, service: 'orders', secret: 'a-secret-that-is-long-enough', endpoints: [ENDPOINT] },
    }),
    isDone: ({ status }) => status === 200,
  },
  PATCH: {
    by: 'operator',
    message: (id) => ({
      method: 'PATCH',
      path: `/api/v1/instances/${id}`,
      body: { admin: 'MAINTENANCE', reason: 'hidden' },
    }),
    isDone: ({ body }) => body.admin === 'MAINTENANCE',
  },
  DELETE: {
    by: 'operator',
    message: (id) => ({ method: 'DELETE', path: `/api/v1/instances/${id}` }),
    isDone: ({ status }) => status !== 200,
  },
};

/** The id of another instance, which is registered unless that is the action to test. */
async function another({ registry, service }: Setup, what: string, count: number): Promise<string> {
  return what === 'register' ? `orders-new-${count}` : (await registry.enrol(service.text)).id;
}

describe('a client that sends a request and', () => {
  const cases = Object.keys(WAYS).flatMap((way) =>
    Object.entries(KINDS).map(([what, kind]) => [way, what, kind] as const),
  );
  it.each(cases)('%s causes nothing that is not logged: %s', async (way, what, { by, message, isDone }) => {
    const place = await setUp();
    const { registry, operator, reader, logged } = place;
    const ask = (id: string): Promise<Answer> => registry.ask(`/api/v1/instances/${id}`, { bearer: operator.text });
    const ids: string[] = [];
    const done = async (): Promise<number> => (await Promise.all(ids.map(ask))).filter(isDone).length;
    const lines = (): string[] => logged(new RegExp(`^Access: ${by} token \\S+ from ${FROM}: `));

    const { id: stays } = await registry.enrol(place.service.text);
    await sendAndLeave(registry, way, { method: 'DELETE', path: `/api/v1/instances/${stays}`, bearer: reader.text });
    while ((await done()) === 0) {
      for (let round = 0; round < ROUNDS; round += 1) {
        const id = await another(place, what, ids.length);
        ids.push(id);
        await sendAndLeave(registry, way, { ...message(id), bearer: place[by].text });
      }
    }
    await expect.poll(async () => (await done()) - lines().length, POLL).toBe(0);
    expect((await ask(stays)).status).toBe(200);
    expect(logged(/^Access(?!.* from 127\.\d+\.\d+\.\d+: )/)).toEqual([]);
  });
});

describe('a client whose token is revoked during its request', () => {
  it.each(['PATCH', 'DELETE', 'register'] as const)('does nothing: %s', async (what) => {
    const { registry, service, reader, logged } = await setUp();
    const late = await registry.token({
      role: what === 'register' ? 'service' : 'operator',
      services: what === 'register' ? ['orders'] : [],
    });
    await registry.until(late.text, 200);
    const { id } = await registry.enrol(service.text);
    const path = `/api/v1/instances/${id}`;
    const secret = 'a-secret-that-is-long-enough';
    const messages: Readonly<Record<typeof what, Message>> = {
      PATCH: { method: 'PATCH', path, bearer: late.text, body: { admin: 'MAINTENANCE', reason: 'late' } },
      DELETE: { method: 'DELETE', path, bearer: late.text, body: {} },
      register: {
        method: 'POST',
        path: '/api/v1/register',
        bearer: late.text,
        body: { id: 'orders-late', service: 'orders', secret, endpoints: [ENDPOINT] },
      },
    };
    const status = await sendSlowly(registry, messages[what], async () => {
      await registry.revoke(late.id);
      await registry.until(late.text, 401);
    });
    expect(status).toBe('401');
    expect((await registry.ask(path, { bearer: reader.text })).body.admin).toBe('ENABLED');
    expect((await registry.ask('/api/v1/instances/orders-late', { bearer: reader.text })).status).toBe(404);
    expect(logged(/from 127\.0\.0\.1: .* → 401/)).toEqual([
      expect.stringContaining(`Access refused: ${what === 'register' ? 'service' : 'operator'} token ${late.id} from`),
    ]);
  });
});

describe('a client whose certificate expires during its request', () => {
  it('does nothing', async () => {
    const pki = await TestPki.make();
    onTestFinished(async () => {
      await pki.clear();
      await pki.close();
    });
    const time = createSkewedTime();
    const registry = await pki.registry({}, { time });
    const { id } = await registry.enrol(pki.orders);
    const port = Number(new URL(registry.url).port);
    const socket = connectSecurely({ host: '127.0.0.1', port, ca: pki.pki.ca, ...pki.operator });
    const path = `/api/v1/instances/${id}`;
    const bytes = bytesOf({ method: 'PATCH', path, bearer: '', body: { admin: 'MAINTENANCE', reason: 'late' } });
    socket.write(bytes.slice(0, -1));
    await once(socket, 'secureConnect');
    await pause(100);
    time.laterMs = 3 * DAY_MS;
    socket.write(bytes.slice(-1));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 401 [^]*CERTIFICATE_UNTRUSTED/);
    socket.destroy();
  });
});

describe('a client that guesses secrets by registering', () => {
  it('is logged, and has to wait after 30 guesses; a client with the right secret registers again', async () => {
    const { registry, service, logged } = await setUp();
    const { id, secret } = await registry.enrol(service.text);
    const from = '127.0.0.5';
    const register = (tried: string) =>
      registry.ask('/api/v1/register', {
        method: 'POST',
        bearer: service.text,
        from,
        body: { id, service: 'orders', secret: tried, endpoints: [ENDPOINT] },
      });
    const statuses: number[] = [];
    for (let round = 0; round < 40; round += 1)
      statuses.push((await register(`no-valid-secret-at-all-${round}`)).status);
    expect(statuses.slice(0, 30)).toEqual(Array<number>(30).fill(409));
    expect(statuses.at(-1)).toBe(429);
    expect(
      logged(/^Access refused: service token \S+ from 127\.0\.0\.5: POST \S+register id=\S+ service=orders → 409/),
    ).not.toEqual([]);
    expect((await register(secret)).status).toBe(201);
  });
});

describe('the log of refusals', () => {
  it('counts the requests that had to wait', async () => {
    const { registry, logged } = await setUp();
    for (let round = 0; round < 60; round += 1) await registry.ask('/api/v1/services', { from: '127.0.0.5' });
    await registry.ask('/api/v1/services', { from: '127.0.0.6' });
    const lines = logged(/^Access refused/);
    const others = lines.flatMap((text) => Number(/\((\d+) others? /.exec(text)?.[1] ?? 0));
    expect(others.reduce((sum, count) => sum + count, lines.length)).toBe(61);
  });

  it('has foreign web pages and foreign host names, with their identity', async () => {
    const { registry, operator, logged } = await setUp();
    const foreign = { origin: 'http://evil.example' };
    const from = '127.0.0.5';
    await registry.ask('/', { from, headers: foreign });
    await registry.ask('/api/v1/instances/x', { from, headers: foreign, bearer: operator.text, method: 'DELETE' });
    await registry.ask('/api/v1/services', { from, headers: { host: 'evil.example' } });
    expect(logged(/^Access refused/)).toEqual([
      'Access refused: anonymous from 127.0.0.5: GET / (foreign web page) → 403',
      `Access refused: operator token ${operator.id} from 127.0.0.5: DELETE /api/v1/instances/x (foreign web page) → 403`,
      'Access refused: anonymous from 127.0.0.5: GET /api/v1/services (foreign name) → 421',
    ]);
  });
});

async function deedsOn(options: { insecure: boolean }) {
  const registry = await guarded();
  await registry.start({ tokens: null, ...options });
  const from = '127.0.0.5';
  const secret = 'a-secret-that-is-long-enough';
  const body = { id: 'orders-1', service: 'orders', secret, endpoints: [{ ...ENDPOINT, host: from }] };
  const path = '/api/v1/instances/orders-1';
  const headers = { 'x-rollcall-operator': '1' };
  await registry.ask('/api/v1/register', { method: 'POST', from, body });
  await registry.ask(path, { method: 'PATCH', from, headers, body: { weight: 7, reason: 'new cable' } });
  await registry.ask(path, { method: 'PATCH', from, body: { weight: 8 } });
  await registry.ask(path, { method: 'DELETE', from, bearer: secret });
  return registry.log.texts().filter((text) => text.startsWith('Access'));
}

describe('a registry without access control', () => {
  const BY_OPERATOR =
    'Access: an operator from 127.0.0.5: PATCH /api/v1/instances/orders-1 weight=7 reason=new cable → 200';

  it('logs the actions of operators', async () => {
    expect(await deedsOn({ insecure: false })).toEqual([BY_OPERATOR]);
  });

  it('logs all actions, with their sources, if it is insecure', async () => {
    expect(await deedsOn({ insecure: true })).toEqual([
      'Access: anonymous from 127.0.0.5: POST /api/v1/register id=orders-1 service=orders → 201',
      BY_OPERATOR,
      'Access: the instance itself from 127.0.0.5: DELETE /api/v1/instances/orders-1 → 204',
    ]);
  });
});
