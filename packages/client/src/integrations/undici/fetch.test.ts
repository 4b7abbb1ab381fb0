import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HEARTBEAT_PATH, isRollcallError } from '@rollcall/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { OneCall } from '../../call/calls.js';
import { resetFrame, createInstance, FakeLink } from '../../registry-client/registry-client.fixture.js';
import { Rollcall } from '../../rollcall.js';

/** The data of a request, and its result. */
interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly body: string;
  readonly type: string | undefined;
  readonly authorization: string | undefined;
}

type Answer = (request: IncomingMessage, response: ServerResponse, at: string) => void;

const to =
  (status: number, location?: string): Answer =>
  (_request, response) =>
    response.writeHead(status, location === undefined ? {} : { location }).end('moved');

const ANSWERS: Readonly<Record<string, Answer>> = {
  '/302': to(302, '/end?a=1'),
  '/301': to(301, '/end'),
  '/303': to(303, 'end'),
  '/307': to(307, './end'),
  '/308': to(308, '/end#there'),
  '/twice': to(302, '/302'),
  '/loop': to(302, '/loop'),
  '/nowhere': to(302),
  '/garbled': to(302, 'http://a b/'),
  '/304': to(304, '/end'),
  '/absolute': (_request, response, at) => to(302, `http://${at}/end`)(_request, response, at),
  '/end': (_request, response) => response.end('end'),
  '/never': () => {},
  '/half': (_request, response) => void response.writeHead(200, { 'content-length': '1000000' }).write('half'),
};

async function world() {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const { method, url = '', headers } = request;
      if (url === HEARTBEAT_PATH) return response.end(JSON.stringify({ instance: 'orders-1', nonce: null }));
      seen.push({ method, url, body, type: headers['content-type'], authorization: headers.authorization });
      const path = url.split('?')[0] ?? '';
      return (ANSWERS[path] ?? to(404))(request, response, at);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const at = `127.0.0.1:${port}`;
  const link = new FakeLink();
  const rollcall = new Rollcall({}, { link });
  rollcall.start();
  rollcall.service('orders');
  await expect.poll(() => link.streams.length).toBeGreaterThan(0);
  const endpoints = [{ protocol: 'http' as const, host: '127.0.0.1', port, tls: false }];
  link.stream.accept([resetFrame([createInstance({ id: 'orders-1', endpoints })])]);
  onTestFinished(async () => {
    await rollcall.close();
    server.close().closeAllConnections();
  });
  const byName = (path: string, init?: RequestInit, options?: OneCall) => rollcall.fetch('orders', path, init, options);
  const byAddress = (path: string, init?: RequestInit) => fetch(`http://${at}${path}`, init);
  return { rollcall, seen, at, byName, byAddress };
}

/** The result of a `fetch` as its caller sees it. */
async function outcome(made: Promise<Response>): Promise<unknown> {
  try {
    const { status, redirected, headers, ...answer } = await made.then(async (response) => ({
      status: response.status,
      redirected: response.redirected,
      headers: response.headers,
      text: await response.text(),
      path: response.redirected ? new URL(response.url).pathname + new URL(response.url).search : '',
    }));
    return { status, redirected, location: headers.get('location'), ...answer };
  } catch (error) {
    return error instanceof Error ? error.name : error;
  }
}

const comparable = (text: unknown) => JSON.stringify(text).replaceAll(/127\.0\.0\.1:\d+/g, 'host');
/** The `Response` type of undici differs from that of Node. */
const requestsOf = (all: readonly Seen[]) => all.map(({ type, ...rest }) => ({ ...rest, isTyped: type !== undefined }));

async function rejection(made: Promise<unknown>): Promise<unknown> {
  return made.then(
    () => null,
    (error: unknown) => error,
  );
}

const STREAM = () => ({ method: 'POST', body: new Blob(['s']).stream(), duplex: 'half' }) as RequestInit;
const POST: RequestInit = {
  method: 'POST',
  body: 'paid',
  headers: { authorization: 'Bearer a', 'content-type': 'text/x' },
};

describe('fetch by name treats redirects within the service as fetch does', () => {
  const cases: readonly (readonly [string, string, () => RequestInit])[] = [
    ...['/301', '/302', '/303', '/307', '/308', '/twice', '/absolute'].map(
      (path) => ['a GET', path, () => ({})] as const,
    ),
    ...['/301', '/302', '/303', '/307', '/308', '/twice'].map((path) => ['a POST', path, () => POST] as const),
    ...['/302', '/303', '/307'].map((path) => ['a POST with a stream', path, STREAM] as const),
    ...['/301', '/303'].map((path) => ['a HEAD', path, () => ({ method: 'HEAD' })] as const),
    ['a PUT', '/302', () => ({ method: 'PUT', body: 'x' })],
    ['a redirect without a location', '/nowhere', () => ({})],
    ['a redirect to an invalid URL', '/garbled', () => ({})],
    ['an endless redirect', '/loop', () => ({})],
    ['an invalid status', '/304', () => ({})],
    ...['/302', '/nowhere', '/end'].flatMap((path) => [
      ['redirect: manual', path, () => ({ redirect: 'manual' as const })] as const,
      ['redirect: error', path, () => ({ redirect: 'error' as const })] as const,
      ['redirect: follow', path, () => ({ redirect: 'follow' as const })] as const,
    ]),
  ];

  it.each(cases)('%s, %s', async (_title, path, init) => {
    const [ours, theirs] = [await world(), await world()];
    const [byName, byAddress] = [
      await outcome(ours.byName(path, init())),
      await outcome(theirs.byAddress(path, init())),
    ];
    expect(comparable(byName)).toBe(comparable(byAddress));
    expect(requestsOf(ours.seen)).toEqual(requestsOf(theirs.seen));
  });

  it('an unknown redirect mode is a TypeError', async () => {
    const { byName, seen } = await world();
    await expect(byName('/end', { redirect: 'never' as 'follow' })).rejects.toThrow(TypeError);
    expect(seen).toEqual([]);
  });
});

describe('a redirect out of the service', () => {
  it.each([
    'http://elsewhere.example/x',
    'http://users/x',
    '//elsewhere/x',
    'https://orders/x',
    'http://127.0.0.1:1/x',
    'mailto:a@b.c',
  ])('is returned as the response, and is not followed to %s', async (location) => {
    const { byName, seen } = await world();
    const path = '/out';
    (ANSWERS as Record<string, Answer>)[path] = to(302, location);
    const response = await byName(path, POST);
    expect([response.status, response.headers.get('location'), response.redirected]).toEqual([302, location, false]);
    expect(await response.text()).toBe('moved');
    expect(seen.length).toBe(1);
  });

  it.each(['http://orders/end', 'http://orders.rollcall/end'])(
    'is followed if it names the service itself: %s',
    async (location) => {
      const { byName, seen } = await world();
      (ANSWERS as Record<string, Answer>)['/named'] = to(302, location);
      const response = await byName('/named');
      expect([await response.text(), response.redirected, response.url]).toEqual(['end', true, 'http://orders/end']);
      expect(seen.length).toBe(2);
    },
  );
});

it('all of the redirects have one deadline', async () => {
  const { byName } = await world();
  (ANSWERS as Record<string, Answer>)['/slow'] = (request, response, at) =>
    void setTimeout(() => to(302, '/slow')(request, response, at), 40);
  const startedAt = performance.now();
  await expect(byName('/slow', {}, { deadlineMs: 200 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

describe('a signal of fetch', () => {
  it.each([
    ['no reason', undefined],
    ['a reason', new Error('enough')],
    ['a reason that is not an Error', 'enough'],
  ])('rejects as fetch does if it was aborted with %s', async (_title, reason) => {
    const { byName, byAddress } = await world();
    const signal = AbortSignal.abort(reason);
    const [ours, theirs] = [
      await rejection(byName('/end', { signal })),
      await rejection(byAddress('/end', { signal })),
    ];
    expect(ours).toBe(theirs);
  });

  it('rejects with an AbortError if it is aborted before the answer, or in the middle of it', async () => {
    const { byName, byAddress } = await world();
    for (const made of [byName, byAddress]) {
      const early = new AbortController();
      const waiting = rejection(made('/never', { signal: early.signal }));
      early.abort();
      expect(await waiting).toMatchObject({ name: 'AbortError' });
      expect(await waiting).toBeInstanceOf(DOMException);

      const late = new AbortController();
      const answer = await made('/half', { signal: late.signal });
      const reading = rejection(answer.text());
      late.abort();
      expect(await reading).toMatchObject({ name: 'AbortError' });
    }
  });

  it('rejects with a TimeoutError if it times out', async () => {
    const { byName, byAddress } = await world();
    for (const made of [byName, byAddress]) {
      expect(await rejection(made('/never', { signal: AbortSignal.timeout(20) }))).toMatchObject({
        name: 'TimeoutError',
      });
    }
  });

  it('ends a call with CANCELLED if it is in its options, as for every other verb', async () => {
    const { byName, rollcall } = await world();
    const signal = AbortSignal.abort();
    const error = await rejection(byName('/end', {}, { signal }));
    expect(isRollcallError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'CANCELLED' });
    await expect(rollcall.call('orders', 'find', {}, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('works in addition to the signal of the options', async () => {
    const { byName } = await world();
    const [own, call] = [new AbortController(), new AbortController()];
    const waiting = rejection(byName('/never', { signal: own.signal }, { signal: call.signal }));
    own.abort();
    expect(await waiting).toMatchObject({ name: 'AbortError' });
    const other = rejection(byName('/never', { signal: new AbortController().signal }, { signal: call.signal }));
    call.abort();
    expect(await other).toMatchObject({ code: 'CANCELLED' });
  });
});
