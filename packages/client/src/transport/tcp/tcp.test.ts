import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeFrame, FrameDecoder, messageOf, systemTime } from '@rollcall/core';
import type { Source, Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { transportContract } from '../contract.js';
import { RecordingSink, targetOf, tcpToy, TERMS } from '../transport.fixture.js';
import type { Settled } from '../transport.fixture.js';
import type { Channel, Exchange } from '../transport.js';
import type { TcpOptions } from './connection.js';
import { requestFrame, tcpRequest } from './message.js';
import type { TcpRequest } from './message.js';
import { TcpTransport } from './tcp.js';

const OPTIONS: TcpOptions = {
  connections: 1,
  connectTimeoutMs: 500,
  maxMessageLength: 10_000,
  maxBufferedBytes: 1_000_000,
};

transportContract<TcpRequest>('tcp', {
  toy: tcpToy,
  transport: (time) => new TcpTransport(time, OPTIONS),
  request: (data) => tcpRequest('echo', data, false),
  valueOf: (value) => value,
});

/** A server, a channel to it, and the server side of every connection, until the test ends. */
async function served(
  onSocket: (socket: Socket) => void,
  options: Partial<TcpOptions> = {},
  source: Source = 'api',
  time: Time = systemTime,
): Promise<{ channel: Channel<TcpRequest>; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new TcpTransport(time, { ...OPTIONS, ...options });
  onTestFinished(async () => {
    await transport.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { channel: transport.channel(targetOf({ port, protocol: 'tcp' }, source)), sockets };
}

interface Message {
  readonly id: number;
  readonly pattern: unknown;
  readonly data: unknown;
}

/** A server that answers each message with raw text, and a channel to it. */
async function scripted(
  script: (message: Message) => string,
  options: Partial<TcpOptions> = {},
  source: Source = 'api',
): Promise<{ channel: Channel<TcpRequest>; sockets: Socket[]; chunks: string[] }> {
  const chunks: string[] = [];
  const answer = (socket: Socket): void => {
    const decoder = new FrameDecoder();
    socket.on('data', (chunk) => {
      chunks.push(chunk.toString());
      for (const message of decoder.push(chunk).frames) socket.write(script(message as Message));
    });
  };
  return { ...(await served(answer, options, source)), chunks };
}

/** A server that accepts connections and sends no data, not even its identity; 65,536 bytes may wait to be written to it. */
async function silent(): Promise<Channel<TcpRequest>> {
  const { channel } = await served((socket) => socket.resume(), { maxBufferedBytes: 65_536 }, 'native');
  return channel;
}

function ask(channel: Channel<TcpRequest>, data: unknown, isEvent = false): Promise<Settled> {
  const sink = new RecordingSink();
  channel.send(tcpRequest('find', data, isEvent), TERMS, sink);
  return sink.settled;
}

describe('a Nest answer', () => {
  it('may have several values; the last may come with the end, or the end alone', async () => {
    const { channel } = await scripted(({ id, data }) =>
      data === 'together'
        ? encodeFrame({ id, response: 1 }) + encodeFrame({ id, response: 2, isDisposed: true })
        : encodeFrame({ id, response: 1 }) + encodeFrame({ id, isDisposed: true }),
    );
    expect(await ask(channel, 'together')).toEqual({ values: [1, 2], failure: null });
    expect(await ask(channel, 'alone')).toEqual({ values: [1], failure: null });
  });

  it('with an error is the application’s own error, whatever it contains', async () => {
    const err = { status: 'error', message: 'no order found' };
    const { channel } = await scripted(({ id }) => encodeFrame({ id, err }));
    expect((await ask(channel, 1)).failure).toEqual({ kind: 'remote', cause: err });
  });

  it('to a request that was not sent yet is ignored, even before the identity check', async () => {
    const { channel } = await scripted(
      ({ id }) => {
        const early = encodeFrame({ id: 1, response: 'made up', isDisposed: true });
        return early + encodeFrame({ id, response: { instance: 'payments-7' }, isDisposed: true });
      },
      {},
      'native',
    );
    expect(await ask(channel, 1)).toMatchObject({ values: [], failure: { kind: 'misdirected' } });
  });

  it('to an unknown request is dropped', async () => {
    const { channel } = await scripted(
      ({ id }) => encodeFrame({ id: 77, response: 'x' }) + encodeFrame({ id, response: 'mine', isDisposed: true }),
    );
    expect((await ask(channel, 1)).values).toEqual(['mine']);
  });

  it('fails the calls as garbled and closes the connection if it is not a frame', async () => {
    const { channel } = await scripted(() => 'HTTP/1.1 400 Bad Request\r\n\r\n');
    expect((await ask(channel, 1)).failure?.kind).toBe('garbled');
  });

  it('longer than allowed is not read, and the error names the option that allows more', async () => {
    const { channel } = await scripted(({ id }) => encodeFrame({ id, response: 'x'.repeat(20_000), isDisposed: true }));
    const { failure } = await ask(channel, 1);
    expect(failure?.kind).toBe('garbled');
    expect(messageOf(failure?.cause)).toMatch(
      /a frame of 20\d{3} characters or more, and 10000 are allowed\. Let it send less .* or raise calls\.tcp\.maxMessageLength\.$/,
    );
  });

  it('is skipped unread if no call waits for it', async () => {
    const opened: Socket[] = [];
    const open = (message: unknown): void => void opened.push((message as { socket: Socket }).socket);
    subscribe('net.client.socket', open);
    onTestFinished(() => void unsubscribe('net.client.socket', open));
    const { channel, sockets } = await scripted(({ id }) => encodeFrame({ id, response: id, isDisposed: true }));
    expect((await ask(channel, 1)).values).toEqual([1]);
    const parse = vi.spyOn(JSON, 'parse');
    onTestFinished(() => parse.mockRestore());
    for (const part of ['7#no JSON4#', 'none']) {
      sockets[0]?.write(part);
      await expect.poll(() => opened[0]?.bytesRead).toBe(sockets[0]?.bytesWritten);
    }
    expect(parse).not.toHaveBeenCalled();
    expect(await ask(channel, 2)).toEqual({ values: [2], failure: null });
    expect(sockets.length).toBe(1);
  });

  it('from another program is quoted printably and shortened', async () => {
    const instance = `\u001B[2J\nFAKE${'w'.repeat(100_000)}`;
    const options = { maxMessageLength: 200_000 };
    const { channel } = await scripted(
      ({ id }) => encodeFrame({ id, response: { instance }, isDisposed: true }),
      options,
      'native',
    );
    const { failure } = await ask(channel, 1);
    expect(failure?.kind).toBe('misdirected');
    expect(messageOf(failure?.cause)).toMatch(/^[ -~…]{1,200}$/);
  });

  it('may be split at any byte, even within a character', async () => {
    const answer = { id: 1, response: '€ 🙂', isDisposed: true };
    const bytes = Buffer.from(encodeFrame(answer));
    const { channel } = await served((socket) => {
      socket.once('data', () => {
        for (const byte of bytes) socket.write(Buffer.from([byte]));
      });
    });
    expect(await ask(channel, 1)).toEqual({ values: ['€ 🙂'], failure: null });
  });
});

describe('the sent data', () => {
  it('of one turn is written in one piece, even if an answer triggers it', async () => {
    const { channel, chunks } = await scripted(({ id, data }) => encodeFrame({ id, response: data, isDisposed: true }));
    await ask(channel, 'open');
    const later = async (n: number): Promise<void> => {
      await ask(channel, n);
      await Promise.resolve();
      await ask(channel, n + 100);
    };
    await Promise.all([1, 2, 3, 4, 5].map(later));
    const sizes = chunks.map((chunk) => chunk.match(/"id"/g)?.length);
    expect(sizes[1]).toBe(5);
  });

  it('is a Nest packet', async () => {
    const seen: unknown[] = [];
    const { channel } = await scripted((message) => {
      seen.push(message);
      return encodeFrame({ id: message.id, isDisposed: true });
    });
    await ask(channel, { n: 1 });
    expect(seen).toEqual([{ pattern: 'find', data: { n: 1 }, id: 1, metadata: { 'rollcall-deadline-ms': 5_000 } }]);
  });

  it('of an event has no id, and the event ends when it is written', async () => {
    const { channel, chunks } = await scripted(() => '');
    expect(await ask(channel, { n: 1 }, true)).toEqual({ values: [], failure: null });
    await expect.poll(() => chunks).toEqual(['33#{"pattern":"find","data":{"n":1}}']);
  });

  it('is refused when too much data waits to be written', async () => {
    const { channel } = await served((socket) => socket.pause(), { maxBufferedBytes: 65_536 });
    const sink = new RecordingSink();
    const opened = channel.send(tcpRequest('find', 'x'.repeat(20_000_000), false), TERMS, sink);
    await expect.poll(() => opened.openedAt).not.toBeNull();
    expect((await ask(channel, 1)).failure?.kind).toBe('congested');
  });

  it('is refused when too much data waits for the identity check of the peer', async () => {
    const channel = await silent();
    let ended = 0;
    for (let count = 0; count < 3; count += 1) void ask(channel, 'x'.repeat(30_000)).then(() => (ended += 1));
    expect((await ask(channel, 1)).failure?.kind).toBe('congested');
    expect(ended).toBe(0);
  });

  it('frees its buffer when it is cancelled', async () => {
    const channel = await silent();
    const send = (data: unknown): Exchange => channel.send(tcpRequest('find', data, false), TERMS, new RecordingSink());
    for (let n = 0; n < 3; n += 1) send('x'.repeat(30_000)).cancel();
    const failure = await Promise.race([ask(channel, 1).then((settled) => settled.failure), nextTurn()]);
    expect(failure).toBeUndefined();
  });

  it('uses several connections if so configured', async () => {
    const toy = await tcpToy();
    toy.habit = 'hold';
    const transport = new TcpTransport(systemTime, { ...OPTIONS, connections: 3 });
    onTestFinished(async () => {
      await transport.close();
      await toy.close();
    });
    const channel = transport.channel(targetOf(toy));
    for (let n = 0; n < 5; n += 1) void ask(channel, n);
    await expect.poll(() => toy.received.length).toBe(5);
    expect(toy.connections).toBe(3);
  });

  it('throws for data that JSON cannot represent', () => {
    expect(() => tcpRequest('find', 1n, false)).toThrow(TypeError);
  });

  it('quotes patterns as JSON does', () => {
    for (const pattern of ['find', 'a"b', { cmd: 'find' }, 'ü\n', 7]) {
      const frame = requestFrame(tcpRequest(pattern, null, false), 1, null);
      expect(JSON.parse(frame.slice(frame.indexOf('#') + 1))).toEqual({ pattern, data: null, id: 1 });
    }
  });
});

/** Answers requests, and never closes its side. */
function holdOpen(peer: Socket): void {
  peer.allowHalfOpen = true;
  peer.on('data', () => peer.write(encodeFrame({ id: 1, isDisposed: true })));
}

it('a connection that has ended is released, even if the peer never closes its side', async () => {
  const time = new ManualTime();
  const { channel, sockets } = await served(holdOpen, {}, 'api', time);
  await ask(channel, 1);
  const [socket] = sockets;
  if (socket === undefined) throw new Error('nobody connected');
  const ended = once(socket, 'end');
  channel.retire();
  await ended;
  time.advance(5_000);
  await expect
    .poll(() => {
      socket.write(' ');
      return socket.destroyed;
    })
    .toBe(true);
  expect(time.nextAt()).toBeNull();
});
