import { AsyncResource } from 'node:async_hooks';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { addressOf, HEARTBEAT_PATH } from '@rollcall/core';
import type { Protocol, Time } from '@rollcall/core';
import type { Pool } from 'undici';
import { Connecting } from '../connecting.js';
import { hasIdentity } from '../identity.js';
import { TlsConnector } from '../tls.js';
import { failed, STOPPED } from '../transport.js';
import type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from '../transport.js';
import { openHttp } from './connect.js';
import { ConnectError, HttpExchange } from './exchange.js';
import { headersWith } from './message.js';
import type { HttpRequest } from './message.js';

export interface HttpOptions {
  /** The maximum number of connections to each instance. */
  readonly connections: number;
  /** The time after which a connection that is not open, identity check included, makes its calls use other instances, ms. */
  readonly connectTimeoutMs: number;
  /** Answers up to this size are read completely before the call ends. */
  readonly bufferedBytes: number;
}

/** The used part of undici. */
type Undici = Pick<typeof import('undici'), 'Pool'>;

/** The longest time between two chunks of a body, ms. */
const BODY_IDLE_MS = 30_000;
const KEEP_ALIVE_MS = 10_000;

const IDENTITY_REQUEST: HttpRequest = {
  method: 'POST',
  path: HEARTBEAT_PATH,
  headers: ['content-type', 'application/json'],
  body: '{}',
};

/** HTTP/1.1 through undici, which is loaded when the first request is made, with a pool of connections for each instance. */
export class HttpTransport implements Transport<HttpRequest> {
  readonly protocol: Protocol = 'http';
  readonly #time: Time;
  readonly #options: HttpOptions;
  readonly #secure: TlsConnector;
  readonly #channels = new Set<HttpChannel>();
  /** Connections are opened in this context, so that none keeps the AsyncLocalStorage of the call that needed it first. */
  readonly #home = new AsyncResource('rollcall.http');
  #isClosed = false;
  #undici: Undici | null = null;

  constructor(time: Time, options: HttpOptions, secure = new TlsConnector()) {
    this.#time = time;
    this.#options = options;
    this.#secure = secure;
  }

  get connectTimeoutMs(): number {
    return this.#options.connectTimeoutMs;
  }

  prepare(): Promise<void> | null {
    return this.#undici === null ? this.#load() : null;
  }

  channel(target: Target): Channel<HttpRequest> {
    const connecting = new Connecting(this.#options.connectTimeoutMs);
    const open = (): Pool | null => (this.#undici === null ? null : this.#pool(this.#undici, target, connecting));
    const channel = new HttpChannel(target, {
      open,
      connecting,
      time: this.#time,
      bufferedBytes: this.#options.bufferedBytes,
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

  async #load(): Promise<void> {
    // eslint-disable-next-line no-restricted-imports -- this is the load at first use
    this.#undici = await import('undici');
  }

  #pool(undici: Undici, target: Target, connecting: Connecting): Pool {
    const { endpoint } = target;
    return new undici.Pool(`${endpoint.tls ? 'https' : 'http'}://${addressOf(endpoint)}`, {
      connections: this.#options.connections,
      pipelining: 1,
      headersTimeout: 0, // the call has a deadline
      bodyTimeout: BODY_IDLE_MS,
      connect: (_options, done) => {
        this.#home.runInAsyncScope(() => {
          const open = (): Socket => openSocket(target, this.#secure);
          openHttp({ target, connecting, time: this.#time, open }, (result) => {
            if ('socket' in result) done(null, result.socket);
            else done(new ConnectError(result.failure), null);
          });
        });
      },
    });
  }
}

function openSocket({ endpoint }: Target, secure: TlsConnector): Socket {
  const { host, port } = endpoint;
  const socket = endpoint.tls ? secure.connect(endpoint, 'http/1.1') : connect({ host, port });
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
}

interface ChannelParts {
  readonly time: Time;
  readonly connecting: Connecting;
  readonly bufferedBytes: number;
  /** Null: the library is not loaded yet. */
  open(): Pool | null;
  onRetired(): void;
}

/** The pooled connections to one instance. */
class HttpChannel implements Channel<HttpRequest> {
  readonly #target: Target;
  readonly #parts: ChannelParts;
  #pool: Pool | null = null;
  #isClosed = false;

  constructor(target: Target, parts: ChannelParts) {
    this.#target = target;
    this.#parts = parts;
  }

  get stall(): Failure | null {
    return this.#parts.connecting.stall;
  }

  send(request: HttpRequest, terms: Terms, sink: Sink): Exchange {
    if (this.#isClosed) return failed(STOPPED, sink);
    this.#pool ??= this.#parts.open();
    if (this.#pool === null) return failed(STOPPED, sink);
    const { time, bufferedBytes } = this.#parts;
    const isDirected = hasIdentity(this.#target);
    const exchange = new HttpExchange({ sink, time, bufferedBytes, isDirected });
    exchange.begin(this.#pool, request, headersWith(request, terms, this.#target, isDirected));
    return exchange;
  }

  ping(terms: Terms, sink: Sink): Exchange {
    return this.send(IDENTITY_REQUEST, terms, sink);
  }

  retire(): void {
    this.#parts.onRetired();
    // resolves when the last request is over
    void this.#pool?.close();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#parts.onRetired();
    await this.#pool?.destroy();
  }
}
