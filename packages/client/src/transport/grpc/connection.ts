import { connect as connectSession } from 'node:http2';
import type { ClientHttp2Session, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { addressOf, ATTEMPT_KEY, HEARTBEAT_METADATA, TARGET_KEY } from '@rollcall/core';
import type { Endpoint, Time, Timer } from '@rollcall/core';
import { GIVE_UP_MS, MOVED } from '../connecting.js';
import type { Connecting } from '../connecting.js';
import { hasIdentity, identityFailure } from '../identity.js';
import type { TlsConnector } from '../tls.js';
import { codeOf, connectFailure, destroyLater, STOPPED } from '../transport.js';
import type { Exchange, Failure, Sink, Target, Terms } from '../transport.js';
import { GrpcExchange, interim } from './exchange.js';
import { identityRequest } from './message.js';
import type { GrpcRequest } from './message.js';
import { StreamResets } from './resets.js';

export interface GrpcOptions {
  /** Connections to each instance. */
  readonly connections: number;
  /** The time after which a connection that is not open, identity check included, makes its calls use other instances, ms. */
  readonly connectTimeoutMs: number;
  /** The maximum size of one message of an answer. */
  readonly maxMessageBytes: number;
  /** The number of requests on one connection before it is replaced. Default: close to the limit of HTTP/2. */
  readonly maxRequests?: number;
}

const KEEP_ALIVE_MS = 10_000;
/**
 * The maximum number of bytes in flight to this process on one stream, and on all of them: an answer of this size needs no extra round
 * trip.
 */
const STREAM_WINDOW_BYTES = 1_048_576;
const CONNECTION_WINDOW_BYTES = 4_194_304;
/** A connection has 2³⁰ streams: 30 hours at 10,000 a second. After that it accepts no request, which would look like a failed instance. */
const MAX_REQUESTS = 1_000_000_000;
/** `grpc-timeout` has at most eight digits. */
const MAX_TIMEOUT_MS = 99_999_999;

/** The data that the connections to one instance share. */
export interface GrpcConnectionParts {
  readonly target: Target;
  readonly options: GrpcOptions;
  readonly time: Time;
  readonly secure: TlsConnector;
  readonly connecting: Connecting;
  /** Called when the connection is late and requests wait for it. */
  readonly late: () => void;
  /** Called when the connection is open. */
  readonly opened: (connection: GrpcConnection) => void;
}

/**
 * One HTTP/2 connection to a gRPC server, in plaintext (h2c) or over TLS. Requests wait until it is open and the peer has identified
 * itself. When it ends, every exchange fails; requests that were not written yet count as certainly not executed.
 */
export class GrpcConnection {
  readonly #target: Target;
  readonly #options: GrpcOptions;
  readonly #time: Time;
  readonly #connecting: Connecting;
  readonly #parts: Pick<GrpcConnectionParts, 'late' | 'opened'>;
  readonly #startedAt: number;
  readonly #resets: StreamResets;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #exchanges = new Set<GrpcExchange>();
  #waiting: GrpcExchange[] = [];
  #phase: 'connecting' | 'asking' | 'ready' | 'over' = 'connecting';
  #timer: Timer | null;
  #isLate = false;
  /** The last stream that the peer may have processed, once it has sent GOAWAY. */
  #lastProcessed = Infinity;
  #isRetired = false;
  /** The number of requests that the connection still accepts; after the last one it is replaced. */
  #left: number;
  #cause: unknown = null;
  /** The failure of the connection: one object, whichever event reports it first. */
  #breakage: Failure | null = null;

  constructor({ target, options, time, secure, connecting, ...parts }: GrpcConnectionParts) {
    this.#connecting = connecting;
    this.#parts = parts;
    this.#startedAt = time.now();
    this.#resets = new StreamResets(time, () => this.#exhaustResets());
    this.#target = target;
    this.#options = options;
    this.#left = options.maxRequests ?? MAX_REQUESTS;
    this.#time = time;
    this.#timer = time.setTimer(connecting.patienceMs, () => this.#late());
    const { endpoint } = target;
    this.#socket = openSocket(endpoint, secure);
    this.#session = connectSession(`${endpoint.tls ? 'https' : 'http'}://${addressOf(endpoint)}`, {
      createConnection: () => this.#socket,
      // with Node's default of 10 MB, every request, even a small one, fails while that much data waits to be sent
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
    });
    this.#session.on('connect', () => this.#connected());
    this.#session.on('error', (error) => (this.#cause ??= error));
    this.#session.on('goaway', (_code, lastStreamId) => this.#leave(lastStreamId));
    this.#session.on('close', () => this.#broken());
    this.#socket.on('error', (error) => (this.#cause ??= error));
  }

  /** True if no request may be sent any more. */
  get isOver(): boolean {
    return this.#phase === 'over' || this.#left <= 0 || this.#session.closed || this.#session.destroyed;
  }

  /** Exchanges under way. */
  get pending(): number {
    return this.#exchanges.size;
  }

  get isOpen(): boolean {
    return this.#phase === 'ready';
  }

  /** True if it has taken longer to open than connections usually do. */
  get isLate(): boolean {
    return this.#isLate;
  }

  /** Another connection is open: if this one is late, its waiting requests move there. It may still open. */
  release(): void {
    if (!this.#isLate) return;
    for (const exchange of this.#waiting.splice(0)) exchange.fail(MOVED);
  }

  send(request: GrpcRequest, terms: Terms, sink: Sink): Exchange {
    const exchange = new GrpcExchange({
      request,
      headers: this.#headers(request, terms),
      sink,
      maxMessageBytes: this.#options.maxMessageBytes,
      over: (ended) => this.#over(ended),
      spoil: (cause) => this.#spoiled(cause),
      broken: () => (this.#session.destroyed || this.#socket.destroyed ? this.#breakageOf() : null),
      cancel: (stream) => this.#resets.cancel(stream, !request.isStream && request.upload === null),
      isProcessed: (id) => id <= this.#lastProcessed,
    });
    this.#exchanges.add(exchange);
    this.#left -= 1;
    this.#isRetired ||= this.#left <= 0;
    if (this.#phase === 'ready') this.#begin(exchange);
    else this.#waiting.push(exchange);
    return exchange;
  }

  /** Closes the connection after its last exchange. */
  retire(): void {
    this.#isRetired = true;
    if (this.#exchanges.size === 0) this.#finish();
  }

  /** Closes the connection now, and calls back when the socket is closed. */
  stop(): Promise<void> {
    const closed = this.#socket.closed
      ? Promise.resolve()
      : new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#end({ kind: 'closed', cause: STOPPED.cause }, STOPPED);
    return closed;
  }

  #connected(): void {
    if (this.#phase !== 'connecting') return;
    this.#session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    this.#session.unref();
    if (!hasIdentity(this.#target)) return this.#open();
    this.#phase = 'asking';
    this.#ask();
  }

  /** A server without this service, or one that answers without an id, is not the expected instance. */
  #ask(): void {
    const { id } = this.#target.instance;
    const request = identityRequest(id);
    const stream = this.#session.request(this.#headersOf(request));
    const onHeaders = (headers: IncomingHttpHeaders): void => {
      const failure = identityFailure(this.#target, { instance: headers[HEARTBEAT_METADATA.instance] });
      if (this.#phase !== 'asking') return;
      if (failure === null) this.#open();
      else this.#end(failure, failure);
    };
    stream.on('response', onHeaders);
    stream.on('headers', () => this.#spoiled(interim()));
    stream.on('error', (error) => {
      // a peer that does not speak HTTP/2 is not a gRPC server
      if (codeOf(error).startsWith('ERR_HTTP2')) onHeaders({});
    });
    stream.resume();
    stream.end(request.frame);
  }

  #open(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#phase = 'ready';
    const now = this.#time.now();
    this.#isLate = false;
    this.#connecting.opened(now - this.#startedAt);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const exchange of waiting) {
      if (exchange.isOver) continue;
      exchange.openedAt = now;
      this.#begin(exchange);
    }
    this.#parts.opened(this);
  }

  #begin(exchange: GrpcExchange): void {
    try {
      exchange.begin(this.#session);
    } catch (error) {
      // `send` has to return before anything is delivered
      void Promise.resolve().then(() => exchange.fail({ kind: 'unsent', cause: error }));
    }
  }

  #over(exchange: GrpcExchange): void {
    this.#exchanges.delete(exchange);
    if (this.#isRetired && this.#exchanges.size === 0) this.#finish();
  }

  /** The peer accepts no more requests: those under way may end, except those that it did not begin to process. */
  #leave(lastStreamId: number | undefined): void {
    this.#isRetired = true;
    this.#lastProcessed = lastStreamId ?? Infinity;
    for (const exchange of this.#waiting)
      exchange.fail({ kind: 'unsent', cause: new Error('the peer closes the connection') });
    this.#waiting = [];
  }

  /** Accepts no more calls; those under way may end. */
  #exhaustResets(): void {
    this.#left = 0;
    this.#isRetired = true;
  }

  #headers(request: GrpcRequest, terms: Terms): OutgoingHttpHeaders {
    const headers = this.#headersOf(request);
    // the deadline of a stream ends with its first message, but a timeout would end the stream
    if (terms.remainingMs <= MAX_TIMEOUT_MS && !request.isStream) {
      headers['grpc-timeout'] = `${Math.max(1, Math.ceil(terms.remainingMs))}m`;
    }
    if (hasIdentity(this.#target)) headers[TARGET_KEY] = this.#target.instance.id;
    if (terms.attempt > 1) headers[ATTEMPT_KEY] = String(terms.attempt);
    if (terms.carrier !== undefined && terms.carrier !== null) Object.assign(headers, terms.carrier);
    return headers;
  }

  #headersOf(request: GrpcRequest): OutgoingHttpHeaders {
    return {
      ...request.metadata,
      ':method': 'POST',
      ':path': request.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
  }

  /**
   * Called when connecting takes long. Calls without an alternative continue to wait; without waiting calls the connection is given up
   * eventually.
   */
  #late(): void {
    const now = this.#time.now();
    const ms = now - this.#startedAt;
    if (ms >= GIVE_UP_MS && this.#exchanges.size === 0) {
      const failure = this.#connecting.stall ?? MOVED;
      return this.#end(failure, failure);
    }
    const isFirst = !this.#isLate;
    this.#isLate = true;
    this.#timer = this.#time.setTimer(GIVE_UP_MS, () => this.#late(), { background: true });
    if (!isFirst) return;
    this.#connecting.late(this.#lateText(), ms, now);
    if (this.#exchanges.size > 0) this.#parts.late();
  }

  #lateText(): string {
    const at = addressOf(this.#target.endpoint);
    return `${at} ${this.#phase === 'connecting' ? 'accepted no connection' : 'did not identify itself'}`;
  }

  #broken(): void {
    if (this.#phase === 'over') return;
    const written = this.#breakageOf();
    if (this.#phase !== 'connecting') return this.#end(written, { kind: 'unsent', cause: written.cause });
    const failure = connectFailure(written.cause);
    this.#end(failure, failure);
  }

  #spoiled(cause: Error): void {
    this.#end({ kind: 'garbled', cause }, { kind: 'unsent', cause });
  }

  #breakageOf(): Failure {
    const cause = (this.#cause ??= new Error(`${addressOf(this.#target.endpoint)} closed the connection`));
    return (this.#breakage ??= { kind: 'closed', cause });
  }

  /** All requests are answered: closes the connection normally. */
  #finish(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#stopTimers();
    this.#session.close();
    this.#socket.unref();
    destroyLater(this.#socket, this.#time);
  }

  #end(written: Failure, unwritten: Failure): void {
    if (this.#phase === 'over' && this.#exchanges.size === 0) {
      this.#session.destroy();
      this.#socket.destroy();
      return;
    }
    this.#phase = 'over';
    this.#stopTimers();
    const exchanges = [...this.#exchanges];
    this.#exchanges.clear();
    this.#waiting = [];
    for (const exchange of exchanges) exchange.fail(exchange.isWritten ? exchange.breakage(written) : unwritten);
    this.#session.destroy();
    this.#socket.destroy();
  }

  #stopTimers(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#resets.stop();
  }
}

function openSocket(endpoint: Endpoint, secure: TlsConnector): Socket {
  const { host, port } = endpoint;
  const socket = endpoint.tls ? secure.connect(endpoint, 'h2') : connect({ host, port });
  // an idle connection does not keep the process alive; the deadline of a caller does
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS).unref();
}
