import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Stage } from './stage.fixture.js';
import type { Answer } from './stage.fixture.js';

/** "`__proto__` and friends, 1 MB names, deep JSON, invalid UTF-8: 400, bounded work", and related attacks on the wire. */

let stage: Stage;
let token = '';
let operator = '';

beforeAll(async () => {
  stage = await Stage.make();
  token = await stage.token({ services: ['orders'] });
  operator = await stage.token({ role: 'operator', services: [] });
  await stage.start({ intervalMs: 15_000 });
  await stage.register(token, 'orders-there');
});
afterAll(() => stage.close());

const find = (id: string): Promise<Answer> => stage.ask(`/api/v1/instances/${id}`, { bearer: operator });

/** The registry's whole view, as one text that changes with it. */
async function view(): Promise<string> {
  const { body } = await stage.ask('/api/v1/services/orders', { bearer: operator });
  return JSON.stringify(body.instances.map(({ id, metadata, weight, admin }: any) => [id, metadata, weight, admin]));
}

const fields = (more: string): string =>
  `{"id":"orders-x","service":"orders","endpoints":[{"protocol":"tcp","port":9}]${more === '' ? '' : `,${more}`}}`;
const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

const BODIES: readonly (readonly [string, string | Buffer, number])[] = [
  ['the key __proto__', fields('"__proto__":{"admin":true}'), 400],
  ['the key __proto__ in metadata', fields('"metadata":{"__proto__":"x"}'), 400],
  ['the key constructor, deep', fields('"methods":{"find":{"constructor":{"prototype":{"x":1}}}}'), 400],
  ['the key prototype, deep in an ignored field', fields('"x":[[{"y":{"prototype":1}}]]'), 400],
  ['the key __proto__, escaped', fields(String.raw`"\u005f\u005fproto__":{"x":1}`), 400],
  ['a name of 1 MB', fields(`"zone":"${'a'.repeat(1_000_000)}"`), 413],
  ['a name as long as a body may be', fields(`"version":"${'a'.repeat(16_000)}"`), 400],
  ['an id as long as a body may be', fields('').replace('orders-x', 'a'.repeat(16_000)), 400],
  ['JSON 100,000 deep', nested(100_000, '[', ']'), 413],
  ['arrays as deep as a body may be', nested(8_000, '[', ']'), 400],
  ['objects as deep as a body may be', `${'{"a":'.repeat(2_700)}1${'}'.repeat(2_700)}`, 400],
  ['depth with a suspicious key', fields(`"x":${nested(7_000, '[', ']')},"y":"prototype"`), 201],
  ['a huge array', fields(`"x":[${'1,'.repeat(500_000)}1]`), 413],
  ['thousands of endpoints', `{"id":"orders-x","service":"orders","endpoints":[${'{},'.repeat(5_000)}{}]}`, 400],
  ['thousands of keys', fields(`"metadata":{${Array.from({ length: 1_500 }, (_, i) => `"k${i}":""`).join(',')}}`), 400],
  ['another service, given twice', fields('"service":"billing"'), 403],
  ['bytes that are not UTF-8', latin1(fields('"version":"\xff\xfe"')), 400],
  ['an overlong slash', latin1(fields('"version":"\xc0\xaf"')), 400],
  ['half a surrogate pair in UTF-8', latin1(fields('"version":"\xed\xa0\x80"')), 400],
  ['half a surrogate pair, escaped', fields(String.raw`"version":"\ud800"`), 400],
  ['half a surrogate pair in metadata', fields(String.raw`"metadata":{"a":"\udfff"}`), 400],
  ['half a surrogate pair in a key', fields(String.raw`"metadata":{"\ud800":"a"}`), 400],
  ['NaN', fields('"weight":NaN'), 400],
  ['Infinity', fields('"weight":Infinity'), 400],
  ['1e999', fields('"weight":1e999'), 400],
  ['-1e999', fields('"weight":-1e999'), 400],
  ['half a weight', fields('"weight":0.5'), 400],
  ['a weight below nothing', fields('"weight":-1'), 400],
  ['a number as a text', fields('"weight":"100"'), 400],
  ['hexadecimal', fields('"weight":0x10'), 400],
  ['port 0', fields('').replace('"port":9', '"port":0'), 400],
  ['port 65536', fields('').replace('"port":9', '"port":65536'), 400],
  ['lines in a version', fields(String.raw`"version":"1\r\nx-evil: 1"`), 400],
  ['a NUL in a name', fields('').replace('orders-x', String.raw`orders\u0000x`), 400],
  ['a path as an id', fields('').replace('orders-x', '..'), 400],
  ['UTF-16', Buffer.from(fields(''), 'utf16le'), 400],
  ['a second document', `${fields('')}{}`, 400],
  ['a comment', `${fields('')}//`, 400],
  ['nothing', '', 400],
  ['null', 'null', 400],
  ['an array of one', `[${fields('')}]`, 400],
];

describe('a registration', () => {
  for (const [what, body, status] of BODIES) {
    it(`is answered ${status} with ${what}`, async () => {
      const before = await view();
      const head = `POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\nconnection: close\r\n`;
      const bytes = Buffer.concat([
        latin1(`${head}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`),
        Buffer.from(body as string),
      ]);
      const text = await stage.sendRaw(bytes);
      expect(text.split('\r\n')[0]).toContain(` ${status} `);
      expect(text.length).toBeLessThan(4_096);
      expect(Object.keys(Object.prototype)).toEqual([]);
      if (status === 201) await stage.ask('/api/v1/instances/orders-x', { method: 'DELETE', bearer: operator });
      else expect(text).toContain('application/problem+json');
      expect(await view()).toBe(before);
    });
  }

  it('counts the last value of a duplicate key, and checks that against the token', async () => {
    const body = `{"service":"billing",${fields('').slice(1)}`;
    const { status } = await stage.ask('/api/v1/register', {
      method: 'POST',
      bearer: token,
      body: body.replaceAll('orders-x', 'orders-y'),
    });
    expect(status).toBe(201);
    expect((await stage.ask('/api/v1/instances/orders-y', { bearer: operator })).body.service).toBe('orders');
    expect((await stage.ask('/api/v1/services/billing', { bearer: operator })).status).not.toBe(200);
  });
});

describe('a beat, which bypasses the router,', () => {
  it.each([
    ['the key __proto__', '{"nonce":null,"seq":1,"__proto__":{}}', 400],
    ['depth', `{"nonce":null,"seq":1,"x":${nested(8_000, '[', ']')}}`, 200],
    ['1 MB', `{"nonce":"${'a'.repeat(1_000_000)}"}`, 413],
    ['1e999', '{"nonce":null,"seq":1e999}', 400],
    ['NaN', '{"nonce":null,"seq":NaN}', 400],
    ['half a surrogate pair', String.raw`{"nonce":"aaaaaaaa\ud800","seq":2}`, 400],
    ['thousands of edges', `{"nonce":null,"seq":3,"edges":[${'{},'.repeat(5_000)}{}]}`, 200],
  ])('is answered with a status for %s', async (_what, body, status) => {
    const bearer = 'the-secret-of-orders-there-which-is-long';
    // a body that is too long is refused before it has arrived, and its sender gets the refusal or a closed connection
    const head = `POST /api/v1/instances/orders-there/heartbeat HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer ${bearer}\r\n`;
    const text = await stage.sendRaw(
      `${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(text.split('\r\n')[0]).toContain(` ${status} `);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe('a body of another content type', () => {
  it.each([
    ['text', { 'content-type': 'text/plain' }, 415],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['a form with files', { 'content-type': 'multipart/form-data; boundary=x' }, 415],
    ['JSON, nearly', { 'content-type': 'application/jsonp' }, 415],
    ['JSON, in a list', { 'content-type': 'text/plain, application/json' }, 415],
    ['nothing', { 'content-type': '' }, 415],
  ] as const)('is answered 415: %s', async (_what, headers, status) => {
    const answer = await stage.ask('/api/v1/register', {
      method: 'POST',
      bearer: token,
      body: fields('').replace('orders-x', 'orders-form'),
      headers,
    });
    expect(answer.status).toBe(status);
    expect(await view()).not.toContain('orders-form');
  });
});

describe('a request that two parsers could read differently', () => {
  const start = 'POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
  const second = 'GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n';
  it.each([
    ['two lengths', `${start}content-length: 2\r\ncontent-length: 40\r\n\r\n{}${second}`],
    ['one length twice', `${start}content-length: 2\r\ncontent-length: 2\r\n\r\n{}${second}`],
    ['a list of lengths', `${start}content-length: 2, 2\r\n\r\n{}${second}`],
    ['chunks and a length', `${start}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${second}`],
    ['a length and chunks', `${start}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${second}`],
    ['an encoding that only looks like chunks', `${start}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${second}`],
    ['chunks, and then something else', `${start}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${second}`],
    ['a length with a sign', `${start}content-length: +2\r\n\r\n{}${second}`],
    ['a length below nothing', `${start}content-length: -2\r\n\r\n{}${second}`],
    ['a length in hexadecimal', `${start}content-length: 0x2\r\n\r\n{}${second}`],
    ['a length beyond all numbers', `${start}content-length: 99999999999999999999999\r\n\r\n{}${second}`],
    ['a space before the colon', `${start}content-length : 2\r\n\r\n{}${second}`],
    ['a chunk beyond all numbers', `${start}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}${second}`],
    ['a chunk with an invalid size', `${start}transfer-encoding: chunked\r\n\r\n2z\r\n{}\r\n0\r\n\r\n${second}`],
    ['lines that end in LF alone', `${start.replaceAll('\r\n', '\n')}content-length: 2\n\n{}${second}`],
    ['a NUL in a header', `${start}x-a: a\0b\r\ncontent-length: 2\r\n\r\n{}${second}`],
    ['a method that is none', `GE T /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n${second}`],
    ['no version', `GET /health/live\r\n\r\n${second}`],
    ['another version', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${second}`],
  ])('%s: is refused, and the bytes after it are not a request', async (_what, bytes) => {
    const text = await stage.sendRaw(bytes);
    // a client without a token is refused before the rest has arrived; that rest is never another request
    expect(text).toMatch(/HTTP\/1\.1 400 /);
    expect(text).not.toMatch(/HTTP\/1\.1 [235]/);
    expect(text).toMatch(/connection: close/i);
  });

  it('a name of another host in an absolute URL does not count, and the Host header must be ours', async () => {
    const text = await stage.sendRaw(
      'GET http://localhost/health/live HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 421 /);
  });

  it('two Host headers are refused', async () => {
    const text = await stage.sendRaw(
      'GET /health/live HTTP/1.1\r\nhost: evil.example\r\nhost: localhost\r\nconnection: close\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
  });
});

describe('an oversized request', () => {
  it.each([
    ['one header', `GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-a: ${'a'.repeat(40_000)}\r\n\r\n`, 413],
    ['many headers', `GET /health/live HTTP/1.1\r\nhost: localhost\r\n${'x-a: a\r\n'.repeat(10_000)}\r\n`, 413],
    [
      'a token of 20 KiB',
      `GET /api/v1/services HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${'a'.repeat(20_000)}\r\n\r\n`,
      413,
    ],
    ['a URL', `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, 413],
    ['a query', `GET /health/live?${'a=b&'.repeat(10_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, 413],
  ])('is refused with %s', async (_what, bytes, status) => {
    const text = await stage.sendRaw(bytes, (all) => all.includes('\r\n\r\n{'));
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('is refused as such with a huge id, or an undecodable one', async () => {
    expect((await find('a'.repeat(129))).status).toBe(400);
    expect((await find('%ff')).status).toBe(400);
    expect((await find('%00')).status).toBe(404);
    expect((await find('..%2f..%2fhealth%2flive')).status).toBe(404);
  });

  it('is cut at the limit when its chunks never end', async () => {
    const head = `POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
    const text = await stage.sendRaw(head + `1000\r\n${'['.repeat(4_096)}\r\n`.repeat(8));
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });
});

it('is closed when it never ends: a head after 5 s, a body after 10 s; others are answered meanwhile', async () => {
  const post = `POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
  const endless = [
    'GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-a: ',
    `${post}content-length: 100\r\n\r\n{`,
    `${post}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`,
    `POST /api/v1/instances/orders-there/heartbeat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{`,
  ];
  const startedAt = performance.now();
  const all = endless.map(async (bytes) => {
    expect(await stage.sendRaw(bytes)).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    return performance.now() - startedAt;
  });
  expect((await stage.ask('/health/live')).status).toBe(200);
  // a busy machine closes them late, and never early; the test's own timeout bounds that, below Node's limits (60 s,
  // 300 s)
  const [headMs = 0, ...bodiesMs] = await Promise.all(all);
  expect(headMs).toBeGreaterThan(5_000 - 250);
  expect(Math.min(...bodiesMs)).toBeGreaterThan(10_000 - 250);
  expect(headMs).toBeLessThan(Math.min(...bodiesMs));
});

it('changes nothing in the registry, and causes no internal error', async () => {
  expect(await view()).toContain('orders-there');
  expect(stage.log.texts('error')).toEqual([]);
});
