import type { Entry, InstanceTable } from '../instances/instance-table.js';

/**
 * On which hosts an instance is HEALTHY and was proved both ways by this very process. The way to such a host works in both directions,
 * so a refusal there is its own word and no firewall's, and whoever lives there could make itself heard.
 */
export class ProvedHosts {
  readonly #table: Pick<InstanceTable, 'all'>;
  /** Null: to be collected when it is asked for. */
  #hosts: ReadonlySet<string> | null = null;

  constructor(table: Pick<InstanceTable, 'all'>) {
    this.#table = table;
  }

  /** Before each round of decisions: states have changed. Costs nothing until something is asked. */
  renew(): void {
    this.#hosts = null;
  }

  /** Is somebody else proved at each host of an instance that was not heard since this process started? */
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

/** A state that a store brought back is no proof of now: both heartbeats came since. */
const isProvedNow = ({ vitals, heartbeat1, heartbeat2 }: Entry): boolean =>
  vitals.phase === 'HEALTHY' && heartbeat1.lastAt !== null && heartbeat2.lastAt !== null;
