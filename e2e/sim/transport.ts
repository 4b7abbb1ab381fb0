import { identityFailure, STOPPED } from '@rollcall/client/testing';
import type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from '@rollcall/client/testing';
import type { InstanceId, Protocol, Timer } from '@rollcall/core';
import type { End, Network } from './network.js';
import type { Process } from './world.js';

/** A request for one instance and no other. */
export interface AddressedRequest {
  readonly call: number;
  readonly meant: InstanceId;
  /** Virtual ms. */
  readonly sentAt: number;
}

/** What a caller sends to an instance: an identity check, or a request. */
export type Question = { readonly identity: true } | AddressedRequest;

/** The response. */
export type Answer = { readonly instance: InstanceId } | { readonly done: number; readonly by: InstanceId };

/** For the connection and the identity check, as in TcpTransport by default. */
const CONNECT_TIMEOUT_MS = 1_000;

/** Calls over the simulated network: one connection to each instance, its identity checked once, when it opens. */
export class NetworkTransport<Request> implements Transport<Request> {
  readonly protocol: Protocol;
  readonly #network: Network;
  readonly #process: Process;
  readonly #check: typeof identityFailure;
  readonly #connections = new Set<Connection>();
  #isClosed = false;

  constructor(network: Network, process: Process, protocol: Protocol, check: typeof identityFailure) {
    this.#network = network;
    this.#process = process;
    this.protocol = protocol;
    this.#check = check;
  }

  prepare(): null {
    return null;
  }

  channel(target: Target): Channel<Request> {
    let connection: Connection | null = null;
    const open = (): Connection => {
      if (connection === null || connection.isOver) {
        connection = new Connection(this.#network, this.#process, target, this.#check);
        this.#connections.add(connection);
      }
      return connection;
    };
    const send = (sink: Sink): Exchange =>
      this.#isClosed ? createFailedExchange(this.#process, sink) : open().send(sink);
    return {
      send: (_request: Request, _terms: Terms, sink: Sink) => send(sink),
      ping: (_terms: Terms, sink: Sink) => send(sink),
      retire: () => connection?.retire(),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.end(STOPPED, STOPPED);
  }
}

function createFailedExchange(process: Process, sink: Sink): Exchange {
  const timer = process.setTimer(0, () => sink.fail(STOPPED));
  return { openedAt: null, cancel: () => timer.cancel() };
}

interface Waiting {
  readonly sink: Sink;
  openedAt: number | null;
  isSent: boolean;
}

/** One connection, from the first request on. */
class Connection {
  isOver = false;
  readonly #network: Network;
  readonly #process: Process;
  readonly #target: Target;
  readonly #check: typeof identityFailure;
  readonly #giveUp: () => void;
  readonly #timer: Timer;
  readonly #waiting = new Map<number, Waiting>();
  #end: End | null = null;
  #isReady = false;
  #isRetired = false;
  #count = 0;

  constructor(network: Network, process: Process, target: Target, check: typeof identityFailure) {
    this.#network = network;
    this.#process = process;
    this.#target = target;
    this.#check = check;
    const late: Failure = { kind: 'unreachable', cause: new Error('no connection, or no identity, in time') };
    this.#timer = process.setTimer(CONNECT_TIMEOUT_MS, () => this.end(late, late));
    const { host, port } = target.endpoint;
    this.#giveUp = network.connect(process, host, port, {
      opened: (end) => this.#opened(end),
      failed: (isRefused, text) => {
        const failure: Failure = { kind: isRefused ? 'refused' : 'unreachable', cause: new Error(text) };
        this.end(failure, failure);
      },
    });
  }

  send(sink: Sink): Exchange {
    this.#count += 1;
    const number = this.#count;
    const waiting: Waiting = { sink, openedAt: null, isSent: false };
    this.#waiting.set(number, waiting);
    if (this.#isReady) this.#write(number, waiting);
    return {
      get openedAt() {
        return waiting.openedAt;
      },
      cancel: () => this.#settle(number),
    };
  }

  retire(): void {
    this.#isRetired = true;
    if (this.#waiting.size === 0) this.end(STOPPED, STOPPED);
  }

  /** Fails the requests that were written, and those that were not. */
  end(sent: Failure, unsent: Failure): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#timer.cancel();
    this.#giveUp();
    this.#end?.close();
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { sink, isSent } of all) sink.fail(isSent ? sent : unsent);
  }

  #opened(end: End): void {
    this.#end = end;
    end.onEnd = () => {
      const cause = new Error('the connection was closed');
      this.end({ kind: 'closed', cause }, { kind: 'unsent', cause });
    };
    end.onMessage = (message) => this.#receive(message as Answer);
    end.send({ identity: true } satisfies Question);
  }

  #receive(answer: Answer): void {
    if ('done' in answer) {
      const waiting = this.#waiting.get(answer.done);
      if (waiting === undefined) return;
      this.#settle(answer.done);
      waiting.sink.next(answer.by);
      waiting.sink.complete();
      return;
    }
    const failure = this.#check(this.#target, answer);
    if (failure !== null) return this.end(failure, failure);
    this.#isReady = true;
    this.#timer.cancel();
    for (const [number, waiting] of this.#waiting) {
      waiting.openedAt = this.#process.now();
      this.#write(number, waiting);
    }
  }

  #write(number: number, waiting: Waiting): void {
    waiting.isSent = true;
    const sentAt = this.#network.world.now;
    this.#end?.send({ call: number, meant: this.#target.instance.id, sentAt } satisfies Question);
  }

  #settle(number: number): void {
    this.#waiting.delete(number);
    if (this.#isRetired && this.#waiting.size === 0) this.end(STOPPED, STOPPED);
  }
}
