// Each problem code, provoked over HTTP as a client would meet it: its document says what happened and what to do.
import { PROBLEMS, RollcallError } from '@rollcall/core';
import type { Log, ProblemCode } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterEach, expect, it, vi } from 'vitest';
import { changeTokens } from '../../access/token-file.js';
import { drawToken } from '../../access/tokens.js';
import { MemoryStore } from '../../store/memory.js';
import { startTestRegistry } from '../../testing.js';
import { TestPki } from '../access/tls.fixture.js';
import type { StartOptions } from '../start-options.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanups.splice(0).toReversed()) await end();
});

interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}
type Asks = (question: Question) => Promise<any>;

const ID = '01a2191d-c4bf-7a3c-9ed4-578dbe107ca8';
const OTHER = '01a2191d-c55f-7cb7-bb67-c5acb7797698';
const SECRET = 'a-secret-of-132-bits-22';
const OWN = { authorization: `Bearer ${SECRET}` };
const OF_ID = `/api/v1/instances/${ID}`;

/** Starts a registry and returns a client of it. */
async function open(options: StartOptions = {}): Promise<Asks> {
  const registry = await startTestRegistry(options);
  cleanups.push(() => registry.close());
  return async ({ method = 'GET', path = '/', headers = {}, body }) => {
    const typed = body === undefined ? {} : { 'content-type': 'application/json' };
    const sent = request(registry.url + path, { method, headers: { ...typed, ...headers }, agent: false });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return answer.statusCode === 204 ? answer.resume() : json(answer);
  };
}

/** A port where a process listens that answers every request with this id; null: where no process listens. */
async function listen(id: string): Promise<number> {
  const server = createServer((question, answer) => {
    void json(question).then((call) => {
      const { nonce = null } = call as { nonce?: string };
      return answer.setHeader('content-type', 'application/json').end(JSON.stringify({ instance: id, nonce }));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const registration = (more: object = {}): Question => ({
  method: 'POST',
  path: '/api/v1/register',
  body: { id: ID, service: 'orders', secret: SECRET, endpoints: [{ protocol: 'tcp', port: 1 }], ...more },
});

/** A token that allows to register, and a function that revokes it. */
async function tokens(): Promise<{ path: string; bearer: string; revoke: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-problems-'));
  cleanups.push(() => rm(folder, { recursive: true }));
  const path = join(folder, 'tokens.json');
  const tokenRequest = { role: 'service', services: ['orders'], note: '', expiresAt: null } as const;
  const { token, record } = drawToken(seededRandom(5), tokenRequest, 0);
  await changeTokens(path, () => [record]);
  return { path, bearer: `Bearer ${token}`, revoke: () => changeTokens(path, () => [{ ...record, revokedAt: 1 }]) };
}

const breaksAt = (text: string): void => {
  if (text.includes('a bug')) throw new Error('a bug of the registry');
};
/** An operator's action is logged before it is answered; this log throws for some of the lines. */
const BROKEN_LOG: Log = { error() {}, warn: breaksAt, info: breaksAt, debug() {} };

/** Each resolves to the problem document. */
const PROVOKE: Readonly<Record<ProblemCode, () => Promise<any>>> = {
  INVALID: async () => (await open())(registration({ service: 'Not A Name' })),
  UNAUTHORIZED: async () => {
    const ask = await open();
    await ask(registration());
    return ask({ method: 'POST', path: `${OF_ID}/heartbeat`, body: { seq: 1 } });
  },
  TOKEN_LAPSED: async () => {
    const { path, bearer, revoke } = await tokens();
    const ask = await open({ tokens: path });
    await ask({ ...registration(), headers: { authorization: bearer } });
    await revoke();
    const beat = () => ask({ method: 'POST', path: `${OF_ID}/heartbeat`, headers: OWN, body: { seq: 1 } });
    // the registry checks once a second whether the file has changed
    await vi.waitFor(async () => expect((await beat()).code).toBe('TOKEN_LAPSED'), { timeout: 8_000, interval: 50 });
    return beat();
  },
  CERTIFICATE_UNTRUSTED: async () => {
    const pki = await TestPki.make();
    cleanups.push(async () => {
      await pki.clear();
      await pki.close();
    });
    const certificate = await pki.pki.sign({ sans: ['URI:rollcall:reader'], isExpired: true });
    const { body } = await (await pki.registry()).ask('/api/v1/services', { certificate });
    return body;
  },
  FORBIDDEN: async () => (await open())({ path: '/api/v1/services', headers: { origin: 'http://evil.example' } }),
  NOT_FOUND: async () => (await open())({ path: OF_ID }),
  METHOD_NOT_ALLOWED: async () => (await open())({ method: 'PUT', path: '/api/v1/services' }),
  TOO_SLOW: async () => {
    const registry = await startTestRegistry();
    cleanups.push(() => registry.close());
    const socket = connect(registry.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\n');
    const answer = (await socket.setEncoding('utf8').toArray()).join('');
    return JSON.parse(answer.split('\r\n\r\n')[1] ?? '');
  },
  ID_HELD: async () => {
    const ask = await open();
    await ask(registration());
    return ask(registration({ secret: 'another-secret-of-132-bits' }));
  },
  LEAVING: async () => {
    const ask = await open();
    const leaving = registration({ endpoints: [{ protocol: 'http', port: await listen(ID) }] });
    await ask(leaving);
    await ask({ method: 'POST', path: `${OF_ID}/drain`, headers: OWN, body: { deadlineMs: 60_000 } });
    return ask(leaving);
  },
  ADDRESS_TAKEN: async () => {
    const ask = await open();
    const endpoints = [{ protocol: 'http', port: await listen(ID) }];
    await ask(registration({ endpoints }));
    await ask(registration({ id: OTHER, endpoints }));
    const path = `/api/v1/instances/${OTHER}/heartbeat`;
    const beat = () => ask({ method: 'POST', path, headers: OWN, body: { seq: 1 } });
    // the registry asks the process there for its id, and removes the new instance
    await vi.waitFor(async () => expect((await beat()).code).toBe('ADDRESS_TAKEN'), { timeout: 8_000, interval: 50 });
    return beat();
  },
  ENDED: async () => {
    const ask = await open();
    await ask(registration());
    await ask({ method: 'DELETE', path: OF_ID, headers: OWN });
    return ask(registration());
  },
  TOO_LARGE: async () => (await open())(registration({ version: 'x'.repeat(20_000) })),
  UNSUPPORTED_MEDIA_TYPE: async () => (await open())({ ...registration(), headers: { 'content-type': 'text/plain' } }),
  MISDIRECTED: async () => (await open())({ path: '/api/v1/services', headers: { host: 'evil.example' } }),
  ADDRESS_NOT_ALLOWED: async () =>
    (await open())(registration({ endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3_000 }] })),
  TOO_MANY: async () => {
    const ask = await open({ maxInstances: 1 });
    await ask(registration());
    return ask(registration({ id: OTHER, endpoints: [{ protocol: 'tcp', port: 2 }] }));
  },
  INTERNAL: async () => {
    const ask = await open({ log: BROKEN_LOG });
    await ask(registration());
    const headers = { 'x-rollcall-operator': '1' };
    return ask({ method: 'PATCH', path: OF_ID, headers, body: { weight: 7, reason: 'a bug' } });
  },
  NOT_READY: async () => {
    const store = new MemoryStore();
    store.write = () => Promise.reject(new RollcallError('STORE_FAILED', 'The disk is full.'));
    return (await open({ store }))(registration());
  },
};

it.each(Object.entries(PROBLEMS))('answers %s with %i, its detail and its fix', async (code, status) => {
  const problem = await PROVOKE[code as ProblemCode]();
  expect(problem).toMatchObject({ code, status, type: `urn:rollcall:problem:${code}` });
  for (const sentence of [problem.detail, problem.fix]) {
    expect(sentence).toMatch(/^\S.*[.!?]$/s);
    expect(sentence).not.toMatch(/undefined|NaN|\[object/);
  }
  expect(problem.fix).not.toBe(problem.detail);
});
