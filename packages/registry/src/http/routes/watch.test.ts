import { ManualTime } from '@rollcall/core/testing';
import { EventEmitter, once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Outcome, RegistryApi, SharedFrame, Watcher, WatcherSink, WatchOrder } from '../../registry-api.js';
import { serveRegistry } from '../server.js';
import type { RegistryServer } from '../server.js';

const EPOCH = '0192f0c4-0000-7000-8000-000000000001';
const SECRET = 'abcdefghijklmnopqrstuv';
const DATA = { namespace: 'default', service: 'orders' };
const TEXT = `event: unknown\ndata: ${JSON.stringify(DATA)}\n\n`;
const UNKNOWN: SharedFrame = { frame: { event: 'unknown', data: DATA }, bytes: () => Buffer.from(TEXT) };
/** More than the kernel takes for a peer that reads nothing. */
const BIG: SharedFrame = { frame: UNKNOWN.frame, bytes: () => Buffer.alloc(8 * 1_048_576, ' ') };
const at = (revision: number): { epoch: string; revision: number } => ({ epoch: EPOCH, revision });

const servers: RegistryServer[] = [];
const streams: { destroy(): unknown }[] = [];
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.destroy();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

interface Watched {
  readonly order: WatchOrder;
  readonly sink: WatcherSink;
  readonly closedByPeer: Promise<unknown>;
  readonly wasClosedByPeer: () => boolean;
}

/** A registry that only serves its feed, and passes each watcher to the test. */
async function serve(
  answer?: Outcome<Watcher>,
): Promise<{ server: RegistryServer; time: ManualTime; next: () => Promise<Watched> }> {
  const arrivals = new EventEmitter();
  const next = once(arrivals, 'watched').then(([watched]: any[]) => watched);
  const watch = (order: WatchOrder, sink: WatcherSink): Outcome<Watcher> => {
    const over = new AbortController();
    const closedByPeer = once(over.signal, 'abort');
    arrivals.emit('watched', { order, sink, closedByPeer, wasClosedByPeer: () => over.signal.aborted });
    return answer ?? { ok: true, value: { closed: () => over.abort() } };
  };
  const time = new ManualTime();
  const server = await serveRegistry({ registry: { ready: true, watch } as unknown as RegistryApi, port: 0, time });
  servers.push(server);
  return { server, time, next: () => next };
}

async function open(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const sent = get(url, { agent: false, headers });
  streams.push(sent);
  const [response] = await once(sent, 'response');
  response.setEncoding('utf8').on('error', () => {});
  return response;
}

/** A watcher that reads only on request. */
async function openRaw(server: RegistryServer): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  streams.push(socket);
  socket.pause().on('error', () => {});
  socket.write('GET /api/v1/watch?service=* HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await once(socket, 'connect');
  return socket;
}

describe('a stream', () => {
  it('sends its head before any event', async () => {
    const { server } = await serve();
    const response = await open(`${server.url}/api/v1/watch?service=orders`);
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': expect.stringContaining('no-transform'),
      'x-accel-buffering': 'no',
    });
  });

  it('passes on the query, Last-Event-ID and the secret', async () => {
    const { server, next } = await serve();
    const query = 'service=a&service=b&service=a&resume=a&namespace=shop&instance=a-1';
    const headers = { 'last-event-id': `${EPOCH}.41`, authorization: `Bearer ${SECRET}` };
    await open(`${server.url}/api/v1/watch?${query}`, headers);
    expect((await next()).order).toEqual({
      namespace: 'shop',
      services: ['a', 'b'],
      resume: ['a'],
      cursor: { epoch: EPOCH, revision: 41 },
      line: { id: 'a-1', secret: SECRET },
      peer: '127.0.0.1',
    });
  });

  it.each(['service', 'resume'])('names 256 services as %s, and is refused with more', async (parameter) => {
    const { server } = await serve();
    const query = (count: number): string =>
      `service=a${Array.from({ length: count }, (_, index) => `&${parameter}=s${index}`).join('')}`;
    const max = parameter === 'service' ? 255 : 256;
    expect((await open(`${server.url}/api/v1/watch?${query(max)}`)).statusCode).toBe(200);
    const refused = await open(`${server.url}/api/v1/watch?${query(max + 1)}`);
    expect(refused.statusCode).toBe(400);
    expect(JSON.parse((await refused.toArray()).join(''))).toMatchObject({
      code: 'INVALID',
      fix: `Send ${parameter} as at most 256 names of services, or one *, which is all of them.`,
      flaws: [{ path: parameter, received: '257 names' }],
    });
  });

  it('starts again if Last-Event-ID is not a cursor of this registry', async () => {
    const { server, next } = await serve();
    await open(`${server.url}/api/v1/watch?service=*`, { 'last-event-id': '17' });
    expect((await next()).order).toMatchObject({ services: ['*'], cursor: null, line: null });
  });

  it('is a problem document when the engine refuses it', async () => {
    const problem = { code: 'UNAUTHORIZED', detail: 'wrong', fix: 'send it' } as const;
    const { server } = await serve({ ok: false, problem });
    const response = await open(`${server.url}/api/v1/watch?instance=a-1`);
    expect(response.statusCode).toBe(401);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  it('ends each flush, and each beat, with the cursor', async () => {
    const { server, next } = await serve();
    const response = await open(`${server.url}/api/v1/watch?service=orders`);
    const { sink } = await next();
    sink.flush([UNKNOWN, UNKNOWN], at(7));
    sink.beat(at(8));
    sink.end();
    const text = (await response.toArray()).join('');
    expect(text).toBe(`${TEXT}${TEXT}id: ${EPOCH}.7\n\n: beat\nid: ${EPOCH}.8\n\n`);
  });
});

describe('the end of a stream', () => {
  it('is reported at once when the peer is gone', async () => {
    const { server, next } = await serve();
    const response = await open(`${server.url}/api/v1/watch?service=orders`);
    const { closedByPeer, sink } = await next();
    response.destroy();
    await closedByPeer;
    sink.flush([UNKNOWN], at(9));
    sink.end();
  });

  it('is reported when the peer only closes its side, although it reads nothing and much is buffered', async () => {
    const { server, next } = await serve();
    const socket = await openRaw(server);
    const { closedByPeer, sink } = await next();
    sink.flush([BIG], at(1));
    expect(sink.backlog()).toBeGreaterThan(1_048_576);
    socket.end();
    await closedByPeer;
  });

  it('by the registry is not reported as one by the peer', async () => {
    const { server, next } = await serve();
    const response = await open(`${server.url}/api/v1/watch?service=orders`);
    const { sink, wasClosedByPeer } = await next();
    response.resume();
    sink.flush([UNKNOWN], at(7));
    sink.end();
    await once(response, 'close');
    expect(wasClosedByPeer()).toBe(false);
  });

  it('by the registry waits a second for a peer that reads nothing', async () => {
    const { server, next, time } = await serve();
    const socket = await openRaw(server);
    const { sink, wasClosedByPeer } = await next();
    sink.flush([BIG], at(1));
    sink.end();
    time.advance(1_000);
    socket.resume();
    await once(socket, 'close');
    expect(wasClosedByPeer()).toBe(false);
    expect(time.pending().background).toBe(0);
  });

  it('comes with the end of the server, and is not reported as one by the peer', async () => {
    const { server, next } = await serve();
    const response = await open(`${server.url}/api/v1/watch?service=orders`);
    const { wasClosedByPeer } = await next();
    response.resume();
    await Promise.all([server.close(), once(response, 'end')]);
    expect(wasClosedByPeer()).toBe(false);
  });
});
