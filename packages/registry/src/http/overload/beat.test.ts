import type { ProblemCode } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RegistryMetrics } from '../../metrics/registry-metrics.js';
import type { RegistryApi } from '../../registry-api.js';
import { createGuard } from '../access/guard.js';
import { serveRegistry } from '../server.js';
import type { RegistryServer } from '../server.js';
import { createFastPath } from './beat.js';
import type { BeatRules } from './beat.js';

const SECRET = 'abcdefghijklmnopqrstuv';
const BEAT = '{"nonce":"nonce-0001","seq":7}';

/** Answers by the id: an id that is a problem code gets that problem, any other is alive if it has a secret. */
const registry = {
  ready: true,
  admits: () => true,
  beat(id: string, secret: string | null) {
    if (id === 'broken') throw new Error('disk on fire');
    const code = (secret === null ? 'UNAUTHORIZED' : id) as ProblemCode;
    const retry = code === 'NOT_READY' ? { retryAfterMs: 1_200 } : {};
    if (/^[A-Z_]+$/.test(code)) {
      return { ok: false, problem: { code, detail: `It is ${code}.`, fix: 'Wait – a bit.', ...retry } };
    }
    return { ok: true, value: { state: 'HEALTHY', revision: 7 } };
  },
} as Partial<RegistryApi> as RegistryApi;

interface Beat {
  readonly line?: string;
  readonly id?: string;
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly body?: string | Buffer;
}

/** The bytes of a usual heartbeat with these changes; `suffix` follows the path. */
function bytesOf({ line = 'POST * HTTP/1.1', id = 'orders-1', headers = {}, body = BEAT }: Beat, suffix = ''): Buffer {
  const all = {
    host: '127.0.0.1:1337',
    connection: 'close',
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    authorization: `Bearer ${SECRET}`,
    ...headers,
  };
  const path = `/api/v1/instances/${id}/heartbeat${suffix}`;
  const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  return Buffer.concat([Buffer.from([line.replace('*', path), ...lines, '', ''].join('\r\n')), Buffer.from(body)]);
}

/** The whole answer to these bytes, until the server closes. */
async function converse(port: number, bytes: Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (part: Buffer) => received.push(part)).write(bytes);
  await once(socket, 'close');
  return Buffer.concat(received).toString();
}

/** An answer without the parts that vary: the date, and the order of headers. */
function comparable(answer: string): string[] {
  const end = answer.lastIndexOf('\r\n\r\n');
  const head = answer.slice(0, end).split('\r\n');
  return [...head.filter((line) => !/^date:/i.test(line)).toSorted(), answer.slice(end)];
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (?!100)(\d+)/m.exec(answer)?.[1]);
const chunked = (body: string): Beat => ({
  headers: { 'content-length': null, 'transfer-encoding': 'chunked' },
  body: `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
});
const LONG = BEAT.padEnd(16 * 1024 + 1);

/** Requests that the fast path answers itself. */
const TAKEN: readonly (readonly [string, number, Beat])[] = [
  ['a beat', 200, {}],
  ['a beat that quotes no nonce', 200, { body: '{"nonce":null,"seq":1}' }],
  ['a beat with more fields', 200, { body: '{"seq":1,"load":{"inFlight":3,"loopLagMs":0.5},"edges":[],"x":{"y":1}}' }],
  ['a secret after another spelling of Bearer', 200, { headers: { authorization: `bEARER ${SECRET}` } }],
  ['a page of the registry itself', 200, { headers: { origin: 'http://127.0.0.1:1337' } }],
  ['a body of just 16 KiB', 200, { body: BEAT.padEnd(16 * 1024) }],
  ['a sender that asks before it sends the body', 200, { headers: { expect: '100-continue' } }],
  ['a sender of HTTP/1.0', 200, { line: 'POST * HTTP/1.0' }],
  ['an id of 128 characters', 200, { id: 'x'.repeat(128) }],
  ['no secret', 401, { headers: { authorization: null } }],
  ['a token that is not a secret', 401, { headers: { authorization: `Basic ${SECRET}` } }],
  ['a secret that is too short', 401, { headers: { authorization: 'Bearer short' } }],
  ['an instance that is not known', 404, { id: 'NOT_FOUND' }],
  ['an instance whose address was taken', 409, { id: 'ADDRESS_TAKEN' }],
  ['an instance that has ended', 410, { id: 'ENDED' }],
  ['a registry that is not ready', 503, { id: 'NOT_READY' }],
  ['a registry that fails', 500, { id: 'broken' }],
  ['broken JSON', 400, { body: '{"seq":' }],
  ['bytes that are not UTF-8', 400, { body: Buffer.from('{"seq":1,"x":"\u00ff"}', 'latin1') }],
  ['a list', 400, { body: '[1]' }],
  ['null', 400, { body: 'null' }],
  ['a beat without a number', 400, { body: '{"nonce":null}' }],
  ['a beat with several flaws', 400, { body: '{"nonce":"?","seq":-1,"load":{"inFlight":"many"}}' }],
  ['a key that reaches a prototype', 400, { body: '{"seq":1,"x":[{"__proto__":1}]}' }],
];

/** Requests that it leaves to Fastify. */
const LEFT: readonly (readonly [string, number, Beat])[] = [
  ['a foreign host', 421, { headers: { host: 'evil.example' } }],
  ['no host', 421, { headers: { host: null } }],
  ['a page of another origin', 403, { headers: { origin: 'http://evil.example' } }],
  ['another content type', 415, { headers: { 'content-type': 'text/plain' } }],
  ['no content type', 415, { headers: { 'content-type': null } }],
  ['a content type with a parameter', 200, { headers: { 'content-type': 'application/json; charset=utf-8' } }],
  ['a content type in another charset', 415, { headers: { 'content-type': 'application/json; charset="UTF-16"' } }],
  ['a body declared as encoded', 415, { headers: { 'content-encoding': 'gzip' } }],
  ['a body declared as not encoded', 200, { headers: { 'content-encoding': 'identity' } }],
  ['an empty body', 400, { body: '' }],
  ['no body', 400, { headers: { 'content-length': null, 'content-type': null }, body: '' }],
  ['a body of more than 16 KiB', 413, { body: LONG }],
  ['a body in chunks', 200, chunked(BEAT)],
  ['a body in chunks of more than 16 KiB', 413, chunked(LONG)],
  ['GET', 405, { line: 'GET * HTTP/1.1' }],
  ['PUT', 405, { line: 'PUT * HTTP/1.1' }],
  ['OPTIONS', 405, { line: 'OPTIONS * HTTP/1.1' }],
  ['an escaped id', 200, { id: 'orders%2D1' }],
  ['an id that cannot be decoded', 400, { id: '%E0%A4' }],
  ['an id of more than 128 characters', 400, { id: 'x'.repeat(129) }],
  ['another path', 404, { id: 'orders-1/more' }],
];

describe('a Heartbeat-2', () => {
  const log = recordingLog();
  let server: RegistryServer;
  /** The fast path alone: what it leaves is answered with 299. */
  let alone: Server;
  const port = (): number => (alone.address() as AddressInfo).port;

  beforeAll(async () => {
    server = await serveRegistry({ registry, port: 0, log });
    const way = createFastPath({ registry, log }, createGuard([]));
    alone = createServer({ requireHostHeader: false }, (request, response) => {
      if (!way(request, response)) response.writeHead(299).end();
    });
    await new Promise<void>((resolve) => alone.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    alone.close();
    await server.close();
  });

  // a path with a `?` is left to Fastify
  it.each([...TAKEN, ...LEFT])('is answered alike by both paths: %s', async (_, status, beat) => {
    const [short, long] = await Promise.all([
      converse(server.port, bytesOf(beat)),
      converse(server.port, bytesOf(beat, '?')),
    ]);
    expect(statusOf(short)).toBe(status);
    expect(comparable(short)).toEqual(comparable(long));
  });

  it.each(TAKEN)('takes the fast path: %s', async (_, status, beat) => {
    expect(statusOf(await converse(port(), bytesOf(beat)))).toBe(status);
    expect(statusOf(await converse(port(), bytesOf(beat, '?')))).toBe(299);
  });

  it.each(LEFT)('does not take the fast path: %s', async (_, _status, beat) => {
    expect(statusOf(await converse(port(), bytesOf(beat)))).toBe(299);
  });

  it('is logged as on the path of Fastify if it fails in the registry', async () => {
    const failing = recordingLog();
    const other = await serveRegistry({ registry, port: 0, log: failing });
    for (const suffix of ['', '?']) await converse(other.port, bytesOf({ id: 'broken' }, suffix));
    await other.close();
    const [short, long] = failing.texts('error').map((text) => text.split('\n')[0]);
    expect(short).toBe('POST /api/v1/instances/:id/heartbeat failed: Error: disk on fire');
    expect(long).toBe(short);
  });

  it('leaves its connection open for the next, which the instance may close', async () => {
    const socket = connect(server.port, '127.0.0.1');
    for (let round = 0; round < 3; round += 1) {
      socket.write(bytesOf({ headers: { connection: 'keep-alive' } }));
      const [answer] = await once(socket, 'data');
      expect(String(answer)).toMatch(/^HTTP\/1\.1 200 [^]*\r\nconnection: keep-alive\r\n/i);
    }
    socket.end();
    await once(socket, 'close');
  });

  it('is checked against the credentials at its end, not at its start', async () => {
    let isEnded = false;
    const rules: BeatRules = {
      isUnusual: () => false,
      proofOf: () => (isEnded ? null : SECRET),
      beatRefusal: (_address, _what, problem) => problem,
    };
    const way = createFastPath({ registry, log }, createGuard([]), rules);
    const slow = createServer((request, response) => void way(request, response)).listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const socket = connect((slow.address() as AddressInfo).port, '127.0.0.1');
    const bytes = bytesOf({});
    socket.write(bytes.subarray(0, -1));
    await once(slow, 'request');
    isEnded = true;
    socket.write(bytes.subarray(-1));
    const [answer] = await once(socket, 'data');
    expect(statusOf(String(answer))).toBe(401);
    slow.close();
  });

  it('keeps its code in the metrics if it exceeds the limit of failures', async () => {
    const rules: BeatRules = {
      isUnusual: () => false,
      proofOf: () => null,
      beatRefusal: () => ({ code: 'TOO_MANY', detail: 'Too many.', fix: 'Wait.' }),
    };
    const counted: ProblemCode[] = [];
    const metrics = { refused: (code: ProblemCode) => void counted.push(code) } as RegistryMetrics;
    const way = createFastPath({ registry, log, metrics }, createGuard([]), rules);
    const slowing = createServer((request, response) => void way(request, response)).listen(0, '127.0.0.1');
    await once(slowing, 'listening');
    expect(statusOf(await converse((slowing.address() as AddressInfo).port, bytesOf({})))).toBe(429);
    expect(counted).toEqual(['UNAUTHORIZED']);
    slowing.close();
  });

  it('takes the fast path at most twice per turn of the event loop if it is unexpected', async () => {
    const way = createFastPath({ registry: { ...registry, admits: () => false }, log }, createGuard([]));
    let waiting: (readonly [IncomingMessage, ServerResponse])[] = [];
    const crowded = createServer((request, response) => {
      waiting.push([request, response]);
      if (waiting.length < 5) return;
      for (const [one, its] of waiting) if (!way(one, its)) its.writeHead(299).end();
      waiting = [];
    }).listen(0, '127.0.0.1');
    await once(crowded, 'listening');
    const { port: there } = crowded.address() as AddressInfo;
    for (let turn = 0; turn < 2; turn += 1) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => converse(there, bytesOf({}))));
      expect(answers.map(statusOf).toSorted((one, other) => one - other)).toEqual([200, 200, 299, 299, 299]);
    }
    crowded.close();
  });

  it('has no effect if its body breaks off', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(bytesOf({}).subarray(0, -3));
    await once(socket, 'connect');
    socket.destroy();
    await once(socket, 'close');
    expect(statusOf(await converse(server.port, bytesOf({})))).toBe(200);
    expect(log.texts('error').filter((text) => !text.includes('disk on fire'))).toEqual([]);
  });

  it('to a closing server is answered, and its connection then ended', async () => {
    const closing = await serveRegistry({ registry, port: 0, time: new ManualTime() });
    const socket = connect(closing.port, '127.0.0.1');
    await once(socket, 'connect');
    const ended = once(socket, 'close');
    let last = '';
    socket.on('data', (answer: Buffer) => {
      last = String(answer);
      socket.write(bytesOf({ headers: { connection: 'keep-alive' } }));
    });
    const closed = closing.close();
    socket.write(bytesOf({ headers: { connection: 'keep-alive' } }));
    await ended;
    await closed;
    expect(last).toMatch(/^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n/i);
  });
});
