import type { Network } from './network.js';
import type { Scene } from './scene.js';
import type { Tenant } from './tenant.js';
import type { Machine } from './world.js';

/** Whether a direction works. `unsure`: packets are lost or late, so that both may be observed. */
export type Works = 'yes' | 'no' | 'unsure';

/** The state of one direction of one process, and since when (virtual ms). */
export interface Direction {
  works: Works;
  since: number;
}

/**
 * The true state of one process: whether Heartbeat-1 reaches its application, and whether its Heartbeat-2 reaches the
 * registry.
 */
export interface Standing {
  readonly inbound: Direction;
  readonly outbound: Direction;
}

/** The true state, which no process in the simulation can know. The registry's own faults are not the instance's. */
export class Truth {
  readonly #scene: Scene;
  readonly #doubts = new Map<Tenant, Map<string, number>>();
  readonly #standings = new Map<Tenant, Standing>();
  /** Since when each process can watch without trouble. */
  readonly #watching = new Map<Tenant, number>();

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** Recomputes the state: something has changed, or time has passed. */
  refresh(): void {
    for (const from of this.#scene.tenants.values()) if (from.place.service === null) this.#doubt(from);
    for (const from of this.#scene.tenants.values()) this.#watch(from);
    for (const tenant of this.#scene.known.values()) {
      const standing = this.of(tenant);
      this.#turn(standing.inbound, this.#inbound(tenant));
      this.#turn(standing.outbound, this.#outbound(tenant));
    }
  }

  of(tenant: Tenant): Standing {
    const known = this.#standings.get(tenant);
    if (known !== undefined) return known;
    const { now } = this.#scene.world;
    const made: Standing = { inbound: { works: 'unsure', since: now }, outbound: { works: 'unsure', since: now } };
    this.#standings.set(tenant, made);
    return made;
  }

  /** Whether this direction has worked without a break for `ms`. */
  hasWorked({ works, since }: Direction, ms: number): boolean {
    return works === 'yes' && this.#scene.world.now - since >= ms;
  }

  /** Since when the registry could know that a direction is dead; Infinity while it is not. */
  deadSince({ works, since }: Direction): number {
    return works === 'no' ? Math.max(since, this.#scene.registry.listeningSince) : Infinity;
  }

  /** Whether its calls would fail: the process is gone, or the way to it is blocked. */
  isUnreachable(from: Tenant, id: string): boolean {
    const to = this.#scene.known.get(id);
    if (to === undefined || !to.process.isRunning || to.mute.size > 0) return true;
    const { network } = this.#scene;
    const [here, there] = [from.process.machine, to.process.machine];
    return !isOpen(network, here, there) || network.way(here, there).blocked > 0 || this.#listens(to) === 'no';
  }

  /** When a caller last had a reason to doubt an instance: calls failed, or were late. */
  doubtedAt(from: Tenant, id: string): number {
    return this.#doubts.get(from)?.get(id) ?? -Infinity;
  }

  /** Whether it can reach the registry, to watch. */
  canWatch({ process }: Tenant): boolean {
    const { network, registry } = this.#scene;
    const [here, there] = [process.machine, registry.machine];
    if (!registry.isListening || registry.deniesStreams(here)) return false;
    return isOpen(network, here, there) && network.way(here, there).blocked === 0;
  }

  /** Since when nothing keeps the registry's changes from it; Infinity while something does. */
  watchesSince(tenant: Tenant): number {
    return Math.max(this.#watching.get(tenant) ?? Infinity, this.#scene.registry.listeningSince);
  }

  /** Whether nothing is wrong: every fault is over, and the registry listens. */
  get isCalm(): boolean {
    return this.#scene.activeFaults === 0 && this.#scene.registry.isListening;
  }

  /** Since when everything is well; Infinity while it is not. */
  get calmSince(): number {
    return this.isCalm ? Math.max(this.#scene.changedAt, this.#scene.registry.listeningSince) : Infinity;
  }

  #doubt(from: Tenant): void {
    const doubts = this.#doubts.get(from) ?? new Map<string, number>();
    this.#doubts.set(from, doubts);
    for (const [id, { process }] of this.#scene.known) {
      const isClear = isClean(this.#scene.network, from.process.machine, process.machine);
      if (!isClear || this.isUnreachable(from, id)) doubts.set(id, this.#scene.world.now);
    }
  }

  #watch(tenant: Tenant): void {
    const { network, registry, world } = this.#scene;
    const [here, there] = [tenant.process.machine, registry.machine];
    const isWell = tenant.process.isRunning && this.canWatch(tenant) && isClean(network, here, there);
    if (!isWell) this.#watching.delete(tenant);
    else if (!this.#watching.has(tenant)) this.#watching.set(tenant, world.now);
  }

  #turn(direction: Direction, works: Works): void {
    if (direction.works === works) return;
    direction.works = works;
    direction.since = this.#scene.world.now;
  }

  #inbound(tenant: Tenant): Works {
    const { network, registry } = this.#scene;
    const [here, there] = [registry.machine, tenant.process.machine];
    if (!tenant.process.isRunning || !isOpen(network, here, there) || tenant.mute.size > 0) return 'no';
    const way = network.way(here, there);
    if (way.blocked > 0 || way.refused > 0) return 'no';
    const listens = this.#listens(tenant);
    if (listens !== 'yes') return listens;
    return isClean(network, here, there) ? 'yes' : 'unsure';
  }

  #outbound(tenant: Tenant): Works {
    const { network, registry } = this.#scene;
    const [here, there] = [tenant.process.machine, registry.machine];
    if (!tenant.process.isRunning || !isOpen(network, here, there)) return 'no';
    if (network.way(here, there).blocked > 0) return 'no';
    return isClean(network, here, there) ? 'yes' : 'unsure';
  }

  /** Whether it is the process that answers at its own address. */
  #listens({ process, place }: Tenant): Works {
    const [first] = place.endpoints.map(({ port }) => this.#scene.network.listenersAt(process.machine.address, port));
    if (first === undefined || !first.includes(process)) return 'no';
    return first.length > 1 ? 'unsure' : 'yes';
  }
}

function isOpen(network: Network, here: Machine, there: Machine): boolean {
  if (!here.isOn || !there.isOn) return false;
  return here === there || (network.way(here, there).cut === 0 && network.way(there, here).cut === 0);
}

function isClean(network: Network, here: Machine, there: Machine): boolean {
  const ways = [network.way(here, there), network.way(there, here)];
  return ways.every(({ lossRatio, delayMs }) => lossRatio === 0 && delayMs === 0);
}
