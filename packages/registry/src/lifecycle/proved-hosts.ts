import type { Entry, InstanceTable } from '../instances/instance-table.js';

/**
 * The hosts with an instance that is HEALTHY and that this process proved in both directions. The path to such a host
 * works both ways, so a refused connection there comes from the host and not from a firewall, and a live instance there
 * could reach the registry.
 */
export class ProvedHosts {
  readonly #table: Pick<InstanceTable, 'all'>;
  /** Null: collected at the next use. */
  #hosts: ReadonlySet<string> | null = null;

  constructor(table: Pick<InstanceTable, 'all'>) {
    this.#table = table;
  }

  /** Discards the cached hosts; called before each round of decisions, as states have changed. */
  invalidate(): void {
    this.#hosts = null;
  }

  /** True if every host of this instance, from which this process received no heartbeat, has a proved instance. */
  include({ targets }: Entry): boolean {
    this.#hosts ??= this.#collect();
    const hosts = this.#hosts;
    return targets.length > 0 && targets.every(({ host }) => hosts.has(host));
  }

  #collect(): ReadonlySet<string> {
    const hosts = new Set<string>();
    for (const entry of this.#table.all()) {
      if (isProvedNow(entry)) for (const { host } of entry.targets) hosts.add(host);
    }
    return hosts;
  }
}

/** Both heartbeats came since the start: a restored state alone proves nothing. */
const isProvedNow = ({ vitals, heartbeat1, heartbeat2 }: Entry): boolean =>
  vitals.phase === 'HEALTHY' && heartbeat1.lastAt !== null && heartbeat2.lastAt !== null;
