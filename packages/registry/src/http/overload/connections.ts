import type { Log, Time } from '@rollcall/core';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { sourceOf } from '../../instances/quotas.js';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { Handshakes } from '../access/handshakes.js';
import { peerOf } from '../exchange/request.js';

/**
 * A source that still has at least this share of its former number counts as the largest: a search takes as many steps
 * as there are sources.
 */
const SAME_RATIO = 0.875;

export interface ConnectionsOptions {
  readonly time: Time;
  readonly log: Log;
  /** Maximum of open connections, ≥ 1; Infinity: no limit. */
  readonly max: number;
  /** True for TLS: each connection has two sockets then, and requests know the second. Default false. */
  readonly isSecure?: boolean;
}

/** An accepted connection. */
interface Connection {
  readonly socket: Socket;
  readonly source: string;
  /** Complete requests that are not answered yet, including streams. */
  underWay: number;
  isOpen: boolean;
}

/**
 * Limits the open connections. Each one is an open file, so idle ones could take all files from heartbeats. At the
 * limit each new connection replaces a waiting one: one on which no complete request has arrived since it was opened or
 * last answered. It is the one that waits longest, of the source with most waiting ones: a source that sends nothing,
 * byte by byte, or endless bodies shuts out only itself. A connection with a request under way is never closed here;
 * streams have their own limit (`WatchLimits`), and if no connection waits, a new one is accepted beyond `most`.
 */
export class Connections {
  readonly #max: number;
  readonly #log: ThrottledLog;
  /** Null without TLS. */
  readonly #handshakes: Handshakes<Connection> | null;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Waiting connections by source, the longest waiting first. */
  readonly #waiting = new Map<string, Set<Connection>>();
  /** The source with most waiting connections, and their number: determined again once it has clearly fewer. */
  #largest = { source: '', size: 0 };
  #count = 0;

  constructor({ time, log, max, isSecure = false }: ConnectionsOptions) {
    this.#max = max;
    this.#log = new ThrottledLog({ time, log });
    this.#handshakes = isSecure ? new Handshakes() : null;
  }

  /** Attaches to a server; call it before the server listens. */
  follow(server: Server): void {
    if (this.#max === Infinity) return;
    server.on('connection', (socket: Socket) => this.#enter(socket));
    server.on('secureConnection', (secure: Socket) => this.#onSecure(secure));
    server.prependListener('request', (request, response) => this.#onRequest(request, response));
  }

  #enter(socket: Socket): void {
    while (this.#count >= this.#max && this.#evictOne()) continue;
    const connection = { socket, source: sourceOf(peerOf({ socket }).address), underWay: 0, isOpen: true };
    this.#count += 1;
    this.#connections.set(socket, connection);
    this.#handshakes?.begin(socket, connection);
    this.#wait(connection);
    socket.once('close', () => this.#leave(connection));
  }

  /** Runs once, although the socket may report its close later. */
  #leave(connection: Connection): void {
    if (!connection.isOpen) return;
    connection.isOpen = false;
    this.#count -= 1;
    this.#stopWaiting(connection);
  }

  #onSecure(secure: Socket): void {
    const connection = this.#handshakes?.finish(secure) ?? null;
    if (connection !== null) this.#connections.set(secure, connection);
  }

  /** The headers have arrived: from the end of its body until it is answered, the connection does not wait. */
  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) return;
    let isUnderWay = false;
    let isOver = false;
    const begin = (): void => {
      if (isOver || !connection.isOpen) return;
      isUnderWay = true;
      connection.underWay += 1;
      this.#stopWaiting(connection);
    };
    if (hasBody(request)) request.once('end', begin);
    else begin();
    response.once('close', () => {
      isOver = true;
      if (isUnderWay) connection.underWay -= 1;
      if (connection.underWay === 0 && connection.isOpen) this.#wait(connection);
    });
  }

  /** Queues the connection behind the others of its source. */
  #wait(connection: Connection): void {
    const { source } = connection;
    const waiting = this.#waiting.get(source) ?? new Set();
    this.#waiting.set(source, waiting);
    waiting.delete(connection);
    waiting.add(connection);
    if (waiting.size >= this.#largest.size) this.#largest = { source, size: waiting.size };
  }

  #stopWaiting(connection: Connection): void {
    const waiting = this.#waiting.get(connection.source);
    if (waiting?.delete(connection) === true && waiting.size === 0) this.#waiting.delete(connection.source);
  }

  /** Closes a waiting connection; false if there is none. */
  #evictOne(): boolean {
    const [oldest] = this.#largestSource();
    if (oldest === undefined) return false;
    this.#leave(oldest);
    oldest.socket.destroy();
    this.#log.warn(
      `The registry has ${this.#max} connections, its maximum: it closes those without a request, first of ${oldest.source}. ` +
        'Allow it more open files (ulimit -n), or find out which client opens them.',
    );
    return true;
  }

  #largestSource(): ReadonlySet<Connection> {
    const { source, size } = this.#largest;
    const known = this.#waiting.get(source);
    if (known !== undefined && known.size >= size * SAME_RATIO) return known;
    let largest: ReadonlySet<Connection> = new Set();
    this.#largest = { source: '', size: 0 };
    for (const [of, waiting] of this.#waiting) {
      if (waiting.size <= largest.size) continue;
      largest = waiting;
      this.#largest = { source: of, size: waiting.size };
    }
    return largest;
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
