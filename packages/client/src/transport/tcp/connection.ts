import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { addressOf, FrameDecoder } from '@rollcall/core';
import type { Endpoint, Time, Timer } from '@rollcall/core';
import { GIVE_UP_MS, MOVED } from '../connecting.js';
import type { Connecting } from '../connecting.js';
import { hasIdentity, identityFailure } from '../identity.js';
import type { TlsConnector } from '../tls.js';
import { connectFailure, destroyLater, failed, STOPPED } from '../transport.js';
import type { Exchange, Failure, Sink, Target, Terms } from '../transport.js';
import type { TcpCodec } from './codec.js';
import { IDENTITY_REQUEST, isTcpAnswer, requestFrame } from './message.js';
import type { TcpAnswer, TcpRequest } from './message.js';

export interface TcpOptions {
  /** Connections to each instance. */
  readonly connections: number;
  /** The time after which a connection that is not open, identity check included, makes its calls use other instances, ms. */
  readonly connectTimeoutMs: number;
  /** The maximum size of one answer, in UTF-16 code units. */
  readonly maxMessageLength: number;
  /** The maximum number of bytes that may wait to be written. */
  readonly maxBufferedBytes: number;
}

const KEEP_ALIVE_MS = 10_000;
/** Turns of the microtask queue without a request that end a batch, … */
const MAX_IDLE_TURNS = 2;
/** … and the maximum number of turns of one batch. */
const MAX_TURNS = 32;
/** Request ids start at 1. */
const IDENTITY_ID = 0;

/** The data that the connections to one instance share. */
export interface TcpConnectionParts {
  readonly target: Target;
  readonly options: TcpOptions;
  readonly time: Time;
  readonly secure: TlsConnector;
  readonly connecting: Connecting;
  /** The codec of the service for packets; undefined: none. */
  readonly codec: TcpCodec | undefined;
  /** Called when the connection is late and requests wait for it. */
  readonly late: () => void;
  /** It is open now. */
  readonly opened: (connection: TcpConnection) => void;
}

/**
 * One connection to a Nest server. Requests wait until it is open and the peer has identified itself, and then until no further request is
 * added; the batch is written in one piece. When the connection ends, every exchange fails; requests that were not written yet count as
 * certainly not executed.
 */
export class TcpConnection {
  readonly #target: Target;
  readonly #options: TcpOptions;
  readonly #time: Time;
  readonly #connecting: Connecting;
  readonly #parts: Pick<TcpConnectionParts, 'late' | 'opened'>;
  readonly #startedAt: number;
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #deserializer: TcpCodec['deserializer'];
  /** Answers are processed in order, even if the deserializer is asynchronous. */
  #reading: Promise<void> = Promise.resolve();
  readonly #exchanges = new Map<number, TcpExchange>();
  readonly #turn = (): void => this.#endTurn();
  #unwritten: TcpExchange[] = [];
  /** The size of the frames that have not been passed to the socket yet. */
  #unwrittenLength = 0;
  #phase: 'connecting' | 'asking' | 'ready' | 'over' = 'connecting';
  #timer: Timer | null;
  #isLate = false;
  #lastId = IDENTITY_ID;
  #isRetired = false;
  #cause: unknown = null;
  /** The number of turns of the current batch; 0: no batch. */
  #turns = 0;
  #quietTurns = 0;
  #gathered = 0;

  constructor({ target, options, time, secure, connecting, codec, ...parts }: TcpConnectionParts) {
    this.#target = target;
    this.#deserializer = codec?.deserializer;
    this.#options = options;
    this.#time = time;
    this.#connecting = connecting;
    this.#parts = parts;
    this.#startedAt = time.now();
    this.#decoder = new FrameDecoder(options.maxMessageLength, 'calls.tcp.maxMessageLength');
    this.#timer = time.setTimer(connecting.patienceMs, () => this.#late());
    this.#socket = openSocket(target.endpoint, secure);
    this.#socket.on(target.endpoint.tls ? 'secureConnect' : 'connect', () => this.#connected());
    this.#socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    this.#socket.on('error', (error) => {
      this.#cause ??= error;
    });
    this.#socket.on('end', () => this.#broken());
    this.#socket.on('close', () => this.#broken());
  }

  /** True if no request may be sent any more. */
  get isOver(): boolean {
    return this.#phase === 'over';
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
    for (const exchange of this.#unwritten.splice(0)) exchange.fail(MOVED);
  }

  send(request: TcpRequest, terms: Terms, sink: Sink): Exchange {
    const waiting = this.#unwrittenLength + this.#socket.writableLength;
    if (waiting > this.#options.maxBufferedBytes) return failed(this.#congestion(), sink);
    this.#lastId += 1;
    const exchange = new TcpExchange(this, this.#lastId, sink, request.isEvent);
    try {
      exchange.frame = requestFrame(request, exchange.id, terms);
    } catch (cause) {
      return failed({ kind: 'spoiled', cause }, sink); // the serializer of its service threw
    }
    this.#exchanges.set(exchange.id, exchange);
    this.#unwritten.push(exchange);
    this.#unwrittenLength += exchange.frame.length;
    if (this.#phase === 'ready' && this.#turns === 0) this.#gather();
    return exchange;
  }

  /** Called when the request is no longer awaited. */
  forget(exchange: TcpExchange): void {
    this.#unwrittenLength -= exchange.frame.length;
    exchange.frame = '';
    if (this.#exchanges.delete(exchange.id) && this.#isRetired && this.#exchanges.size === 0) this.#finish();
  }

  /** Closes the connection after its last exchange. */
  retire(): void {
    this.#isRetired = true;
    if (this.#exchanges.size === 0) this.#finish();
  }

  /** Closes the connection now, and calls back when the socket is closed. */
  stop(): Promise<void> {
    const { cause } = STOPPED;
    const closed = this.#socket.closed
      ? Promise.resolve()
      : new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#end({ kind: 'closed', cause }, STOPPED);
    return closed;
  }

  #connected(): void {
    if (this.#phase !== 'connecting') return;
    if (!hasIdentity(this.#target)) return this.#open();
    this.#phase = 'asking';
    this.#socket.write(requestFrame(IDENTITY_REQUEST, IDENTITY_ID, null));
  }

  #identified(answer: TcpAnswer): void {
    const failure = identityFailure(this.#target, answer.response);
    if (failure === null) return this.#open();
    this.#end(failure, failure);
  }

  #open(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#phase = 'ready';
    const now = this.#time.now();
    this.#isLate = false;
    this.#connecting.opened(now - this.#startedAt);
    for (const exchange of this.#unwritten) exchange.openedAt = now;
    this.#flush();
    this.#parts.opened(this);
  }

  #receive(chunk: Uint8Array): void {
    // parsing JSON takes time, so responses that are not awaited are not parsed
    const isAwaited = this.#exchanges.size > 0 || this.#phase === 'asking';
    const { frames, failure } = this.#decoder.push(chunk, isAwaited);
    for (const message of frames) this.#read(message);
    if (failure !== null) this.#end({ kind: 'garbled', cause: failure }, { kind: 'unsent', cause: failure });
  }

  #read(message: unknown): void {
    // an instance answers the identity check before the serializer of its server runs
    if (this.#deserializer === undefined || this.#phase === 'asking') {
      if (isTcpAnswer(message)) this.#answer(message);
      return;
    }
    const deserializer = this.#deserializer;
    const read = async (): Promise<void> => {
      const answer: unknown = await deserializer.deserialize(message);
      if (isTcpAnswer(answer)) this.#answer(answer);
    };
    this.#reading = this.#reading.then(read).catch((cause: unknown) => {
      this.#end({ kind: 'garbled', cause }, { kind: 'unsent', cause });
    });
  }

  #answer(answer: TcpAnswer): void {
    if (this.#phase === 'asking' && answer.id === IDENTITY_ID) return this.#identified(answer);
    const exchange = this.#exchanges.get(idOf(answer));
    // a response without a request is invalid, above all before the peer is identified
    if (exchange === undefined || !exchange.isWritten) return;
    // like Nest's client: an error is final, as is `isDisposed`, alone or with the last value
    if (answer.err) return exchange.fail({ kind: 'remote', cause: answer.err });
    if (!answer.isDisposed) exchange.next(answer.response);
    else if (answer.response !== undefined) exchange.last(answer.response);
    else exchange.complete();
  }

  /** Starts a batch. It ends after a few turns of the microtask queue without a request, when the answers of this turn are processed. */
  #gather(): void {
    this.#turns = 1;
    this.#quietTurns = 0;
    this.#gathered = this.#unwritten.length;
    void Promise.resolve().then(this.#turn);
  }

  #endTurn(): void {
    const isQuiet = this.#unwritten.length === this.#gathered;
    this.#quietTurns = isQuiet ? this.#quietTurns + 1 : 0;
    if (this.#quietTurns >= MAX_IDLE_TURNS || this.#turns >= MAX_TURNS) return this.#flush();
    this.#gathered = this.#unwritten.length;
    this.#turns += 1;
    void Promise.resolve().then(this.#turn);
  }

  #flush(): void {
    this.#turns = 0;
    if (this.#phase !== 'ready') return;
    const batch = this.#unwritten;
    this.#unwritten = [];
    let text = '';
    let hasEvents = false;
    this.#unwrittenLength = 0;
    for (const exchange of batch) {
      if (exchange.isOver) continue;
      text += exchange.frame;
      exchange.frame = '';
      exchange.isWritten = true;
      hasEvents ||= exchange.isEvent;
    }
    if (text === '') return;
    if (hasEvents) this.#socket.write(text, (error) => this.#eventsWritten(batch, error ?? null));
    else this.#socket.write(text);
  }

  #eventsWritten(batch: readonly TcpExchange[], error: Error | null): void {
    if (error !== null) return;
    for (const exchange of batch) if (exchange.isEvent) exchange.complete();
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
    const cause = (this.#cause ??= new Error(`${addressOf(this.#target.endpoint)} closed the connection`));
    if (this.#phase !== 'connecting') return this.#end({ kind: 'closed', cause }, { kind: 'unsent', cause });
    const failure = connectFailure(cause);
    this.#end(failure, failure);
  }

  /** All requests are answered: closes the connection normally. */
  #finish(): void {
    if (this.#phase === 'over') return;
    this.#over();
    this.#socket.end();
    destroyLater(this.#socket, this.#time);
  }

  #end(written: Failure, unwritten: Failure): void {
    if (this.#phase === 'over') return;
    this.#over();
    this.#socket.destroy();
    const exchanges = [...this.#exchanges.values()];
    this.#exchanges.clear();
    this.#unwritten = [];
    for (const exchange of exchanges) exchange.fail(exchange.isWritten ? written : unwritten);
  }

  #over(): void {
    this.#phase = 'over';
    this.#timer?.cancel();
    this.#timer = null;
  }

  #congestion(): Failure {
    const text = `More than ${this.#options.maxBufferedBytes} bytes wait to be written to ${addressOf(this.#target.endpoint)}.`;
    return { kind: 'congested', cause: new Error(text) };
  }
}

/** One request under way. It delivers the values and exactly one end. */
class TcpExchange implements Exchange {
  readonly id: number;
  readonly isEvent: boolean;
  /** Empty once it is written or cancelled. */
  frame = '';
  isWritten = false;
  isOver = false;
  openedAt: number | null = null;
  readonly #connection: TcpConnection;
  readonly #sink: Sink;

  constructor(connection: TcpConnection, id: number, sink: Sink, isEvent: boolean) {
    this.#connection = connection;
    this.id = id;
    this.#sink = sink;
    this.isEvent = isEvent;
  }

  get isSent(): boolean {
    return this.isWritten;
  }

  next(value: unknown): void {
    if (!this.isOver) this.#sink.next(value);
  }

  last(value: unknown): void {
    if (this.#close()) this.#sink.last(value);
  }

  complete(): void {
    if (this.#close()) this.#sink.complete();
  }

  fail(failure: Failure): void {
    if (this.#close()) this.#sink.fail(failure);
  }

  cancel(): void {
    this.#close();
  }

  #close(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.#connection.forget(this);
    return true;
  }
}

/** A codec gets ids as text and returns them as text. */
function idOf({ id }: TcpAnswer): number {
  if (typeof id === 'number') return id;
  return typeof id === 'string' && id !== '' ? Number(id) : IDENTITY_ID;
}

function openSocket(endpoint: Endpoint, secure: TlsConnector): Socket {
  const { host, port } = endpoint;
  const socket = endpoint.tls ? secure.connect(endpoint) : connect({ host, port });
  // an idle connection does not keep the process alive; the deadline of a caller does, which is cheaper than a change for each call
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS).unref();
}
