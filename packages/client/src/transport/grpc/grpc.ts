import { AsyncResource } from 'node:async_hooks';
import type { Protocol, Time } from '@rollcall/core';
import { Connecting, pooled } from '../connecting.js';
import { TlsConnector } from '../tls.js';
import { failed, STOPPED } from '../transport.js';
import type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from '../transport.js';
import { GrpcConnection } from './connection.js';
import type { GrpcOptions } from './connection.js';
import { identityRequest } from './message.js';
import type { GrpcRequest } from './message.js';

/**
 * A gRPC client on Node's own HTTP/2, with a connection pool for each instance; the identity of the peer is checked once for each
 * connection. It needs no gRPC library: generated code of the application encodes and decodes the messages.
 */
export class GrpcTransport implements Transport<GrpcRequest> {
  readonly protocol: Protocol = 'grpc';
  readonly #time: Time;
  readonly #options: GrpcOptions;
  readonly #secure: TlsConnector;
  readonly #channels = new Set<GrpcChannel>();
  /** Connections are opened in this context, so that none keeps the AsyncLocalStorage of the call that needed it first. */
  readonly #home = new AsyncResource('rollcall.grpc');
  #isClosed = false;

  constructor(time: Time, options: GrpcOptions, secure = new TlsConnector()) {
    this.#time = time;
    this.#options = options;
    this.#secure = secure;
  }

  get connectTimeoutMs(): number {
    return this.#options.connectTimeoutMs;
  }

  prepare(): null {
    return null;
  }

  channel(target: Target): Channel<GrpcRequest> {
    const connecting = new Connecting(this.#options.connectTimeoutMs);
    const opened = (connection: GrpcConnection): void => channel.opened(connection);
    const late = (): void => channel.late();
    const parts = { target, options: this.#options, time: this.#time, secure: this.#secure, connecting, opened, late };
    const channel = new GrpcChannel(target, {
      connecting,
      size: this.#options.connections,
      open: () => this.#home.runInAsyncScope(() => new GrpcConnection(parts)),
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
  open(): GrpcConnection;
  onRetired(): void;
}

/** The pooled connections to one instance. They are opened only when a call needs one. */
class GrpcChannel implements Channel<GrpcRequest> {
  readonly #target: Target;
  readonly #parts: ChannelParts;
  readonly #connections: GrpcConnection[] = [];
  #isClosed = false;

  constructor(target: Target, parts: ChannelParts) {
    this.#target = target;
    this.#parts = parts;
  }

  get stall(): Failure | null {
    return this.#parts.connecting.stall;
  }

  send(request: GrpcRequest, terms: Terms, sink: Sink): Exchange {
    return this.#isClosed ? failed(STOPPED, sink) : this.#connection().send(request, terms, sink);
  }

  ping(terms: Terms, sink: Sink): Exchange {
    return this.send(identityRequest(this.#target.instance.id), terms, sink);
  }

  /** A lost packet is repeated only after seconds: a new connection may be faster. */
  late(): void {
    if (!this.#isClosed && pooled(this.#connections, this.#parts.size) === null) this.#opening();
  }

  opened(connection: GrpcConnection): void {
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

  #connection(): GrpcConnection {
    return pooled(this.#connections, this.#parts.size) ?? this.#opening();
  }

  #opening(): GrpcConnection {
    const connection = this.#parts.open();
    this.#connections.push(connection);
    return connection;
  }
}
