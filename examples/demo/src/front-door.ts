import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { once } from 'node:events';

/** Where others knock, and what an instance behind the door is told to advertise. */
const OUTSIDE = '127.0.0.1';
/** Addresses of this machine alone that are not the outside one: Linux and Windows have the first, macOS the second. */
const INSIDES = ['127.0.0.2', '::1'];
/** A port that somebody else has taken meanwhile is often free again soon. */
const RETRY_MS = 100;

/**
 * A small TCP proxy before one instance: Heartbeat-1 and calls come through it, on the same port but another address of this machine.
 * Shut, it refuses new connections, as a firewall or a wrong rule of a security group does; what is open stays open, and the instance
 * itself still reaches everybody. While nobody lives behind it, it refuses too, as the machine would without it.
 */
export class FrontDoor {
  readonly host = OUTSIDE;
  readonly port: number;
  readonly inside: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #isShut = false;
  #isInhabited = false;
  #isClosed = false;

  /** `inside`: where the instance has to listen. */
  constructor(port: number, inside: string) {
    this.port = port;
    this.inside = inside;
  }

  get isShut(): boolean {
    return this.#isShut;
  }

  /** Refuses new connections until it is opened. */
  shut(): void {
    this.#isShut = true;
    this.#settle();
  }

  open(): void {
    this.#isShut = false;
    this.#settle();
  }

  /** Somebody moves in, or is gone. */
  inhabit(isInhabited: boolean): void {
    this.#isInhabited = isInhabited;
    this.#settle();
  }

  /** For good: what is open is closed too. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#settle();
    for (const socket of this.#sockets) socket.destroy();
  }

  #settle(): void {
    const isOpen = this.#isInhabited && !this.#isShut && !this.#isClosed;
    if (!isOpen) {
      this.#server?.close();
      this.#server = null;
    } else if (this.#server === null) {
      const server = createServer({ allowHalfOpen: true }, (visitor) => this.#lead(visitor));
      server.on('error', () => {
        if (this.#server === server) this.#server = null;
        setTimeout(() => this.#settle(), RETRY_MS).unref();
      });
      this.#server = server.listen(this.port, OUTSIDE);
    }
  }

  #lead(visitor: Socket): void {
    const host = connect({ host: this.inside, port: this.port, allowHalfOpen: true });
    for (const [socket, other] of [
      [visitor, host],
      [host, visitor],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.pipe(other);
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => this.#sockets.delete(socket));
    }
  }
}

/** On a port that is free; null on a machine that has no second address of its own. */
export async function buildFrontDoor(): Promise<FrontDoor | null> {
  for (const inside of INSIDES) {
    const port = await freePort(inside);
    if (port !== null) return new FrontDoor(port, inside);
  }
  return null;
}

/** One that is free on both sides of the door; null where this machine has no such address. */
async function freePort(inside: string): Promise<number | null> {
  const outer = createServer().listen(0, OUTSIDE);
  await once(outer, 'listening');
  const address = outer.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const inner = createServer().listen(port, inside);
  const isFree = await once(inner, 'listening').then(
    () => true,
    () => false,
  );
  inner.close();
  outer.close();
  return isFree ? port : null;
}
