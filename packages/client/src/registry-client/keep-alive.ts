/** Of Node's agents, of HTTP and of HTTPS, what is needed here. */
interface Agent {
  maxFreeSockets: number;
  readonly freeSockets: Readonly<Record<string, readonly { destroy(): unknown }[] | undefined>>;
}

interface AgentOptions {
  readonly keepAlive: true;
  readonly maxSockets: 1;
}

/**
 * A connection that one request after another goes over. The first opens it, and so does the next one when it was closed
 * meanwhile; two at a time would wait for each other. While idle it keeps no process alive.
 */
export class KeptConnection<Agents extends Agent> {
  readonly #open: (options: AgentOptions) => Agents;
  #agent: Agents;

  /** `open` makes an agent with these options. */
  constructor(open: (options: AgentOptions) => Agents) {
    this.#open = open;
    this.#agent = open({ keepAlive: true, maxSockets: 1 });
  }

  /** What Node sends a request over. */
  get agent(): Agents {
    return this.#agent;
  }

  /** Closes the connection: at once when it is idle, else when its answer is read. The next request opens another. */
  letGo(): void {
    const { freeSockets } = this.#agent;
    this.#agent.maxFreeSockets = 0;
    this.#agent = this.#open({ keepAlive: true, maxSockets: 1 });
    for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }
}
