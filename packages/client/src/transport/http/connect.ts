import type { Socket } from 'node:net';
import { addressOf } from '@rollcall/core';
import type { Time, Timer } from '@rollcall/core';
import { GIVE_UP_MS, MAX_LATE_CONNECTIONS } from '../connecting.js';
import type { Connecting } from '../connecting.js';
import { hasIdentity } from '../identity.js';
import { connectFailure } from '../transport.js';
import type { Failure, Target } from '../transport.js';
import { askIdentity } from './identity.js';

export interface HttpConnectParts {
  readonly target: Target;
  readonly connecting: Connecting;
  readonly time: Time;
  /** Starts to open a socket. */
  open(): Socket;
}

type Done = (result: { readonly socket: Socket } | { readonly failure: Failure }) => void;

/**
 * Opens one usable connection: connected, and the identity of its peer checked. While it is late, further sockets are tried in parallel,
 * since a lost packet is repeated only after seconds; the first usable one wins. Calls `done` once.
 */
export function openHttp(parts: HttpConnectParts, done: Done): void {
  new HttpConnect(parts, done).start();
}

class HttpConnect {
  readonly #parts: HttpConnectParts;
  readonly #done: Done;
  readonly #startedAt: number;
  readonly #sockets = new Set<Socket>();
  #timer: Timer;
  #isOver = false;

  constructor(parts: HttpConnectParts, done: Done) {
    this.#parts = parts;
    this.#done = done;
    this.#startedAt = parts.time.now();
    this.#timer = parts.time.setTimer(parts.connecting.patienceMs, () => this.#late());
  }

  start(): void {
    this.#try();
  }

  #try(): void {
    const { target } = this.#parts;
    const socket = this.#parts.open();
    this.#sockets.add(socket);
    let cause: unknown = null;
    const closed = (): void => this.#failed(socket, connectFailure(cause));
    socket.on('close', closed);
    socket.on('error', (error) => {
      cause ??= error;
    });
    socket.once(target.endpoint.tls ? 'secureConnect' : 'connect', () => {
      socket.off('close', closed);
      if (!hasIdentity(target)) return this.#succeeded(socket);
      askIdentity(socket, target, (failure) => {
        if (failure === null) this.#succeeded(socket);
        else this.#failed(socket, failure);
      });
    });
  }

  #late(): void {
    const { connecting, target, time } = this.#parts;
    const now = time.now();
    const ms = now - this.#startedAt;
    if (ms >= GIVE_UP_MS) return this.#end({ failure: connecting.stall ?? connectFailure(null) });
    connecting.late(`${addressOf(target.endpoint)} gave no usable connection`, ms, now);
    const nextMs = Math.min(connecting.patienceMs, GIVE_UP_MS - ms);
    this.#timer = time.setTimer(nextMs, () => this.#late(), { background: true });
    if (this.#sockets.size < MAX_LATE_CONNECTIONS) this.#try();
  }

  #succeeded(socket: Socket): void {
    if (this.#isOver) return;
    this.#sockets.delete(socket);
    this.#parts.connecting.opened(this.#parts.time.now() - this.#startedAt);
    this.#end({ socket });
  }

  /** A refused connection or another process at the address is certain; after other failures another socket may still succeed. */
  #failed(socket: Socket, failure: Failure): void {
    this.#sockets.delete(socket);
    socket.destroy();
    const isCertain = failure.kind === 'refused' || failure.kind === 'misdirected';
    if (isCertain || this.#sockets.size === 0) this.#end({ failure });
  }

  #end(result: Parameters<Done>[0]): void {
    // the identity check may report the end of a socket that was too late
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer.cancel();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#done(result);
  }
}
