import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { encodeFrame, FrameDecoder, HEARTBEAT_PATH, HEARTBEAT_PATTERN } from '@rollcall/core';
import type { Protocol, Source } from '@rollcall/core';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import type { Failure, Sink, Target, Terms } from './transport.js';

export const TERMS: Terms = { remainingMs: 5_000, attempt: 1 };

export interface Settled {
  readonly values: readonly unknown[];
  /** Null: the attempt succeeded. */
  readonly failure: Failure | null;
}

/** A sink that records its calls, and fails the test at a second end. */
export class RecordingSink implements Sink {
  readonly values: unknown[] = [];
  readonly settled: Promise<Settled>;
  isSettled = false;
  #settle: (settled: Settled) => void = () => {};

  constructor() {
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  next(value: unknown): void {
    if (this.isSettled) throw new Error('a value after the end');
    this.values.push(value);
  }

  last(value: unknown): void {
    this.next(value);
    this.complete();
  }

  complete(): void {
    this.#end(null);
  }

  fail(failure: Failure): void {
    this.#end(failure);
  }

  #end(failure: Failure | null): void {
    if (this.isSettled) throw new Error('a second end');
    this.isSettled = true;
    this.#settle({ values: this.values, failure });
  }
}

/** The reaction of the test server to a request: `hold` leaves it unanswered, `hang-up` breaks the connection. */
export type Behaviour = 'answer' | 'hold' | 'hang-up' | 'fail';

/** A minimal server that speaks one protocol and counts. */
export interface Toy {
  /** The id that it reports; null: it does not answer the identity check. */
  id: string | null;
  habit: Behaviour;
  readonly port: number;
  readonly protocol: Protocol;
  /** The number of connections so far, and the number of open ones. */
  readonly connections: number;
  readonly open: number;
  /** The number of identity checks it received. */
  readonly identityCalls: number;
  /** The received requests, in order. */
  readonly received: readonly unknown[];
  /** Resolves when the next request has arrived. */
  nextRequest(): Promise<void>;
  close(): Promise<void>;
}

/** A target for the test server, as the catalog would describe it. */
export function targetOf(toy: Pick<Toy, 'port' | 'protocol'>, source: Source = 'native'): Target {
  const endpoint = { protocol: toy.protocol, host: '127.0.0.1', port: toy.port, tls: false };
  return { instance: createInstance({ id: 'orders-1', endpoints: [endpoint], source }), endpoint };
}

/** Counts connections; each protocol adds its answers. */
export abstract class ToyService implements Toy {
  id: string | null = 'orders-1';
  habit: Behaviour = 'answer';
  abstract readonly protocol: Protocol;
  connections = 0;
  identityCalls = 0;
  readonly received: unknown[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #waiting: (() => void)[] = [];

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
  }

  get open(): number {
    return this.#sockets.size;
  }

  get port(): number {
    return portOf(this.#server);
  }

  nextRequest(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  protected receive(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}

class TcpToy extends ToyService {
  readonly protocol: Protocol = 'tcp';

  constructor(server: Server) {
    super(server);
    server.on('connection', (socket: Socket) => {
      const decoder = new FrameDecoder();
      socket.on('data', (chunk) => decoder.push(chunk).frames.forEach((message) => this.#take(message, socket)));
    });
  }

  #take(message: unknown, socket: Socket): void {
    const { pattern, data, id } = message as { pattern: unknown; data: unknown; id?: number };
    if (pattern === HEARTBEAT_PATTERN) {
      this.identityCalls += 1;
      const response = { instance: this.id, nonce: null };
      if (this.id !== null) socket.write(encodeFrame({ id, response, isDisposed: true }));
    } else {
      this.received.push(data);
      if (this.habit === 'answer' && id !== undefined)
        socket.write(encodeFrame({ id, response: data, isDisposed: true }));
      if (this.habit === 'fail') socket.write(encodeFrame({ id, err: 'no order found' }));
      if (this.habit === 'hang-up') socket.destroy();
    }
    this.receive();
  }
}

class HttpToy extends ToyService {
  readonly protocol: Protocol = 'http';

  constructor(server: Server) {
    super(server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#take(request, response));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    if (request.url === HEARTBEAT_PATH) {
      this.identityCalls += 1;
      if (this.id !== null) response.end(JSON.stringify({ instance: this.id, nonce: null }));
    } else {
      this.received.push(text === '' ? request.url : JSON.parse(text));
      if (this.habit === 'answer') response.end(text);
      if (this.habit === 'fail') response.writeHead(400).end('no order found');
      if (this.habit === 'hang-up') request.socket.destroy();
    }
    this.receive();
  }
}

/** A service that answers each message with its data, in Nest's frames. */
export async function tcpToy(): Promise<Toy> {
  const server = createServer();
  await listening(server);
  return new TcpToy(server);
}

/** A service that answers each request with its body. */
export async function httpToy(): Promise<Toy> {
  const server = createHttpServer();
  await listening(server);
  return new HttpToy(server);
}

/** A target behind a proxy that breaks each connection after a number of bytes of its answers. */
export interface Wire {
  readonly port: number;
  /** The number of received bytes of answers. */
  readonly passed: number;
  close(): Promise<void>;
}

export async function breakingWire(toy: Pick<Toy, 'port'>, breaksAfter: number): Promise<Wire> {
  let passed = 0;
  const server = createServer((near) => {
    let left = breaksAfter;
    const far = connect(toy.port, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.on('error', () => {});
      socket.on('close', () => other.destroy());
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      if (left === 0) return;
      const part = bytes.subarray(0, left);
      left -= part.length;
      passed += part.length;
      near.write(part);
      if (left === 0) near.destroySoon();
    });
  });
  await listening(server);
  return {
    port: portOf(server),
    get passed() {
      return passed;
    },
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

/** A port without a listener. */
export async function deadPort(): Promise<number> {
  const server = createServer();
  await listening(server);
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

function portOf(server: Server): number {
  // a listening TCP server has such an address
  return (server.address() as AddressInfo).port;
}
