import type { Timer } from '@rollcall/core';
import { Connecting } from '@rollcall/client/testing';
import type { Channel, Exchange, Failure, Sink, Terms } from '@rollcall/client/testing';
import { Line } from './network.js';
import type { Acceptor, Answer, LineEnd, Loop, Network, HostRequest } from './network.js';

// How the three transports use connections: TCP and gRPC send all calls to an instance on one connection, HTTP takes a
// connection of a pool for each call. The failures and their order are those of transport/tcp-connection.ts,
// grpc-connection.ts and http.ts.

/** The path of one client to one host. */
export interface WayParts {
  readonly network: Network;
  readonly loop: Loop;
  readonly host: Acceptor;
  /** A connection that is not open after this time, identity check included, is late, ms. Infinity: no limit. */
  readonly connectTimeoutMs: number;
  /** The id that the peer must report; null: the identity is not checked. */
  readonly expectedId: string | null;
  /** The number of the call that a request belongs to. */
  callOf(request: unknown): number;
}

const cause = (text: string): Error => new Error(text);

/** Exchange 0 of a connection is the identity request. */
const IDENTITY_EXCHANGE = 0;

/** Callbacks of a connection to its owner. `over` is called last, and once. */
interface ConnectionOwner {
  ready(): void;
  received(answer: Answer): void;
  /** `unwritten`: the failure of requests that were not written; `written`: of those that were. */
  over(unwritten: Failure, written: Failure): void;
}

/** A connection that is opened, checks the identity of its peer, and is then ready. */
class Connection implements LineEnd {
  isReady = false;
  readonly #parts: WayParts;
  readonly #owner: ConnectionOwner;
  readonly #line: Line;
  readonly #connecting: Connecting;
  readonly #startedAt: number;
  readonly #timer: Timer | null;
  #isOpen = false;
  #isOver = false;

  constructor(parts: WayParts, connecting: Connecting, owner: ConnectionOwner) {
    const { network, loop, host } = parts;
    const { patienceMs } = connecting;
    this.#parts = parts;
    this.#connecting = connecting;
    this.#owner = owner;
    this.#startedAt = loop.now();
    const late = (): void => connecting.late('no connection, or no identity,', patienceMs, loop.now());
    this.#timer = patienceMs < Infinity ? loop.setTimer(patienceMs, late) : null;
    this.#line = new Line(network, loop, host, this);
  }

  send(request: HostRequest): void {
    this.#line.send(request);
  }

  /** Closed by the client; the owner is not notified. */
  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#line.close();
  }

  opened(): void {
    this.#isOpen = true;
    if (this.#parts.expectedId === null) this.#becomeReady();
    else this.#line.send({ kind: 'identity', exchange: IDENTITY_EXCHANGE });
  }

  received(answer: Answer): void {
    const { exchange, outcome } = answer;
    if (exchange !== IDENTITY_EXCHANGE) return this.#owner.received(answer);
    if (outcome.is === 'identity' && outcome.id === this.#parts.expectedId) return this.#becomeReady();
    const failure: Failure = { kind: 'misdirected', cause: cause('another process answers') };
    this.#end(failure, failure);
  }

  closed(isRefused: boolean): void {
    const text = isRefused ? 'ECONNREFUSED' : 'the peer closed the connection';
    if (this.#isOpen) return this.#end({ kind: 'unsent', cause: cause(text) }, { kind: 'closed', cause: cause(text) });
    const failure: Failure = { kind: isRefused ? 'refused' : 'unreachable', cause: cause(text) };
    this.#end(failure, failure);
  }

  #becomeReady(): void {
    this.#timer?.cancel();
    this.#connecting.opened(this.#parts.loop.now() - this.#startedAt);
    this.isReady = true;
    this.#owner.ready();
  }

  #end(unwritten: Failure, written: Failure): void {
    if (this.#isOver) return;
    this.close();
    this.#owner.over(unwritten, written);
  }
}

/** One attempt in flight. */
class Attempting implements Exchange {
  openedAt: number | null = null;
  isWritten = false;
  isOver = false;
  readonly number: number;
  /** Null: a ping. */
  readonly call: number | null;
  readonly terms: Terms;
  readonly #sink: Sink;
  readonly #onCancel: (exchange: Attempting) => void;

  constructor(
    of: { readonly number: number; readonly call: number | null },
    terms: Terms,
    sink: Sink,
    onCancel: (exchange: Attempting) => void,
  ) {
    this.number = of.number;
    this.call = of.call;
    this.terms = terms;
    this.#sink = sink;
    this.#onCancel = onCancel;
  }

  get isSent(): boolean {
    return this.isWritten;
  }

  get request(): HostRequest {
    const { number: exchange, call, terms } = this;
    return call === null
      ? { kind: 'identity', exchange }
      : { kind: 'call', exchange, call, remainingMs: terms.remainingMs };
  }

  received({ outcome }: Answer): void {
    if (outcome.is === 'remote') this.fail({ kind: 'remote', cause: 'refused by the handler' });
    else if (outcome.is === 'overloaded') {
      this.fail({ kind: 'overloaded', cause: cause('overloaded'), retryAfterMs: outcome.retryAfterMs });
    } else if (!this.isOver) {
      this.isOver = true;
      this.#sink.last(null);
    }
  }

  fail(failure: Failure): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#sink.fail(failure);
  }

  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#onCancel(this);
  }
}

/** A channel that is closed with its client. */
export interface SimulatedWay extends Channel<unknown> {
  close(): void;
}

/** One connection for all calls. `signalsCancel`: the peer learns that a call was cancelled (RST_STREAM of HTTP/2). */
export class SharedWay implements SimulatedWay {
  readonly #parts: WayParts;
  readonly #connecting: Connecting;
  readonly #signalsCancel: boolean;
  readonly #exchanges = new Map<number, Attempting>();
  #connection: Connection | null = null;
  #lastNumber = IDENTITY_EXCHANGE;
  #isRetired = false;

  constructor(parts: WayParts, signalsCancel: boolean) {
    this.#parts = parts;
    this.#connecting = new Connecting(parts.connectTimeoutMs);
    this.#signalsCancel = signalsCancel;
  }

  get stall(): Failure | null {
    return this.#connecting.stall;
  }

  send(request: unknown, terms: Terms, sink: Sink): Exchange {
    return this.#begin(this.#parts.callOf(request), terms, sink);
  }

  ping(terms: Terms, sink: Sink): Exchange {
    return this.#begin(null, terms, sink);
  }

  retire(): void {
    this.#isRetired = true;
    this.#finish();
  }

  close(): void {
    this.#exchanges.clear();
    this.#connection?.close();
  }

  #begin(call: number | null, terms: Terms, sink: Sink): Exchange {
    this.#lastNumber += 1;
    const exchange = new Attempting({ number: this.#lastNumber, call }, terms, sink, (one) => this.#cancel(one));
    this.#exchanges.set(exchange.number, exchange);
    this.#connection ??= this.#open();
    if (this.#connection.isReady) this.#write(exchange, this.#connection);
    return exchange;
  }

  #open(): Connection {
    const connection: Connection = new Connection(this.#parts, this.#connecting, {
      ready: () => {
        const now = this.#parts.loop.now();
        for (const exchange of this.#exchanges.values()) {
          exchange.openedAt = now;
          this.#write(exchange, connection);
        }
      },
      received: (answer) => {
        const exchange = this.#exchanges.get(answer.exchange);
        this.#exchanges.delete(answer.exchange);
        exchange?.received(answer);
        this.#finish();
      },
      over: (unwritten, written) => {
        this.#connection = null;
        const exchanges = [...this.#exchanges.values()];
        this.#exchanges.clear();
        for (const exchange of exchanges) exchange.fail(exchange.isWritten ? written : unwritten);
      },
    });
    return connection;
  }

  #write(exchange: Attempting, connection: Connection): void {
    exchange.isWritten = true;
    connection.send(exchange.request);
  }

  #cancel(exchange: Attempting): void {
    this.#exchanges.delete(exchange.number);
    if (exchange.isWritten && this.#signalsCancel) {
      this.#connection?.send({ kind: 'cancel', exchange: exchange.number });
    }
    this.#finish();
  }

  #finish(): void {
    if (!this.#isRetired || this.#exchanges.size > 0) return;
    this.#connection?.close();
    this.#connection = null;
  }
}

/** One connection of a pool, and the call that uses it. */
interface Slot {
  connection: Connection | null;
  exchange: Attempting | null;
}

/** A connection for each call; when all are in use, calls wait in order. A cancelled call closes its connection. */
export class PooledWay implements SimulatedWay {
  readonly #parts: WayParts;
  readonly #connecting: Connecting;
  readonly #size: number;
  readonly #slots: Slot[] = [];
  readonly #idle: Slot[] = [];
  #queue: Attempting[] = [];
  #lastNumber = IDENTITY_EXCHANGE;
  #isRetired = false;

  constructor(parts: WayParts, size: number) {
    this.#parts = parts;
    this.#connecting = new Connecting(parts.connectTimeoutMs);
    this.#size = size;
  }

  get stall(): Failure | null {
    return this.#connecting.stall;
  }

  send(request: unknown, terms: Terms, sink: Sink): Exchange {
    return this.#begin(this.#parts.callOf(request), terms, sink);
  }

  ping(terms: Terms, sink: Sink): Exchange {
    return this.#begin(null, terms, sink);
  }

  retire(): void {
    this.#isRetired = true;
    for (const slot of this.#idle) slot.connection?.close();
  }

  close(): void {
    this.#queue = [];
    for (const { connection } of this.#slots) connection?.close();
  }

  #begin(call: number | null, terms: Terms, sink: Sink): Exchange {
    this.#lastNumber += 1;
    const exchange = new Attempting({ number: this.#lastNumber, call }, terms, sink, (one) => this.#cancel(one));
    const slot = this.#idle.pop() ?? this.#grow();
    if (slot === null) this.#queue.push(exchange);
    else this.#give(slot, exchange);
    return exchange;
  }

  #grow(): Slot | null {
    if (this.#slots.length >= this.#size) return null;
    const slot: Slot = { connection: null, exchange: null };
    this.#slots.push(slot);
    return slot;
  }

  #give(slot: Slot, exchange: Attempting): void {
    slot.exchange = exchange;
    if (slot.connection === null) slot.connection = this.#open(slot);
    else if (slot.connection.isReady) this.#write(slot.connection, exchange);
  }

  #open(slot: Slot): Connection {
    const connection: Connection = new Connection(this.#parts, this.#connecting, {
      ready: () => {
        const { exchange } = slot;
        if (exchange === null) return;
        exchange.openedAt = this.#parts.loop.now();
        this.#write(connection, exchange);
      },
      received: (answer) => {
        const { exchange } = slot;
        if (exchange?.number !== answer.exchange) return;
        slot.exchange = null;
        exchange.received(answer);
        this.#free(slot);
      },
      over: (unwritten, written) => {
        const { exchange } = slot;
        slot.connection = null;
        slot.exchange = null;
        // a connection without a call is in the list of idle ones already
        if (exchange === null) return;
        exchange.fail(exchange.isWritten ? written : unwritten);
        this.#free(slot);
      },
    });
    return connection;
  }

  #write(connection: Connection, exchange: Attempting): void {
    exchange.isWritten = true;
    connection.send(exchange.request);
  }

  #free(slot: Slot): void {
    const next = this.#queue.shift();
    if (next !== undefined) return this.#give(slot, next);
    if (this.#isRetired) slot.connection?.close();
    else this.#idle.push(slot);
  }

  /** A call that was not written leaves its connection, which continues to open, to the next one. */
  #cancel(exchange: Attempting): void {
    const slot = this.#slots.find((one) => one.exchange === exchange);
    if (slot === undefined) {
      this.#queue = this.#queue.filter((one) => one !== exchange);
      return;
    }
    slot.exchange = null;
    if (exchange.isWritten) {
      slot.connection?.close();
      slot.connection = null;
    }
    this.#free(slot);
  }
}
