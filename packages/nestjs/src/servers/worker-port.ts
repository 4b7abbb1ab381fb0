import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { messageOf } from '@rollcall/core';
import type { BoundEndpoint, ServerHost } from './server-adapter.js';

/** A listening server and its address. */
export interface Bound {
  readonly server: NetServer;
  readonly endpoint: BoundEndpoint;
}

/**
 * The address at which the registry and callers by name reach a server of this very process. Workers of node:cluster
 * share the ports they listen on: a connection goes to any of them, and port 0 is one port for all. So a worker opens a
 * port of its own for each of its servers, which handles those connections like all others; the shared port stays open
 * for everyone else.
 */
export class Reach {
  readonly #name: string;
  readonly #serverHost: ServerHost;
  #endpoint: BoundEndpoint | null = null;
  #isOpen = false;
  #opening: Promise<void> | null = null;

  /** `name` is that of the server, for messages. */
  constructor(name: string, serverHost: ServerHost) {
    this.#name = name;
    this.#serverHost = serverHost;
  }

  /** True if it listens, at a port of its own if it needs one. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Null while it does not listen, and for a server without connections. */
  get endpoint(): BoundEndpoint | null {
    return this.#isOpen ? this.#endpoint : null;
  }

  /** While a port of its own is being opened: resolves when that is done, and never rejects. Else null. */
  get opening(): Promise<void> | null {
    return this.#opening;
  }

  /**
   * The server listens. `bound`: null for a server without connections; `isShared`: other processes accept connections
   * at that address.
   */
  open(bound: Bound | null, isShared: boolean): void {
    if (bound === null || !isShared) return this.#opened(bound?.endpoint ?? null);
    this.#opening = this.#openOwn(bound)
      .catch((error: unknown) => this.#complain(bound.endpoint.port, error))
      .finally(() => (this.#opening = null));
  }

  close(): void {
    this.#isOpen = false;
  }

  #opened(endpoint: BoundEndpoint | null): void {
    this.#endpoint = endpoint;
    this.#isOpen = true;
    this.#serverHost.opened();
  }

  #complain(port: number, error: unknown): void {
    this.#serverHost.log.error(
      `Not registered: other processes share port ${port} of the ${this.#name} server, and no port of its own could be opened ` +
        `for this one: ${messageOf(error)}. Free a port, or start each process without node:cluster and with a port of its own.`,
    );
  }

  async #openOwn({ server, endpoint }: Bound): Promise<void> {
    const own = await openWorkerPort(server, endpoint.host);
    const close = server.close.bind(server);
    // `cluster.worker.disconnect()` closes the server without notice to the application
    server.close = (callback) => {
      void this.#serverHost.drain().then(() => own.close());
      return close(callback);
    };
    this.#serverHost.log.info(
      `Workers share port ${endpoint.port} of the ${this.#name} server, so this one opened ${own.port} too, where it is called by name.`,
    );
    this.#opened({ ...endpoint, port: own.port });
  }
}

interface WorkerPort {
  readonly port: number;
  /** Closes the port and its connections, once what was written to them is sent. */
  close(): void;
}

/** Opens any free port, unshared, whose connections `server` gets. Rejects if none can be opened. */
async function openWorkerPort(server: NetServer, host: string): Promise<WorkerPort> {
  const sockets = new Set<Socket>();
  const allowHalfOpen = Reflect.get(server, 'allowHalfOpen') === true; // HTTP servers want it
  const own = createServer({ allowHalfOpen, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    server.emit('connection', socket);
  });
  own.listen({ host, port: 0, exclusive: true });
  await once(own, 'listening');
  own.on('error', () => {}); // of one connection that could not be accepted
  const { port } = own.address() as AddressInfo; // it listens on a port
  return {
    port,
    close: () => {
      own.close();
      for (const socket of sockets) socket.destroySoon();
    },
  };
}
