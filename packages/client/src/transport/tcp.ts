import { AsyncResource } from 'node:async_hooks';
import type { Protocol, Time } from '@rollcall/core';
import { TcpConnection } from './tcp-connection.js';
import type { TcpOptions } from './tcp-connection.js';
import { IDENTITY_REQUEST } from './tcp-message.js';
import type { TcpRequest } from './tcp-message.js';
import { SecureWay } from './secure.js';
import { failed, STOPPED } from './transport.js';
import type { Channel, Exchange, Sink, Target, Terms, Transport } from './transport.js';

/**
 * Nest's TCP transport from the client's side, to unmodified Nest servers: the same frames on connections that are pooled for each
 * instance, with no delay (Nagle's algorithm makes a burst of three calls take 44 ms), keep-alive, a connect timeout, and the
 * peer's identity checked once when a connection opens. All that is sent within one turn is written at once.
 */
export class TcpTransport implements Transport<TcpRequest> {
  readonly protocol: Protocol = 'tcp';
  readonly #time: Time;
  readonly #options: TcpOptions;
  readonly #secure: SecureWay;
  readonly #channels = new Set<TcpChannel>();
  /** Connections are opened here, so that none keeps the AsyncLocalStorage of the call that happened to need it. */
  readonly #home = new AsyncResource('rollcall.tcp');
  #isClosed = false;

  constructor(time: Time, options: TcpOptions, secure = new SecureWay()) {
    this.#time = time;
    this.#options = options;
    this.#secure = secure;
  }

  prepare(): null {
    return null;
  }

  channel(target: Target): Channel<TcpRequest> {
    const open = (): TcpConnection =>
      this.#home.runInAsyncScope(() => new TcpConnection(target, this.#options, this.#time, this.#secure));
    const channel = new TcpChannel(open, this.#options.connections, () => this.#channels.delete(channel));
    this.#channels.add(channel);
    if (this.#isClosed) void channel.close();
    return channel;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#channels].map((channel) => channel.close()));
  }
}

/** The pooled connections to one instance. Opened when a call needs one, never by themselves. */
class TcpChannel implements Channel<TcpRequest> {
  readonly #open: () => TcpConnection;
  readonly #size: number;
  readonly #onRetired: () => void;
  readonly #connections: TcpConnection[] = [];
  #isClosed = false;

  constructor(open: () => TcpConnection, size: number, onRetired: () => void) {
    this.#open = open;
    this.#size = size;
    this.#onRetired = onRetired;
  }

  send(request: TcpRequest, terms: Terms, sink: Sink): Exchange {
    return this.#isClosed ? failed(STOPPED, sink) : this.#connection().send(request, terms, sink);
  }

  ping(terms: Terms, sink: Sink): Exchange {
    return this.send(IDENTITY_REQUEST, terms, sink);
  }

  retire(): void {
    this.#onRetired();
    for (const connection of this.#connections) connection.retire();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#onRetired();
    await Promise.all(this.#connections.map((connection) => connection.stop()));
  }

  /** The one with the fewest calls; a new one as long as there are fewer than allowed and all are busy. */
  #connection(): TcpConnection {
    let best: TcpConnection | null = null;
    for (let i = this.#connections.length - 1; i >= 0; i -= 1) {
      const connection = this.#connections[i];
      if (connection === undefined) continue;
      if (connection.isOver) this.#connections.splice(i, 1);
      else if (best === null || connection.pending < best.pending) best = connection;
    }
    if (best !== null && (best.pending === 0 || this.#connections.length >= this.#size)) return best;
    const connection = this.#open();
    this.#connections.push(connection);
    return connection;
  }
}
