import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { isRollcallError, systemTime } from '@rollcall/core';
import type { Frame, Problem, Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpLink } from './http.js';
import type { Watch, WatchRequest, WatchSink } from './link.js';
import { anInstance, aReset, EPOCH } from './testing.js';

const proof = { id: 'orders-1', secret: 'a-secret-of-22-letters' };
const registration = { id: 'orders-1', service: 'orders', endpoints: [{ protocol: 'tcp' as const, port: 3001 }] };
const registered = {
  instance: anInstance(),
  epoch: EPOCH,
  revision: 1,
  heartbeat: { intervalMs: 5_000, timeoutMs: 2_000, freshEvery: 1 },
  registries: [],
};
const wish: WatchRequest = { namespace: 'default', services: ['orders'], resume: [], cursor: null, line: null };

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface Registry {
  readonly url: string;
  readonly requests: Seen[];
  readonly sockets: Socket[];
  readonly server: Server;
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A server on a free port that keeps what it was asked. */
async function startRegistry(handle: (response: ServerResponse, seen: Seen) => void): Promise<Registry> {
  const requests: Seen[] = [];
  const sockets: Socket[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
      requests.push(seen);
      handle(response, seen);
    });
  });
  server.on('connection', (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, sockets, server };
}

/** Who closed first, for one connection after the other. */
function endsOfConnections(server: Server): { next(): Promise<string> } {
  const ends: string[] = [];
  const waiting: ((end: string) => void)[] = [];
  server.on('connection', (socket: Socket) => {
    let end = 'registry';
    socket.prependListener('end', () => (end = socket.writableEnded ? 'registry' : 'peer'));
    socket.prependListener('error', () => (end = 'reset'));
    socket.on('close', () => {
      const resolve = waiting.shift();
      if (resolve === undefined) ends.push(end);
      else resolve(end);
    });
  });
  return {
    next: () => {
      const end = ends.shift();
      return end === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(end);
    },
  };
}

function linkTo(url: string, time: Time = systemTime): HttpLink {
  const link = new HttpLink({ url, time });
  cleanups.push(() => link.close());
  return link;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return isRollcallError(error) ? error.code : 'no RollcallError';
}

/** Everything a sink hears, as a list that can be awaited. */
class Listener implements WatchSink {
  readonly heard: (Frame | string)[] = [];
  problem: Problem | null = null;
  readonly #waiting: { readonly until: () => boolean; readonly resolve: () => void }[] = [];

  opened(): void {
    this.#note('opened');
  }
  frame(frame: Frame): void {
    this.#note(frame);
  }
  mark(cursor: { epoch: string; revision: number }): void {
    this.#note(`mark ${cursor.revision}`);
  }
  closed(problem: Problem | null): void {
    this.problem = problem;
    this.#note('closed');
  }

  has(entry: string): boolean {
    return this.heard.includes(entry);
  }

  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ until: condition, resolve }));
  }

  #note(entry: Frame | string): void {
    this.heard.push(entry);
    for (const { until, resolve } of this.#waiting) if (until()) resolve();
  }
}

function watchWith(link: HttpLink, request = wish): { readonly listener: Listener; readonly watch: Watch } {
  const listener = new Listener();
  return { listener, watch: link.watch(request, listener) };
}

const sse = (frame: Frame): string => `event: ${frame.event}\ndata: ${JSON.stringify(frame.data)}\n\n`;
const mark = (revision: number): string => `id: ${EPOCH}.${revision}\n\n`;

function openFeed(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
}

describe('HttpLink, requests', () => {
  it('sends a registration and reads the answer', async () => {
    const registry = await startRegistry((response) => json(response, 201, registered));
    await expect(linkTo(registry.url).register(registration)).resolves.toEqual({ ok: true, value: registered });
    expect(registry.requests[0]).toMatchObject({ method: 'POST', url: '/api/v1/register' });
    expect(JSON.parse(registry.requests[0]!.body)).toEqual(registration);
  });

  it('shows the secret in a header and nowhere else', async () => {
    const registry = await startRegistry((response) => json(response, 200, { state: 'HEALTHY', revision: 7 }));
    const answer = await linkTo(registry.url).beat(proof, { nonce: null, seq: 1 });
    expect(answer).toEqual({ ok: true, value: { state: 'HEALTHY', revision: 7 } });
    const [seen] = registry.requests;
    expect(seen!.url).toBe('/api/v1/instances/orders-1/heartbeat');
    expect(seen!.headers.authorization).toBe(`Bearer ${proof.secret}`);
    expect(seen!.url + seen!.body).not.toContain(proof.secret);
  });

  it('opens a connection for each beat and is the first to close it, without a reset', async () => {
    const registry = await startRegistry((response) => json(response, 200, { state: 'HEALTHY', revision: 7 }));
    const ends = endsOfConnections(registry.server);
    const link = linkTo(registry.url);
    for (const seq of [1, 2, 3]) await link.beat(proof, { nonce: null, seq });
    await expect(Promise.all([ends.next(), ends.next(), ends.next()])).resolves.toEqual(['peer', 'peer', 'peer']);
    expect(registry.sockets).toHaveLength(3);
  });

  it('speaks to the other routes of an instance', async () => {
    const registry = await startRegistry((response, { url }) => {
      if (url.endsWith('/drain')) json(response, 202, { watchers: 3 });
      else response.writeHead(url.endsWith('/suspect') ? 202 : 204).end();
    });
    const link = linkTo(registry.url);
    await expect(link.drain(proof, { deadlineMs: 10 })).resolves.toEqual({ ok: true, value: { watchers: 3 } });
    await expect(link.suspect('users-1', { by: 'me', outcome: 'refused' })).resolves.toEqual({ ok: true, value: null });
    await expect(link.leave(proof)).resolves.toEqual({ ok: true, value: null });
    expect(registry.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /api/v1/instances/orders-1/drain',
      'POST /api/v1/instances/users-1/suspect',
      'DELETE /api/v1/instances/orders-1',
    ]);
  });

  it('keeps a path in front of the API', async () => {
    const registry = await startRegistry((response) => json(response, 201, registered));
    await linkTo(`${registry.url}/behind/proxy`).register(registration);
    expect(registry.requests[0]!.url).toBe('/behind/proxy/api/v1/register');
  });

  it('gives a refusal as the problem that the registry sent', async () => {
    const problem = { code: 'ADDRESS_TAKEN', detail: 'orders-2 answers there.', fix: 'Take another port.' };
    const registry = await startRegistry((response) => json(response, 409, { type: 'x', status: 409, ...problem }));
    await expect(linkTo(registry.url).beat(proof, { nonce: null, seq: 1 })).resolves.toEqual({ ok: false, problem });
  });

  it('does not take a web page for an answer', async () => {
    const registry = await startRegistry((response) => response.end('<html>hello</html>'));
    await expect(codeOf(linkTo(registry.url).register(registration))).resolves.toBe('PROTOCOL');
  });

  it('does not follow redirects', async () => {
    const registry = await startRegistry((response) => response.writeHead(302, { location: '/elsewhere' }).end());
    await expect(linkTo(registry.url).register(registration)).resolves.toMatchObject({ ok: false });
    expect(registry.requests).toHaveLength(1);
  });

  it('reads no endless answer', async () => {
    const registry = await startRegistry((response) => {
      response.writeHead(200);
      const fill = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', fill);
      fill();
    });
    await expect(codeOf(linkTo(registry.url).register(registration))).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('rejects when the answer is cut off', async () => {
    const registry = await startRegistry((response) => {
      response.writeHead(201, { 'content-length': 100 }).write('{"instance"');
      response.socket?.end();
    });
    await expect(codeOf(linkTo(registry.url).register(registration))).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('rejects when nobody listens', async () => {
    const registry = await startRegistry(() => {});
    await new Promise((resolve) => registry.server.close(resolve));
    await expect(codeOf(linkTo(registry.url).register(registration))).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('waits for an answer as long as it should, and no longer', async () => {
    const time = new ManualTime();
    const asked = new Promise<ServerResponse>((resolve) => {
      void startRegistry((response) => resolve(response)).then(({ url }) => {
        outcome = codeOf(linkTo(url, time).register(registration));
      });
    });
    let outcome: Promise<string> | null = null;
    await asked;
    expect(time.nextAt()).toBe(3_000);
    time.advance(3_000);
    await expect(outcome).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('rejects what is pending when it is closed, and everything after that', async () => {
    const time = new ManualTime();
    const registry = await startRegistry(() => {});
    const link = linkTo(registry.url, time);
    const pending = codeOf(link.register(registration));
    await link.close();
    await link.close();
    await expect(pending).resolves.toBe('CLOSED');
    await expect(codeOf(link.register(registration))).resolves.toBe('CLOSED');
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

describe('HttpLink, the change feed', () => {
  it('asks for services, resumes, and shows itself as a line', async () => {
    const registry = await startRegistry(openFeed);
    const cursor = { epoch: EPOCH, revision: 41 };
    const { listener } = watchWith(linkTo(registry.url), {
      namespace: 'shop',
      services: ['a', 'b'],
      resume: ['b'],
      cursor,
      line: proof,
    });
    await listener.until(() => listener.has('opened'));
    const [seen] = registry.requests;
    expect(seen!.url).toBe('/api/v1/watch?namespace=shop&service=a&service=b&resume=b&instance=orders-1');
    expect(seen!.headers).toMatchObject({
      accept: 'text/event-stream',
      'last-event-id': `${EPOCH}.41`,
      authorization: `Bearer ${proof.secret}`,
    });
  });

  it('delivers frames and marks in order, and ignores events that it does not know', async () => {
    const reset = aReset([anInstance({ metadata: { team: 'Käse 🧀' } })]);
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(`${sse(reset)}event: news\ndata: {}\n\n${mark(1)}: beat\nid: ${EPOCH}.2\n\n`);
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('mark 2'));
    expect(listener.heard).toEqual(['opened', reset, 'mark 1', 'mark 2']);
  });

  it('delivers the same when every byte comes alone', async () => {
    const reset = aReset([anInstance({ metadata: { team: 'Käse 🧀' } })]);
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.socket?.setNoDelay(true);
      for (const byte of Buffer.from(sse(reset) + mark(1))) response.write(Uint8Array.of(byte));
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('mark 1'));
    expect(listener.heard).toEqual(['opened', reset, 'mark 1']);
  });

  it('ends, once, when the registry dies in the middle of a frame', async () => {
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(`${sse(aReset([anInstance()]))}event: change\ndata: {"na`, () => response.socket?.resetAndDestroy());
    });
    const { listener, watch } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    watch.close();
    expect(listener.heard.filter((entry) => entry === 'closed')).toHaveLength(1);
    expect(listener.problem).toBeNull();
  });

  it('ends when the registry ends the stream', async () => {
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.end(mark(1));
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.heard).toEqual(['opened', 'mark 1', 'closed']);
  });

  it('ends after 25 s without a byte, and not before', async () => {
    const time = new ManualTime();
    let feed: ServerResponse | null = null;
    const registry = await startRegistry((response) => {
      feed = response;
      openFeed(response);
    });
    const { listener } = watchWith(linkTo(registry.url, time));
    await listener.until(() => listener.has('opened'));
    time.advance(20_000);
    feed!.write(`: beat\n${mark(1)}`);
    await listener.until(() => listener.has('mark 1'));
    time.advance(24_999);
    expect(listener.has('closed')).toBe(false);
    time.advance(1);
    expect(listener.has('closed')).toBe(true);
    expect(time.pending().background).toBe(0);
  });

  it('gives up a watch that is not accepted in time', async () => {
    const time = new ManualTime();
    let asked = (): void => {};
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    const registry = await startRegistry(() => asked());
    const { listener } = watchWith(linkTo(registry.url, time));
    await isAsked;
    time.advance(3_000);
    expect(listener.heard).toEqual(['closed']);
  });

  it('tells a refusal with its problem', async () => {
    const problem = { code: 'NOT_FOUND', detail: 'No such instance.', fix: 'Register.' };
    const registry = await startRegistry((response) => json(response, 404, problem));
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.heard).toEqual(['closed']);
    expect(listener.problem).toEqual(problem);
  });

  it('does not take a web page for a feed', async () => {
    const registry = await startRegistry((response) => response.end('<html></html>'));
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.heard).toEqual(['closed']);
    expect(listener.problem?.detail).toContain('no event stream');
  });

  it.each([
    ['no JSON', 'event: change\ndata: {"service":\n\n'],
    ['a frame with a wrong field', sse({ event: 'status', data: { settled: 'yes' as never } })],
  ])('ends at %s, and says so', async (_name, garbage) => {
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(garbage + mark(9));
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.heard).toEqual(['opened', 'closed']);
    expect(listener.problem?.detail).toContain('breaks the protocol');
  });

  it('ends when we close it, and the registry notices', async () => {
    const registry = await startRegistry(openFeed);
    const { listener, watch } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('opened'));
    const noticed = new Promise((resolve) => registry.sockets[0]!.on('close', resolve));
    watch.close();
    watch.close();
    expect(listener.heard).toEqual(['opened', 'closed']);
    await noticed;
  });

  it('ends with the link, also when it is opened after that', async () => {
    const registry = await startRegistry(openFeed);
    const link = linkTo(registry.url);
    const { listener } = watchWith(link);
    await link.close();
    expect(listener.heard).toEqual(['closed']);
    const late = watchWith(link).listener;
    expect(late.heard).toEqual([]);
    await late.until(() => late.has('closed'));
  });

  it('ends when nobody listens', async () => {
    const registry = await startRegistry(() => {});
    await new Promise((resolve) => registry.server.close(resolve));
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.heard).toEqual(['closed']);
  });
});

describe('the test registry', () => {
  it('can tell who closed first', async () => {
    const registry = await startRegistry((response) => json(response, 200, {}));
    const ends = endsOfConnections(registry.server);
    const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    socket.resume();
    await expect(ends.next()).resolves.toBe('registry');
  });
});
