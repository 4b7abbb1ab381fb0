import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { once } from 'node:events';

/** The address for others, which an instance behind the proxy advertises. */
const OUTSIDE = '127.0.0.1';
/** Loopback addresses other than the outside one: Linux and Windows have the first, macOS the second. */
const INSIDES = ['127.0.0.2', '::1'];
/** A port that another process has taken meanwhile is often free again soon. */
const RETRY_MS = 100;

/**
 * A small TCP proxy in front of one instance: Heartbeat-1 and calls pass it, on the same port but another address of
 * this machine. Shut, it refuses new connections, as a firewall or a wrong rule of a security group does; open
 * connections stay, and the instance itself still reaches all others. Without an instance behind it, it refuses too, as
 * the machine would without the proxy.
 */
export class PartitionProxy {
  readonly host = OUTSIDE;
  readonly port: number;
  readonly inside: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #isShut = false;
  #isRunning = false;
  #isClosed = false;

  /** `inside`: the address on which the instance has to listen. */
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

  /** The instance behind the proxy has started, or is gone. */
  setRunning(isRunning: boolean): void {
    this.#isRunning = isRunning;
    this.#settle();
  }

  /** Final: closes open connections too. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#settle();
    for (const socket of this.#sockets) socket.destroy();
  }

  #settle(): void {
    const isOpen = this.#isRunning && !this.#isShut && !this.#isClosed;
    if (!isOpen) {
      this.#server?.close();
      this.#server = null;
    } else if (this.#server === null) {
      const server = createServer({ allowHalfOpen: true }, (visitor) => this.#forward(visitor));
      server.on('error', () => {
        if (this.#server === server) this.#server = null;
        setTimeout(() => this.#settle(), RETRY_MS).unref();
      });
      this.#server = server.listen(this.port, OUTSIDE);
    }
  }

  #forward(visitor: Socket): void {
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

/** On a free port; null on a machine without a second loopback address. */
export async function openPartitionProxy(): Promise<PartitionProxy | null> {
  for (const inside of INSIDES) {
    const port = await freePort(inside);
    if (port !== null) return new PartitionProxy(port, inside);
  }
  return null;
}

/** A port that is free on both addresses; null where this machine has no such address. */
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
