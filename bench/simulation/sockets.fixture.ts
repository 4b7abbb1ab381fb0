import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { DEADLINE_KEY, encodeFrame, FrameDecoder, HEARTBEAT_PATH, HEARTBEAT_PATTERN, isRecord } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import { HttpTransport, TlsConnector, TcpTransport } from '@rollcall/client/testing';
import type { Transport } from '@rollcall/client/testing';
import { FIRST_PORT, rollcallClient } from './clients.js';
import { Connection } from './network.js';
import type { Answer, ConnectionEnd, HostRequest } from './network.js';
import type { WorldClient, CallerContext } from './world.js';

/**
 * The calls of this package over its own transports, whose sockets are connections of a simulated world: what holds
 * over the models of the transports has to hold over them. HTTP is undici, which needs turns of the real event loop.
 */
export function rollcallOverSockets(protocol: 'tcp' | 'http'): WorldClient {
  if (protocol === 'tcp') {
    return rollcallClient('tcp', {
      tcp: (context, options) =>
        throughTls(new TcpTransport(context.loop, options.tcp, new SimulatedTls(context, TcpSocket))),
    });
  }
  return rollcallClient('http', {
    http: (context, options) =>
      throughTls(new HttpTransport(context.loop, options.http, new SimulatedTls(context, HttpSocket))),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  });
}

/** Passes in a socket at the point where TLS would create one. */
function throughTls<Wanted>(transport: Transport<Wanted>): Transport<Wanted> {
  return {
    protocol: transport.protocol,
    prepare: () => transport.prepare(),
    channel: ({ instance, endpoint }) => transport.channel({ instance, endpoint: { ...endpoint, tls: true } }),
    close: () => transport.close(),
  };
}

type OpenConnection = (end: ConnectionEnd) => Connection;

class SimulatedTls extends TlsConnector {
  readonly #context: CallerContext;
  readonly #Socket: new (open: OpenConnection) => TcpSocket | HttpSocket;

  constructor(context: CallerContext, SocketClass: new (open: OpenConnection) => TcpSocket | HttpSocket) {
    super();
    this.#context = context;
    this.#Socket = SocketClass;
  }

  override connect({ port }: Endpoint): TLSSocket {
    const { network, loop, hosts } = this.#context;
    const host = hosts[port - FIRST_PORT];
    if (host === undefined) throw new RangeError(`No host listens on port ${port}.`);
    // it has all that the transport uses of a socket
    return new this.#Socket((end) => new Connection(network, loop, host, end)) as unknown as TLSSocket;
  }
}

const refusedError = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

// ---- Nest’s TCP -----------------------------------------------------------------------------------------------------

/** A client’s socket to a Nest TCP service. */
class TcpSocket extends EventEmitter {
  readonly writableLength = 0;
  closed = false;
  readonly #connection: Connection;
  readonly #decoder = new FrameDecoder();
  #isOver = false;

  constructor(open: OpenConnection) {
    super();
    this.#connection = open({
      opened: () => this.emit('secureConnect'),
      received: (answer) => this.emit('data', Buffer.from(encodeFrame(tcpAnswer(answer)))),
      closed: (isRefused) => this.#handleBreak(isRefused),
    });
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  write(text: string): boolean {
    for (const frame of this.#decoder.push(text).frames) this.#connection.send(tcpRequestOf(frame));
    return true;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.close();
    void Promise.resolve().then(() => this.#close());
  }

  #handleBreak(isRefused: boolean): void {
    if (isRefused) this.emit('error', refusedError());
    this.#isOver = true;
    this.#close();
  }

  #close(): void {
    if (this.closed) return;
    this.closed = true;
    this.emit('close');
  }
}

function tcpRequestOf(frame: unknown): HostRequest {
  if (!isRecord(frame)) throw new TypeError('A frame is an object.');
  const { id, pattern, data, metadata } = frame;
  const exchange = Number(id);
  if (pattern === HEARTBEAT_PATTERN) return { kind: 'identity', exchange };
  const remainingMs = isRecord(metadata) ? Number(metadata[DEADLINE_KEY] ?? Infinity) : Infinity;
  return { kind: 'call', exchange, call: Number(data), remainingMs };
}

function tcpAnswer({ exchange: id, content }: Answer): object {
  if (content.is === 'identity') return { id, response: { instance: content.id, nonce: null }, isDisposed: true };
  if (content.is === 'answer') return { id, response: null, isDisposed: true };
  // Nest’s protocol has no such status: an error is the handler’s
  return { id, err: content.is, isDisposed: true };
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

/** A client’s socket to an HTTP service, with one request at a time. */
class HttpSocket extends Duplex {
  readonly #connection: Connection;
  #text = '';
  #exchange = 0;

  constructor(open: OpenConnection) {
    super();
    this.#connection = open({
      opened: () => this.emit('secureConnect'),
      received: (answer) => this.push(httpAnswer(answer)),
      closed: (isRefused) => this.destroy(isRefused ? refusedError() : undefined),
    });
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#text += chunk.toString('latin1');
    const end = this.#text.indexOf('\r\n\r\n');
    const head = this.#text.slice(0, end + 2);
    const body = this.#text.slice(end + 4);
    if (end >= 0 && body.length >= Number(headerIn(head, 'content-length') ?? 0)) {
      this.#text = '';
      this.#exchange += 1;
      this.#connection.send(httpRequestOf(head, body, this.#exchange));
    }
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#connection.close();
    done(error);
  }
}

const headerIn = (head: string, name: string): string | undefined =>
  new RegExp(`\r\n${name}: *([^\r]*)\r\n`, 'i').exec(head)?.[1];

function httpRequestOf(head: string, body: string, exchange: number): HostRequest {
  if (head.startsWith(`POST ${HEARTBEAT_PATH} `)) return { kind: 'identity', exchange };
  return { kind: 'call', exchange, call: Number(body), remainingMs: Number(headerIn(head, DEADLINE_KEY) ?? Infinity) };
}

function httpAnswer({ content }: Answer): string {
  const body = content.is === 'identity' ? JSON.stringify({ instance: content.id, nonce: null }) : '';
  return `HTTP/1.1 ${statusOf(content)}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function statusOf(content: Answer['content']): string {
  if (content.is === 'remote') return '400 No';
  if (content.is !== 'overloaded') return '200 OK';
  return `503 Busy\r\nretry-after: ${Math.ceil(content.retryAfterMs / 1_000)}`;
}
