import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { DEADLINE_KEY, encodeFrame, FrameDecoder, HEARTBEAT_PATH, HEARTBEAT_PATTERN, isRecord } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import { HttpTransport, SecureWay, TcpTransport } from '@rollcall/client/testing';
import type { Transport } from '@rollcall/client/testing';
import { FIRST_PORT, rollcallClient } from './clients.js';
import { Line } from './network.js';
import type { Answer, LineEnd, HostRequest } from './network.js';
import type { WorldClient, WorldSite } from './world.js';

/**
 * The calls of this package over its own transports, whose sockets are connections of a simulated world: what holds
 * over the models of the transports has to hold over them. HTTP is undici, which needs turns of the real event loop.
 */
export function rollcallOverSockets(protocol: 'tcp' | 'http'): WorldClient {
  if (protocol === 'tcp') {
    return rollcallClient('tcp', {
      tcp: (site, options) => overNetwork(new TcpTransport(site.loop, options.tcp, new Wires(site, TcpWire))),
    });
  }
  return rollcallClient('http', {
    http: (site, options) => overNetwork(new HttpTransport(site.loop, options.http, new Wires(site, HttpWire))),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  });
}

/** Passes in a socket at the point where TLS would create one. */
function overNetwork<Wanted>(transport: Transport<Wanted>): Transport<Wanted> {
  return {
    protocol: transport.protocol,
    prepare: () => transport.prepare(),
    channel: ({ instance, endpoint }) => transport.channel({ instance, endpoint: { ...endpoint, tls: true } }),
    close: () => transport.close(),
  };
}

type Open = (end: LineEnd) => Line;

class Wires extends SecureWay {
  readonly #site: WorldSite;
  readonly #Wire: new (open: Open) => TcpWire | HttpWire;

  constructor(site: WorldSite, Wire: new (open: Open) => TcpWire | HttpWire) {
    super();
    this.#site = site;
    this.#Wire = Wire;
  }

  override connect({ port }: Endpoint): TLSSocket {
    const { network, loop, hosts } = this.#site;
    const host = hosts[port - FIRST_PORT];
    if (host === undefined) throw new RangeError(`No host listens on port ${port}.`);
    // it has all that the transport uses of a socket
    return new this.#Wire((end) => new Line(network, loop, host, end)) as unknown as TLSSocket;
  }
}

const refused = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

// ---- Nest’s TCP -----------------------------------------------------------------------------------------------------

/** A client’s socket to a Nest TCP service. */
class TcpWire extends EventEmitter {
  readonly writableLength = 0;
  closed = false;
  readonly #line: Line;
  readonly #decoder = new FrameDecoder();
  #isOver = false;

  constructor(open: Open) {
    super();
    this.#line = open({
      opened: () => this.emit('secureConnect'),
      received: (answer) => this.emit('data', Buffer.from(encodeFrame(tcpAnswer(answer)))),
      closed: (isRefused) => this.#broken(isRefused),
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
    for (const frame of this.#decoder.push(text).frames) this.#line.send(tcpRequestOf(frame));
    return true;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#line.close();
    void Promise.resolve().then(() => this.#close());
  }

  #broken(isRefused: boolean): void {
    if (isRefused) this.emit('error', refused());
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

function tcpAnswer({ exchange: id, outcome }: Answer): object {
  if (outcome.is === 'identity') return { id, response: { instance: outcome.id, nonce: null }, isDisposed: true };
  if (outcome.is === 'answer') return { id, response: null, isDisposed: true };
  // Nest’s protocol has no such status: an error is the handler’s
  return { id, err: outcome.is, isDisposed: true };
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

/** A client’s socket to an HTTP service, with one request at a time. */
class HttpWire extends Duplex {
  readonly #line: Line;
  #text = '';
  #exchange = 0;

  constructor(open: Open) {
    super();
    this.#line = open({
      opened: () => this.emit('secureConnect'),
      received: (answer) => this.push(httpAnswer(answer)),
      closed: (isRefused) => this.destroy(isRefused ? refused() : undefined),
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
      this.#line.send(httpRequestOf(head, body, this.#exchange));
    }
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#line.close();
    done(error);
  }
}

const headerIn = (head: string, name: string): string | undefined =>
  new RegExp(`\r\n${name}: *([^\r]*)\r\n`, 'i').exec(head)?.[1];

function httpRequestOf(head: string, body: string, exchange: number): HostRequest {
  if (head.startsWith(`POST ${HEARTBEAT_PATH} `)) return { kind: 'identity', exchange };
  return { kind: 'call', exchange, call: Number(body), remainingMs: Number(headerIn(head, DEADLINE_KEY) ?? Infinity) };
}

function httpAnswer({ outcome }: Answer): string {
  const body = outcome.is === 'identity' ? JSON.stringify({ instance: outcome.id, nonce: null }) : '';
  return `HTTP/1.1 ${statusOf(outcome)}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function statusOf(outcome: Answer['outcome']): string {
  if (outcome.is === 'remote') return '400 No';
  if (outcome.is !== 'overloaded') return '200 OK';
  return `503 Busy\r\nretry-after: ${Math.ceil(outcome.retryAfterMs / 1_000)}`;
}
