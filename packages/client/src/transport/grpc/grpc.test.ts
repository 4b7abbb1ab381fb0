import { once } from 'node:events';
import { constants, createServer } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpServer } from 'node:http';
import type { Socket } from 'node:net';
import { systemTime } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { transportContract } from '../contract.js';
import { RecordingSink, targetOf, TERMS } from '../transport.fixture.js';
import type { Settled } from '../transport.fixture.js';
import type { Channel, Terms } from '../transport.js';
import type { GrpcOptions } from './connection.js';
import { MessageReader } from './frame.js';
import { answer, echo, ECHO, frameOf, grpcToy } from './grpc.fixture.js';
import { GrpcTransport } from './grpc.js';
import { GrpcStatusError, grpcRequest } from './message.js';
import type { GrpcRequest } from './message.js';

const OPTIONS: GrpcOptions = { connections: 1, connectTimeoutMs: 500, maxMessageBytes: 1_000_000 };

transportContract<GrpcRequest>('gRPC', {
  toy: grpcToy,
  transport: (time) => new GrpcTransport(time, OPTIONS),
  request: (data) => echo(data),
  valueOf: (value) => value,
});

type Script = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** A channel to a server that follows the script; the script includes the identity check if the instance is native. */
async function scripted(script: Script, isNative = false): Promise<Channel<GrpcRequest>> {
  const server = createServer();
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    stream.resume();
    script(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new GrpcTransport(systemTime, OPTIONS);
  onTestFinished(async () => {
    await transport.close();
    for (const session of sessions) session.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return transport.channel(targetOf({ port, protocol: 'grpc' }, isNative ? 'native' : 'api'));
}

function ask(channel: Channel<GrpcRequest>, request: GrpcRequest = echo(1), terms: Terms = TERMS): Promise<Settled> {
  const sink = new RecordingSink();
  channel.send(request, terms, sink);
  return sink.settled;
}

const json = (value: unknown): Buffer => frameOf(Buffer.from(JSON.stringify(value)));

function refusing(status: number, trailers: object = {}): Script {
  return (stream) =>
    stream.respond({ ':status': 200, 'grpc-status': String(status), ...trailers }, { endStream: true });
}

describe('a gRPC answer', () => {
  it('may have several messages, each delivered as it arrives if the method is a stream', async () => {
    let open: ServerHttp2Stream | null = null;
    const channel = await scripted((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.write(Buffer.concat([json('one'), json('two')]));
      open = stream;
    });
    const sink = new RecordingSink();
    channel.send(grpcRequest({ ...ECHO, responseStream: true }, 1), TERMS, sink);
    await expect.poll(() => sink.values).toEqual(['one', 'two']);
    expect(sink.isSettled).toBe(false);
    (open as unknown as ServerHttp2Stream).end(json('three'));
    expect(await sink.settled).toEqual({ values: ['one', 'two', 'three'], failure: null });
  });

  it('with one message is delivered only with its status', async () => {
    const channel = await scripted((stream) => answer(stream, json('early'), {}, { 'grpc-status': '9' }));
    expect(await ask(channel)).toMatchObject({ values: [], failure: { kind: 'remote' } });
  });

  it('is garbled if its status is OK but it has no message, or only a part of one', async () => {
    for (const bytes of [Buffer.alloc(0), json({ id: 7 }).subarray(0, 3), json({ id: 7 }).subarray(0, 8)]) {
      const settled = await ask(await scripted((stream) => answer(stream, bytes)));
      expect(settled).toMatchObject({ values: [], failure: { kind: 'garbled' } });
    }
  });

  it('may be empty if it is a stream, but may not end in the middle of a message', async () => {
    const streamed = grpcRequest({ ...ECHO, responseStream: true }, 1);
    const empty = await scripted((stream) => answer(stream, Buffer.alloc(0)));
    expect(await ask(empty, streamed)).toEqual({ values: [], failure: null });
    const cut = await scripted((stream) => answer(stream, Buffer.concat([json('one'), json('two').subarray(0, 7)])));
    expect(await ask(cut, streamed)).toMatchObject({ values: ['one'], failure: { kind: 'garbled' } });
  });

  it.each([
    [5, 'remote'],
    [2, 'remote'],
    [12, 'remote'],
    [8, 'overloaded'],
    [14, 'unavailable'],
    [4, 'timeout'],
  ])('with status %i means that it is %s', async (status, kind) => {
    const { failure } = await ask(await scripted(refusing(status, { 'grpc-message': 'K%C3%A4se', 'x-more': 'a' })));
    expect(failure?.kind).toBe(kind);
    expect(failure?.cause).toBeInstanceOf(GrpcStatusError);
    if (!(failure?.cause instanceof GrpcStatusError)) return;
    const { code, details, metadata } = failure.cause;
    expect([code, details, metadata.get('X-More')]).toEqual([status, 'Käse', ['a']]);
    expect(metadata.getMap()).not.toHaveProperty('grpc-status');
  });

  it('fails permanently for a message that is too large, which is no sign of overload', async () => {
    const details = 'Received message larger than max (5242880 vs 4194304)';
    const { failure } = await ask(await scripted(refusing(8, { 'grpc-message': encodeURIComponent(details) })));
    expect(failure?.kind).toBe('remote');
  });

  it('accepts other requests while more than 10 MB wait to be sent on the same connection', async () => {
    const channel = await scripted((stream) => stream.on('end', () => answer(stream, json('read'))).resume());
    const large = grpcRequest({ ...ECHO, requestSerialize: () => Buffer.alloc(12_000_000) }, 1);
    const all = await Promise.all([ask(channel, large), ask(channel, grpcRequest(ECHO, 1))]);
    expect(all.map(({ failure }) => failure)).toEqual([null, null]);
  });

  it('reports Retry-After', async () => {
    expect((await ask(await scripted(refusing(8, { 'grpc-retry-pushback-ms': '250' })))).failure?.retryAfterMs).toBe(
      250,
    );
    expect(
      (await ask(await scripted(refusing(8, { 'grpc-retry-pushback-ms': '-1' })))).failure?.retryAfterMs,
    ).toBeUndefined();
  });

  it('is misdirected if the server reports another instance', async () => {
    const { failure } = await ask(await scripted(refusing(14, { 'rollcall-misdirected': 'payments-7' })));
    expect(failure?.kind).toBe('misdirected');
  });

  it.each([
    [
      'a proxy that cannot reach its target',
      (stream) => stream.respond({ ':status': 503 }, { endStream: true }),
      'unavailable',
    ],
    ['a web server', (stream) => stream.respond({ ':status': 404 }, { endStream: true }), 'garbled'],
    ['no status', (stream) => stream.respond({ ':status': 200 }, { endStream: true }), 'closed'],
    ['a compressed message', (stream) => answer(stream, Buffer.from([1, 0, 0, 0, 0])), 'garbled'],
    ['an invalid message', (stream) => answer(stream, frameOf(Buffer.from('{'))), 'garbled'],
    ['too long a message', (stream) => answer(stream, Buffer.from([0, 127, 0, 0, 0])), 'garbled'],
    ['a refused stream', (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM), 'unsent'],
    ['a reset stream', (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR), 'closed'],
  ] as readonly (readonly [string, Script, string])[])('from %s is a failure', async (_what, script, kind) => {
    expect((await ask(await scripted(script))).failure?.kind).toBe(kind);
  });

  it.each([false, true])(
    'that begins with interim heads is garbled, and ends the session (identity: %s)',
    async (isNative) => {
      const sessions = new Set<ServerHttp2Session>();
      const channel = await scripted((stream) => {
        if (stream.session !== undefined) sessions.add(stream.session as ServerHttp2Session);
        stream.additionalHeaders({ ':status': 103, link: '</a>' });
      }, isNative);
      const settled = await Promise.all([ask(channel), ask(channel)]);
      const kinds = settled.map(({ failure }) => failure?.kind);
      expect(kinds).toEqual(isNative ? ['unsent', 'unsent'] : ['garbled', 'garbled']);
      await expect.poll(() => [...sessions].map(({ destroyed }) => destroyed)).toEqual([true]);
    },
  );

  it('is awaited to its end if the peer accepts no more requests; the next requests use another connection', async () => {
    const sessions = new Set<unknown>();
    let first: ServerHttp2Stream | null = null;
    const channel = await scripted((stream) => {
      sessions.add(stream.session);
      if (first !== null) return answer(stream, json('second'));
      first = stream;
      stream.session?.goaway();
    });
    const slow = ask(channel);
    await expect.poll(() => first).not.toBeNull();
    await expect.poll(async () => (await ask(channel)).values).toEqual(['second']);
    answer(first as unknown as ServerHttp2Stream, json('first'));
    expect(await slow).toEqual({ values: ['first'], failure: null });
    expect(sessions.size).toBe(2);
  });
});

async function headersOf(terms: Terms, request = echo(1)): Promise<IncomingHttpHeaders> {
  const seen: IncomingHttpHeaders[] = [];
  const channel = await scripted((stream, headers) => {
    seen.push(headers);
    answer(stream, json(1), { 'rollcall-instance': 'orders-1' });
  }, true);
  await ask(channel, request, terms);
  return seen[1] ?? {};
}

describe('a gRPC request', () => {
  it('carries the remaining deadline, the number of the attempt, and the target', async () => {
    const request = grpcRequest(ECHO, 1, { 'x-trace': 'abc' });
    expect(await headersOf({ remainingMs: 1_234.5, attempt: 2 }, request)).toMatchObject({
      ':path': '/toys.Toy/Echo',
      'content-type': 'application/grpc',
      'grpc-timeout': '1235m',
      'rollcall-attempt': '2',
      'rollcall-target': 'orders-1',
      'x-trace': 'abc',
    });
  });

  it('for a stream, or without a deadline, has no timeout', async () => {
    const stream = grpcRequest({ ...ECHO, responseStream: true }, 1);
    expect(await headersOf(TERMS, stream)).not.toHaveProperty('grpc-timeout');
    expect(await headersOf({ remainingMs: Infinity, attempt: 1 })).not.toHaveProperty('grpc-timeout');
  });

  it('carries the caller’s metadata in lower case, except entries of the connection or of this client', async () => {
    const own = { Connection: 'close', TE: 'gzip', host: 'a', 'Content-Type': 'a', 'grpc-timeout': '1H' };
    const ours = { 'Rollcall-Target': 'orders-2', 'rollcall-deadline-ms': '0', 'rollcall-attempt': '9' };
    const headers = await headersOf(TERMS, grpcRequest(ECHO, 1, { ...own, ...ours, 'X-Trace': 'abc' }));
    expect(headers).toMatchObject({ 'x-trace': 'abc', 'content-type': 'application/grpc', te: 'trailers' });
    expect(headers).toMatchObject({ 'grpc-timeout': '5000m', 'rollcall-target': 'orders-1' });
    for (const name of ['connection', 'host', 'rollcall-attempt', 'rollcall-deadline-ms']) {
      expect(headers).not.toHaveProperty([name]);
    }
  });

  it.each([
    ['', 'a'],
    ['x y', 'a'],
    [':path', '/other'],
    ['x\ny', 'a'],
    ['ü', 'a'],
    ['x', 'a\nb'],
    ['x', 'ä'],
    ['x-bin', '\0'],
    ['x', 7 as unknown as string],
  ])('is refused with the metadata %j: %j', (name, value) => {
    expect(() => grpcRequest(ECHO, 1, { [name]: value })).toThrow(TypeError);
  });

  it('uses a new connection before the old one has no stream ids left for it', async () => {
    const service = await grpcToy();
    const transport = new GrpcTransport(systemTime, { ...OPTIONS, maxRequests: 3 });
    onTestFinished(async () => {
      await transport.close();
      await service.close();
    });
    const channel = transport.channel(targetOf(service));
    const settled = await Promise.all([1, 2, 3, 4, 5, 6, 7].map((n) => ask(channel, echo(n))));
    expect(settled.map(({ values }) => values)).toEqual([[1], [2], [3], [4], [5], [6], [7]]);
    expect(service.connections).toBe(3);
    await expect.poll(() => service.open).toBe(1);
  });

  it('leaves no connection behind whose server sends GOAWAY but never closes it', async () => {
    const time = new ManualTime();
    const server = createServer();
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    server.on('stream', (stream) => {
      stream.session?.goaway(constants.NGHTTP2_NO_ERROR);
      answer(stream.resume(), json(1));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const transport = new GrpcTransport(time, OPTIONS);
    onTestFinished(async () => {
      await transport.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as { port: number };
    const channel = transport.channel(targetOf({ port, protocol: 'grpc' }, 'api'));
    for (let n = 0; n < 3; n += 1) expect((await ask(channel)).values).toEqual([1]);
    expect(sockets.size).toBe(3);
    await expect.poll(() => time.nextAt()).toBe(5_000);
    time.advance(5_000);
    await expect
      .poll(() => {
        for (const socket of sockets) socket.write(' ');
        return sockets.size;
      })
      .toBe(0);
  });

  it('is refused for a stream of messages', () => {
    expect(() => grpcRequest({ ...ECHO, requestStream: true }, 1)).toThrow('/toys.Toy/Echo takes a stream');
  });

  it('is not sent to a server that speaks another protocol', async () => {
    const server = createHttpServer((_request, response) => response.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const transport = new GrpcTransport(systemTime, OPTIONS);
    onTestFinished(async () => {
      await transport.close();
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as { port: number };
    const { failure } = await ask(transport.channel(targetOf({ port, protocol: 'grpc' })));
    expect(failure?.kind).toBe('misdirected');
  });

  it('resets its stream if it is cancelled, so that the server can stop', async () => {
    const streams: ServerHttp2Stream[] = [];
    const channel = await scripted((stream) => void streams.push(stream));
    const exchange = channel.send(echo(1), TERMS, new RecordingSink());
    await expect.poll(() => streams.length).toBe(1);
    exchange.cancel();
    await expect.poll(() => streams[0]?.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });
});

describe('MessageReader', () => {
  it('the frame reader extracts the same messages from a body, however it is split', () => {
    const body = Buffer.concat([json('one'), frameOf(Buffer.alloc(0)), json('x'.repeat(1_000))]);
    for (const size of [1, 2, 3, 7, 1_004, body.length]) {
      const seen: string[] = [];
      const reader = new MessageReader(10_000);
      for (let at = 0; at < body.length; at += size) {
        expect(reader.push(body.subarray(at, at + size), (message) => seen.push(message.toString()))).toBeNull();
      }
      expect(seen).toEqual(['"one"', '', JSON.stringify('x'.repeat(1_000))]);
    }
  });
});
