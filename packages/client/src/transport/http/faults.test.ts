import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { systemTime } from '@rollcall/core';
import type { Source, Time } from '@rollcall/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RecordingSink, targetOf, TERMS } from '../transport.fixture.js';
import type { Settled } from '../transport.fixture.js';
import type { Channel } from '../transport.js';
import { HttpTransport } from './http.js';
import type { HttpRequest } from './message.js';
import { HttpAnswer } from './response.js';
import { Upload } from './upload.js';

/** The reaction to the n-th request of a connection, in bytes: an HTTP server would not produce such faults. */
type Wire = (socket: Socket, nth: number) => void;

interface Line {
  readonly channel: Channel<HttpRequest>;
  /** The number of opened connections. */
  readonly connections: () => number;
  /** The received requests, as text. */
  readonly received: readonly string[];
}

async function wired(wire: Wire, time: Time = systemTime, source: Source = 'api'): Promise<Line> {
  const received: string[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    let nth = 0;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      received.push(bytes.toString('latin1'));
      nth += 1;
      wire(socket, nth);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new HttpTransport(time, { connections: 1, connectTimeoutMs: 500, bufferedBytes: 1_000 });
  await transport.prepare();
  onTestFinished(async () => {
    await transport.close();
    server.close();
  });
  const target = targetOf({ port: (server.address() as AddressInfo).port, protocol: 'http' }, source);
  return { channel: transport.channel(target), connections: () => connections, received };
}

function ask(channel: Channel<HttpRequest>, request: Partial<HttpRequest> = {}): Promise<Settled> {
  const sink = new RecordingSink();
  channel.send({ method: 'GET', path: '/', headers: [], body: null, ...request }, TERMS, sink);
  return sink.settled;
}

async function textOf({ values }: Settled): Promise<string> {
  const [answer] = values;
  if (!(answer instanceof HttpAnswer)) throw new Error('no answer');
  return answer.response(1_000).text();
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

describe('a kept connection', () => {
  it('is not used for the next request if the server closed it while it was idle', async () => {
    const { channel, connections } = await wired((socket) => socket.end(OK));
    expect(await textOf(await ask(channel))).toBe('ok');
    expect(await textOf(await ask(channel))).toBe('ok');
    expect(connections()).toBe(2);
  });

  it('may have delivered the next request if it breaks before a byte of the answer: the result is unknown', async () => {
    const { channel, connections } = await wired((socket, nth) =>
      nth === 1 ? socket.write(OK) : socket.resetAndDestroy(),
    );
    expect(await textOf(await ask(channel))).toBe('ok');
    expect((await ask(channel, { method: 'POST', body: 'pay' })).failure?.kind).toBe('closed');
    expect(connections()).toBe(1);
  });

  it('is closed earlier than its server announced to close it', async () => {
    const brief = 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=2\r\ncontent-length: 2\r\n\r\nok';
    const { channel, connections } = await wired((socket) => socket.write(brief));
    await ask(channel);
    await ask(channel);
    expect(connections()).toBe(2);
  });
});

describe('a new connection', () => {
  it('fails no request if the peer sends no data: requests continue to wait for it', async () => {
    const { channel, connections } = await wired(() => {}, systemTime, 'native');
    let ended = 0;
    for (let count = 0; count < 3; count += 1) void ask(channel).then(() => (ended += 1));
    await expect.poll(() => channel.stall?.kind).toBe('unreachable');
    // a new one is tried beside it
    await expect.poll(() => connections()).toBe(2);
    expect(ended).toBe(0);
  });
});

describe('an answer that', () => {
  it.each([
    ['ends before its head', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nconte')],
    [
      'ends in the middle of its body',
      (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'),
    ],
    ['never begins', (socket: Socket) => socket.end()],
  ])('%s is not delivered', async (_name, wire) => {
    expect((await ask((await wired(wire)).channel)).failure?.kind).toBe('closed');
  });

  it.each([
    ['belongs to another protocol', (socket: Socket) => socket.write('220 mail.example ESMTP ready\r\n')],
    [
      'has a head without end',
      (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`),
    ],
    ['has an invalid length', (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: ab\r\n\r\nab')],
  ])('%s is garbled', async (_name, wire) => {
    expect((await ask((await wired(wire)).channel)).failure?.kind).toBe('garbled');
  });

  it('that is longer than announced does not affect the next one', async () => {
    const { channel, connections } = await wired((socket) => socket.write(`${OK}${OK}`));
    expect(await textOf(await ask(channel))).toBe('ok');
    expect(await textOf(await ask(channel))).toBe('ok');
    expect(connections()).toBe(2);
  });

  it('with an interim head of 100 or 103 is the response after it', async () => {
    const { channel } = await wired((socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}`));
    expect(await textOf(await ask(channel))).toBe('ok');
  });

  it.each([600, 700, 999])('with the invalid status %i is garbled, and its connection is closed', async (status) => {
    const { channel, connections } = await wired((socket) =>
      socket.write(`HTTP/1.1 ${status} Odd\r\ncontent-length: 9000\r\n\r\nx`),
    );
    const { failure } = await ask(channel);
    expect(failure).toMatchObject({ kind: 'garbled', cause: { message: `HTTP status ${status}` } });
    await ask(channel);
    expect(connections()).toBe(2);
  });

  it.each([
    ['control characters', '\u0001\u0002bad'],
    ['characters that are invalid in a Response', '日本'],
  ])('with %s in its reason has no reason', async (_name, reason) => {
    const { channel } = await wired((socket) => socket.write(`HTTP/1.1 200 ${reason}\r\ncontent-length: 2\r\n\r\nok`));
    const [answer] = (await ask(channel)).values;
    const response = (answer as HttpAnswer).response(1_000);
    expect([response.status, response.statusText, await response.text()]).toEqual([200, '', 'ok']);
  });

  it.each([
    ['has too many trailers', (socket: Socket) => socket.write(`0\r\nx: ${'v'.repeat(20_000)}\r\n\r\n`)],
    ['breaks off while it is read', (socket: Socket) => socket.resetAndDestroy()],
  ])('that %s fails its reader with TRANSPORT', async (_name, end) => {
    const sockets: Socket[] = [];
    const { channel } = await wired((socket) => {
      sockets.push(socket);
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n');
    });
    const text = textOf(await ask(channel));
    for (const socket of sockets) end(socket);
    await expect(text).rejects.toMatchObject({ code: 'TRANSPORT', retryable: false, cause: expect.any(Error) });
  });
});

describe('Retry-After', () => {
  const time: Time = { ...systemTime, wall: () => Date.UTC(2026, 10, 26, 12, 0, 0) };

  it.each([
    ['7', 'overloaded', 7_000],
    ['Thu, 26 Nov 2026 12:00:30 GMT', 'overloaded', 30_000],
    ['Thu, 26 Nov 2026 11:00:00 GMT', 'overloaded', 0],
    ['Thu, 26 Nov 2026 13:00:00 GMT', 'unavailable', undefined],
    ['301', 'unavailable', undefined],
    ['soon', 'unavailable', undefined],
    ['-1', 'unavailable', undefined],
  ])('%s', async (text, kind, ms) => {
    const head = `HTTP/1.1 503 Busy\r\nretry-after: ${text}\r\ncontent-length: 0\r\n\r\n`;
    const { failure } = await ask((await wired((socket) => socket.write(head), time)).channel);
    expect([failure?.kind, failure?.retryAfterMs]).toEqual([kind, ms]);
  });
});

describe('a request', () => {
  it('has not read its body, which can be read only once, if there was no connection', async () => {
    const transport = new HttpTransport(systemTime, { connections: 1, connectTimeoutMs: 500, bufferedBytes: 1_000 });
    await transport.prepare();
    onTestFinished(() => transport.close());
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const body = new Upload(new Blob(['x']).stream());
    const channel = transport.channel(targetOf({ port, protocol: 'http' }, 'api'));
    expect((await ask(channel, { method: 'POST', body })).failure?.kind).toBe('refused');
    expect(body.isStarted).toBe(false);
  });

  it('fails because of its sender, not of the instance, if its body breaks off', async () => {
    const { channel } = await wired(() => {});
    const body = new Upload(
      (async function* () {
        yield 'first';
        throw new Error('disk full');
      })(),
    );
    const { failure } = await ask(channel, { method: 'POST', body });
    expect(failure).toMatchObject({ kind: 'spoiled', cause: { message: 'disk full' } });
    expect(body.isStarted).toBe(true);
  });

  it.each([
    ['a body shorter than announced', { method: 'POST', headers: ['content-length', '9'], body: new Upload(['x']) }],
    ['a header that cannot be sent', { headers: ['x-a', 'b\r\nc: d'] }],
    ['a path that cannot be sent', { path: '/a b' }],
  ])('with %s is spoiled', async (_name, request) => {
    expect((await ask((await wired(() => {})).channel, request)).failure?.kind).toBe('spoiled');
  });

  it('with a body of a known length sends content-length', async () => {
    const line = await wired((socket) => {
      if (line.received.join('').endsWith('\r\n\r\n12345')) socket.write(OK);
    });
    const request = { method: 'POST', headers: ['content-length', '5'], body: new Upload(['12', '345']) };
    expect(await textOf(await ask(line.channel, request))).toBe('ok');
    expect(line.received[0]).toContain('content-length: 5\r\n');
  });
});

describe('a removed instance', () => {
  it('may finish its current answer, and its connection is then closed', async () => {
    let socketOf: Socket | null = null;
    const { channel } = await wired((socket) => {
      socketOf = socket;
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n');
    });
    const answer = await ask(channel);
    channel.retire();
    const text = textOf(answer);
    const socket = socketOf as unknown as Socket;
    const closed = once(socket, 'close');
    socket.write('4\r\nover\r\n0\r\n\r\n');
    expect(await text).toBe('begunover');
    await closed;
  });
});
