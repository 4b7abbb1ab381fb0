/** The subset of Node's HTTP and HTTPS agents that this file uses. */
interface Agent {
  maxFreeSockets: number;
  readonly freeSockets: Readonly<Record<string, readonly { destroy(): unknown }[] | undefined>>;
}

interface AgentOptions {
  readonly keepAlive: true;
  readonly maxSockets: 1;
}

/**
 * A connection that consecutive requests share. The first request opens it, as does the next request after it was closed; concurrent
 * requests wait for each other. An idle connection does not keep the process alive.
 */
export class KeptConnection<Agents extends Agent> {
  readonly #open: (options: AgentOptions) => Agents;
  #agent: Agents;

  /** `open` creates an agent with these options. */
  constructor(open: (options: AgentOptions) => Agents) {
    this.#open = open;
    this.#agent = open({ keepAlive: true, maxSockets: 1 });
  }

  /** The agent for a request over this connection. */
  get agent(): Agents {
    return this.#agent;
  }

  /** Closes the connection: at once if it is idle, otherwise after its answer. The next request opens another one. */
  releaseConnection(): void {
    const { freeSockets } = this.#agent;
    this.#agent.maxFreeSockets = 0;
    this.#agent = this.#open({ keepAlive: true, maxSockets: 1 });
    for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }
}
