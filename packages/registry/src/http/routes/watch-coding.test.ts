import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { createGunzip, gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Outcome, RegistryApi, SharedFrame, Watcher, WatcherSink, WatchOrder } from '../../registry-api.js';
import { startTestRegistry } from '../../testing.js';
import { serveRegistry } from '../server.js';
import type { RunningRegistry } from '../start.js';

const PATH = '/api/v1/watch?service=*&namespace=*';
const SECRET = 'a-secret-of-132-bits-22';

/** Reads until the text contains `word`, and returns it; the stream stays open. */
async function readUntil(source: AsyncIterable<Buffer>, word: string): Promise<string> {
  let text = '';
  for await (const bytes of source) {
    text += bytes.toString();
    if (text.includes(word)) return text;
  }
  throw new Error(`The stream ended without ${word}: ${text}`);
}

describe('an encoded stream', () => {
  let registry: RunningRegistry;
  const responses: IncomingMessage[] = [];
  beforeEach(async () => {
    registry = await startTestRegistry();
  });
  afterEach(async () => {
    for (const response of responses.splice(0)) response.destroy();
    await registry.close();
  });

  const open = async (path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> => {
    const sent = get(`${registry.url}${path}`, { agent: false, headers });
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.on('error', () => {});
    responses.push(response);
    return response;
  };
  const register = async (service: string, at: number): Promise<void> => {
    const { status } = await fetch(`${registry.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        id: `${service}-${at}`,
        service,
        endpoints: [{ protocol: 'tcp', port: 9 }],
        secret: SECRET,
      }),
    });
    expect(status).toBe(201);
  };
  it('is plain without an Accept-Encoding', async () => {
    const response = await open(PATH);
    expect(response.headers['content-encoding']).toBeUndefined();
    expect(await readUntil(response, 'id: ')).toMatch(/^event: status\n/);
  });

  it('is gzip for a client that accepts it, and each change can be read at once', async () => {
    await register('orders', 1);
    const response = await open(PATH, { 'accept-encoding': 'gzip, br' });
    expect(response.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    const stream = response.pipe(createGunzip());
    stream.on('error', () => {});
    const lines = stream[Symbol.asyncIterator]();
    const next = { [Symbol.asyncIterator]: () => ({ next: () => lines.next() }) };
    await readUntil(next, '"id":"orders-1"');
    for (let at = 2; at < 8; at += 1) {
      await register('orders', at);
      await readUntil(next, `"id":"orders-${at}"`);
    }
  });

  it('ends as a whole gzip member when the registry ends it', async () => {
    const response = await open(PATH, { 'accept-encoding': 'gzip' });
    await register('orders', 1);
    const bytes = response.toArray();
    await registry.close();
    expect(gunzipSync(Buffer.concat(await bytes)).toString()).toMatch(/^event: status\n/);
  });

  it('reports the number of services, and the longest silence if requested', async () => {
    await register('orders', 1);
    await register('payments', 1);
    const response = await open(`${PATH}&beatMs=5000`);
    expect(response.headers).toMatchObject({ 'rollcall-services': '2', 'rollcall-beat-ms': '5000' });
    expect((await open(PATH)).headers['rollcall-beat-ms']).toBeUndefined();
  });

  it.each(['999', '10001', 'often'])('refuses a silence of %s ms', async (beatMs) => {
    const response = await open(`${PATH}&beatMs=${beatMs}`);
    expect(response.statusCode).toBe(400);
    const [problem] = (await response.toArray()) as Buffer[];
    expect(JSON.parse(String(problem))).toMatchObject({
      code: 'INVALID',
      flaws: [{ path: 'beatMs', received: beatMs }],
    });
  });

  it('counts the backlog of a peer in encoded bytes', async () => {
    const arrivals = new EventEmitter();
    const watched = once(arrivals, 'watched');
    const watch = (_order: WatchOrder, sink: WatcherSink): Outcome<Watcher> => {
      arrivals.emit('watched', sink);
      return { ok: true, value: { closed() {} } };
    };
    const server = await serveRegistry({ registry: { ready: true, watch } as unknown as RegistryApi, port: 0 });
    const socket = connect(server.port, '127.0.0.1');
    socket.pause().on('error', () => {});
    socket.write(`GET ${PATH} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n`);
    const [sink] = (await watched) as [WatcherSink];
    const data = { namespace: 'default', service: 'orders' };
    const frameOf = (bytes: Buffer): SharedFrame => ({ frame: { event: 'unknown', data }, bytes: () => bytes });
    const cursor = { epoch: '0192f0c4-0000-7000-8000-000000000001', revision: 1 };
    // more than the kernel takes for a peer that reads nothing, and no smaller when compressed
    sink.flush([frameOf(randomBytes(8 * 1_048_576))], cursor);
    const backlog = sink.backlog();
    expect(backlog).toBeGreaterThan(1_048_576);
    sink.flush([frameOf(Buffer.alloc(1_048_576, 'x'))], cursor);
    expect(sink.backlog() - backlog).toBeLessThan(10_000);
    sink.end();
    socket.destroy();
    await server.close();
  });
});
