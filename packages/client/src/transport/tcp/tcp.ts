import { AsyncResource } from 'node:async_hooks';
import type { Protocol, Time } from '@rollcall/core';
import { Connecting, pooled } from '../connecting.js';
import { hasIdentity } from '../identity.js';
import { TlsConnector } from '../tls.js';
import { failed, STOPPED } from '../transport.js';
import type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from '../transport.js';
import type { TcpCodecs } from './codec.js';
import { TcpConnection } from './connection.js';
import type { TcpOptions } from './connection.js';
import { codedIdentityRequest, IDENTITY_REQUEST } from './message.js';
import type { TcpRequest } from './message.js';

/**
 * A client for Nest's TCP transport and unmodified Nest servers: the same frames, with a connection pool for each instance, without delay
 * (Nagle's algorithm makes a burst of three calls take 44 ms), keep-alive, a connect timeout, and the identity of the peer checked once
 * when a connection opens. All requests of one turn are written at once.
 */
export class TcpTransport implements Transport<TcpRequest> {
  readonly protocol: Protocol = 'tcp';
  readonly #time: Time;
  readonly #options: TcpOptions;
  readonly #secure: TlsConnector;
  readonly #codecs: TcpCodecs;
  readonly #channels = new Set<TcpChannel>();
  /** Connections are opened in this context, so that none keeps the AsyncLocalStorage of the call that needed it first. */
  readonly #home = new AsyncResource('rollcall.tcp');
  #isClosed = false;

  /** `codecs` may change: a channel uses the codec that is set when it is opened. */
  constructor(time: Time, options: TcpOptions, secure = new TlsConnector(), codecs: TcpCodecs = new Map()) {
    this.#time = time;
    this.#options = options;
    this.#secure = secure;
    this.#codecs = codecs;
  }

  get connectTimeoutMs(): number {
    return this.#options.connectTimeoutMs;
  }

  prepare(): null {
    return null;
  }

  channel(target: Target): Channel<TcpRequest> {
    const codec = this.#codecs.get(target.instance.service);
    const connecting = new Connecting(this.#options.connectTimeoutMs);
    const opened = (connection: TcpConnection): void => channel.opened(connection);
    const late = (): void => channel.late();
    const shared = { options: this.#options, time: this.#time, secure: this.#secure };
    const parts = { target, ...shared, connecting, codec, opened, late };
    const channel = new TcpChannel({
      connecting,
      size: this.#options.connections,
      identity: codec === undefined || hasIdentity(target) ? IDENTITY_REQUEST : codedIdentityRequest(codec),
      open: () => this.#home.runInAsyncScope(() => new TcpConnection(parts)),
      onRetired: () => this.#channels.delete(channel),
    });
    this.#channels.add(channel);
    if (this.#isClosed) void channel.close();
    return channel;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#channels].map((channel) => channel.close()));
  }
}

interface ChannelParts {
  readonly connecting: Connecting;
  /** The maximum number of connections, not counting late ones. */
  readonly size: number;
  /** The request for the identity of the instance. */
  readonly identity: TcpRequest;
  open(): TcpConnection;
  onRetired(): void;
}

/** The pooled connections to one instance. They are opened only when a call needs one. */
class TcpChannel implements Channel<TcpRequest> {
  readonly #parts: ChannelParts;
  readonly #connections: TcpConnection[] = [];
  #isClosed = false;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
  }

  get stall(): Failure | null {
    return this.#parts.connecting.stall;
  }

  send(request: TcpRequest, terms: Terms, sink: Sink): Exchange {
    return this.#isClosed ? failed(STOPPED, sink) : this.#connection().send(request, terms, sink);
  }

  ping(terms: Terms, sink: Sink): Exchange {
    return this.send(this.#parts.identity, terms, sink);
  }

  /** A lost packet is repeated only after seconds: a new connection may be faster. */
  late(): void {
    if (!this.#isClosed && pooled(this.#connections, this.#parts.size) === null) this.#opening();
  }

  opened(connection: TcpConnection): void {
    for (const other of this.#connections) if (other !== connection) other.release();
  }

  retire(): void {
    this.#parts.onRetired();
    for (const connection of this.#connections) connection.retire();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#parts.onRetired();
    await Promise.all(this.#connections.map((connection) => connection.stop()));
  }

  #connection(): TcpConnection {
    return pooled(this.#connections, this.#parts.size) ?? this.#opening();
  }

  #opening(): TcpConnection {
    const connection = this.#parts.open();
    this.#connections.push(connection);
    return connection;
  }
}
