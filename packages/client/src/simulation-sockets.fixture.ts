import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { DEADLINE_KEY, encodeFrame, FrameDecoder, HEARTBEAT_PATTERN, isRecord } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import { FIRST_PORT, rollcallOver } from './simulation-clients.js';
import { Line } from './simulation-network.js';
import type { Answer, LineEnd, Request } from './simulation-network.js';
import type { WorldClient, WorldSite } from './simulation-world.js';
import { SecureWay } from './transport/secure.js';
import { TcpTransport } from './transport/tcp.js';

/**
 * This package’s own calls over its own TCP transport, whose sockets are connections of a simulated world: what holds over the model of
 * the transport has to hold over the transport.
 */
export function rollcallOverSockets(): WorldClient {
  return rollcallOver('tcp', (site, options) => {
    const transport = new TcpTransport(site.loop, options.tcp, new Wires(site));
    return {
      protocol: 'tcp',
      prepare: () => null,
      // a socket is handed in where TLS would make one
      channel: ({ instance, endpoint }) => transport.channel({ instance, endpoint: { ...endpoint, tls: true } }),
      close: () => transport.close(),
    };
  });
}

class Wires extends SecureWay {
  readonly #site: WorldSite;

  constructor(site: WorldSite) {
    super();
    this.#site = site;
  }

  override connect({ port }: Endpoint): TLSSocket {
    // it has what the transport uses of one
    return new Wire(this.#site, port - FIRST_PORT) as unknown as TLSSocket;
  }
}

/** A client’s socket to a Nest TCP service. */
class Wire extends EventEmitter {
  readonly writableLength = 0;
  closed = false;
  readonly #line: Line;
  readonly #decoder = new FrameDecoder();
  #isOver = false;

  constructor({ network, loop, hosts }: WorldSite, number: number) {
    super();
    const host = hosts[number];
    if (host === undefined) throw new RangeError(`There is no host ${number}.`);
    const end: LineEnd = {
      opened: () => this.emit('secureConnect'),
      heard: (answer) => this.#heard(answer),
      closed: (isRefused) => this.#broken(isRefused),
    };
    this.#line = new Line(network, loop, host, end);
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
    for (const frame of this.#decoder.push(text).frames) this.#line.send(requestOf(frame));
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

  #heard({ exchange: id, word }: Answer): void {
    if (word.is === 'who') this.#receive({ id, response: { instance: word.id, nonce: null }, isDisposed: true });
    else if (word.is === 'answer') this.#receive({ id, response: null, isDisposed: true });
    // Nest’s protocol has no word for it: an error is the handler’s
    else this.#receive({ id, err: word.is, isDisposed: true });
  }

  #broken(isRefused: boolean): void {
    if (isRefused) this.emit('error', Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
    this.#isOver = true;
    this.#close();
  }

  #receive(message: object): void {
    this.emit('data', Buffer.from(encodeFrame(message)));
  }

  #close(): void {
    if (this.closed) return;
    this.closed = true;
    this.emit('close');
  }
}

function requestOf(frame: unknown): Request {
  if (!isRecord(frame)) throw new TypeError('A frame is an object.');
  const { id, pattern, data, metadata } = frame;
  const exchange = Number(id);
  if (pattern === HEARTBEAT_PATTERN) return { kind: 'who', exchange };
  const remainingMs = isRecord(metadata) ? Number(metadata[DEADLINE_KEY] ?? Infinity) : Infinity;
  return { kind: 'call', exchange, call: Number(data), remainingMs };
}
