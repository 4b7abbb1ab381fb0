import type { Network } from './network.js';
import type { SimulationView } from './simulation-view.js';
import type { ClientProcess } from './client-process.js';
import type { Machine } from './world.js';

/** Whether a direction works. `unsure`: packets are lost or late, so that both may be observed. */
export type WorkState = 'yes' | 'no' | 'unsure';

/** The state of one direction of one process, and since when (virtual ms). */
export interface Direction {
  works: WorkState;
  since: number;
}

/**
 * The true state of one process: whether Heartbeat-1 reaches its application, and whether its Heartbeat-2 reaches the
 * registry.
 */
export interface DirectionStates {
  readonly inbound: Direction;
  readonly outbound: Direction;
}

/** The true state, which no process in the simulation can know. The registry's own faults are not the instance's. */
export class Truth {
  readonly #simulation: SimulationView;
  readonly #doubts = new Map<ClientProcess, Map<string, number>>();
  readonly #states = new Map<ClientProcess, DirectionStates>();
  /** Since when each process can watch without trouble. */
  readonly #watching = new Map<ClientProcess, number>();

  constructor(simulation: SimulationView) {
    this.#simulation = simulation;
  }

  /** Recomputes the state: something has changed, or time has passed. */
  refresh(): void {
    for (const from of this.#simulation.clients.values()) if (from.place.service === null) this.#recordDoubts(from);
    for (const from of this.#simulation.clients.values()) this.#updateWatching(from);
    for (const client of this.#simulation.known.values()) {
      const state = this.of(client);
      this.#setDirection(state.inbound, this.#inboundState(client));
      this.#setDirection(state.outbound, this.#outboundState(client));
    }
  }

  of(client: ClientProcess): DirectionStates {
    const known = this.#states.get(client);
    if (known !== undefined) return known;
    const { now } = this.#simulation.world;
    const made: DirectionStates = {
      inbound: { works: 'unsure', since: now },
      outbound: { works: 'unsure', since: now },
    };
    this.#states.set(client, made);
    return made;
  }

  /** Whether this direction has worked without a break for `ms`. */
  hasWorked({ works, since }: Direction, ms: number): boolean {
    return works === 'yes' && this.#simulation.world.now - since >= ms;
  }

  /** Since when the registry could know that a direction is dead; Infinity while it is not. */
  deadSince({ works, since }: Direction): number {
    return works === 'no' ? Math.max(since, this.#simulation.registry.listeningSince) : Infinity;
  }

  /** Whether its calls would fail: the process is gone, or the way to it is blocked. */
  isUnreachable(from: ClientProcess, id: string): boolean {
    const to = this.#simulation.known.get(id);
    if (to === undefined || !to.process.isRunning || to.mute.size > 0) return true;
    const { network } = this.#simulation;
    const [here, there] = [from.process.machine, to.process.machine];
    return !isOpen(network, here, there) || network.path(here, there).blocked > 0 || this.#listeningState(to) === 'no';
  }

  /** When a caller last had a reason to doubt an instance: calls failed, or were late. */
  doubtedAt(from: ClientProcess, id: string): number {
    return this.#doubts.get(from)?.get(id) ?? -Infinity;
  }

  /** Whether it can reach the registry, to watch. */
  canWatch({ process }: ClientProcess): boolean {
    const { network, registry } = this.#simulation;
    const [here, there] = [process.machine, registry.machine];
    if (!registry.isListening || registry.deniesStreams(here)) return false;
    return isOpen(network, here, there) && network.path(here, there).blocked === 0;
  }

  /** Since when nothing keeps the registry's changes from it; Infinity while something does. */
  watchesSince(client: ClientProcess): number {
    return Math.max(this.#watching.get(client) ?? Infinity, this.#simulation.registry.listeningSince);
  }

  /** Whether nothing is wrong: every fault is over, and the registry listens. */
  get isCalm(): boolean {
    return this.#simulation.activeFaults === 0 && this.#simulation.registry.isListening;
  }

  /** Since when everything is well; Infinity while it is not. */
  get calmSince(): number {
    return this.isCalm ? Math.max(this.#simulation.changedAt, this.#simulation.registry.listeningSince) : Infinity;
  }

  #recordDoubts(from: ClientProcess): void {
    const doubts = this.#doubts.get(from) ?? new Map<string, number>();
    this.#doubts.set(from, doubts);
    for (const [id, { process }] of this.#simulation.known) {
      const isClear = isClean(this.#simulation.network, from.process.machine, process.machine);
      if (!isClear || this.isUnreachable(from, id)) doubts.set(id, this.#simulation.world.now);
    }
  }

  #updateWatching(client: ClientProcess): void {
    const { network, registry, world } = this.#simulation;
    const [here, there] = [client.process.machine, registry.machine];
    const isWell = client.process.isRunning && this.canWatch(client) && isClean(network, here, there);
    if (!isWell) this.#watching.delete(client);
    else if (!this.#watching.has(client)) this.#watching.set(client, world.now);
  }

  #setDirection(direction: Direction, works: WorkState): void {
    if (direction.works === works) return;
    direction.works = works;
    direction.since = this.#simulation.world.now;
  }

  #inboundState(client: ClientProcess): WorkState {
    const { network, registry } = this.#simulation;
    const [here, there] = [registry.machine, client.process.machine];
    if (!client.process.isRunning || !isOpen(network, here, there) || client.mute.size > 0) return 'no';
    const path = network.path(here, there);
    if (path.blocked > 0 || path.refused > 0) return 'no';
    const listens = this.#listeningState(client);
    if (listens !== 'yes') return listens;
    return isClean(network, here, there) ? 'yes' : 'unsure';
  }

  #outboundState(client: ClientProcess): WorkState {
    const { network, registry } = this.#simulation;
    const [here, there] = [client.process.machine, registry.machine];
    if (!client.process.isRunning || !isOpen(network, here, there)) return 'no';
    if (network.path(here, there).blocked > 0) return 'no';
    return isClean(network, here, there) ? 'yes' : 'unsure';
  }

  /** Whether it is the process that answers at its own address. */
  #listeningState({ process, place }: ClientProcess): WorkState {
    const [first] = place.endpoints.map(({ port }) =>
      this.#simulation.network.listenersAt(process.machine.address, port),
    );
    if (first === undefined || !first.includes(process)) return 'no';
    return first.length > 1 ? 'unsure' : 'yes';
  }
}

function isOpen(network: Network, here: Machine, there: Machine): boolean {
  if (!here.isOn || !there.isOn) return false;
  return here === there || (network.path(here, there).cut === 0 && network.path(there, here).cut === 0);
}

function isClean(network: Network, here: Machine, there: Machine): boolean {
  const paths = [network.path(here, there), network.path(there, here)];
  return paths.every(({ lossRatio, delayMs }) => lossRatio === 0 && delayMs === 0);
}
