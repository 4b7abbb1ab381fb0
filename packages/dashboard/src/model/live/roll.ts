import { computed, signal } from '@preact/signals';
import type { ReadonlySignal, Signal } from '@preact/signals';
import { countCallable, isCallable, isOutage } from '@rollcall/core';
import type { CallableCount, ChangeFrame, Frame, Instance, ResetFrame, State, StatusFrame } from '@rollcall/core';
import type { Tally } from '../text/instance-text.js';

export type Instances = ReadonlyMap<string, Instance>;

/** The name of a service as it is shown. */
export type NameOf = (namespace: string, name: string) => string;

/** The progress of a whole view. */
export interface Arrival {
  /** Services. */
  readonly received: number;
  /** Null: the registry does not report it. */
  readonly total: number | null;
}

/** One service and its instances. */
export interface ServiceNode {
  /** `<namespace>/<name>`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly instances: Signal<Instances>;
}

/**
 * The registry's whole view, kept up to date by its change feed. Frames of one turn are applied together: each service
 * changes once, however many frames name it.
 */
export class Roll {
  /** The services by name, then namespace; changes only when a service is added or removed. */
  readonly services: Signal<readonly ServiceNode[]> = signal<readonly ServiceNode[]>([]);
  /** The namespaces that have services, sorted. */
  readonly namespaces: ReadonlySignal<readonly string[]> = computed(() =>
    [...new Set(this.services.value.map(({ namespace }) => namespace))].toSorted(),
  );
  /** The name of a service, after its namespace if there are several. */
  readonly nameOf: NameOf = (namespace, name) => (this.namespaces.value.length > 1 ? `${namespace}/${name}` : name);
  readonly status: Signal<StatusFrame> = signal<StatusFrame>({ settled: true });
  readonly revision: Signal<number> = signal(0);
  /** The progress of a view that is not complete: nothing can be counted or judged. Null: it is complete. */
  readonly arrival: Signal<Arrival | null> = signal<Arrival | null>({ received: 0, total: null });
  /** True once it was complete: then an older view is shown while a new one loads. */
  readonly hasLoaded: Signal<boolean> = signal(false);
  readonly #nodes = new Map<string, ServiceNode>();
  readonly #serviceById = new Map<string, ServiceNode>();
  /** Parts of views that are not whole yet. */
  readonly #parts = new Map<string, Instance[]>();
  /** Services that have not been received since a new view began; null: the view was resumed. */
  #unseen: Set<string> | null = null;
  /** Services that have been completely received since a new view began. */
  readonly #arrived = new Set<string>();

  /** Begins a whole new view of `total` services (null: unknown): what it does not name by its end is gone. */
  beginView(total: number | null = null): void {
    this.#arrived.clear();
    this.arrival.value = { received: 0, total };
    this.#unseen = new Set(this.#nodes.keys());
    this.#parts.clear();
  }

  /** Everything requested has arrived, up to this revision. */
  finishView(revision: number): void {
    this.revision.value = revision;
    this.arrival.value = null;
    this.hasLoaded.value = true;
    if (this.#unseen === null) return;
    for (const key of this.#unseen) this.#removeService(key);
    this.#unseen = null;
  }

  apply(frames: readonly Frame[]): void {
    const changed = new Map<string, Map<string, Instance>>();
    for (const frame of frames) this.#applyFrame(frame, changed);
    let hasNewList = false;
    for (const [key, instances] of changed) hasNewList = this.#setInstances(key, instances) || hasNewList;
    if (hasNewList) this.#sortServices();
    this.#updateArrival();
  }

  node(key: string): ServiceNode | undefined {
    return this.#nodes.get(key);
  }

  /** The service that an instance belongs to. */
  serviceOf(id: string): ServiceNode | undefined {
    return this.#serviceById.get(id);
  }

  #applyFrame(frame: Frame, changed: Map<string, Map<string, Instance>>): void {
    switch (frame.event) {
      case 'reset':
        this.#reset(frame.data, changed);
        return;
      case 'change':
        this.#change(frame.data, changed);
        return;
      case 'unknown':
        if (frame.data.service !== '*') changed.set(`${frame.data.namespace}/${frame.data.service}`, new Map());
        return;
      case 'status':
        this.status.value = frame.data;
        return;
      case 'gone':
    }
  }

  #reset(
    { namespace, service, instances, complete, part }: ResetFrame,
    changed: Map<string, Map<string, Instance>>,
  ): void {
    const key = `${namespace}/${service}`;
    const whole = [...(part === 0 ? [] : (this.#parts.get(key) ?? [])), ...instances];
    if (!complete) {
      this.#parts.set(key, whole);
      return;
    }
    this.#parts.delete(key);
    this.#unseen?.delete(key);
    this.#arrived.add(key);
    changed.set(key, new Map(whole.map((instance) => [instance.id, instance])));
  }

  #change({ namespace, service, upsert, remove }: ChangeFrame, changed: Map<string, Map<string, Instance>>): void {
    const key = `${namespace}/${service}`;
    const instances = changed.get(key) ?? new Map(this.#nodes.get(key)?.instances.value);
    changed.set(key, instances);
    for (const instance of upsert) instances.set(instance.id, instance);
    for (const { id, revision } of remove) {
      const known = instances.get(id);
      if (known !== undefined && known.revision <= revision) instances.delete(id);
    }
  }

  /** True if the list of services has changed. */
  #setInstances(key: string, instances: Map<string, Instance>): boolean {
    const known = this.#nodes.get(key);
    if (instances.size === 0) return known !== undefined && this.#removeService(key);
    const node = known ?? nodeOf(key);
    for (const id of node.instances.value.keys()) if (!instances.has(id)) this.#serviceById.delete(id);
    for (const id of instances.keys()) this.#serviceById.set(id, node);
    node.instances.value = instances;
    this.#nodes.set(key, node);
    return known === undefined;
  }

  #removeService(key: string): boolean {
    const node = this.#nodes.get(key);
    if (node === undefined) return false;
    for (const id of node.instances.value.keys()) this.#serviceById.delete(id);
    this.#nodes.delete(key);
    this.#sortServices();
    return true;
  }

  #updateArrival(): void {
    const { arrival } = this;
    const received = this.#arrived.size;
    if (arrival.value === null || arrival.value.received === received) return;
    arrival.value = { received, total: arrival.value.total === null ? null : Math.max(received, arrival.value.total) };
  }

  #sortServices(): void {
    this.services.value = [...this.#nodes.values()].toSorted((a, b) =>
      `${a.name}/${a.namespace}` < `${b.name}/${b.namespace}` ? -1 : 1,
    );
  }
}

function nodeOf(key: string): ServiceNode {
  const slash = key.indexOf('/');
  return { key, namespace: key.slice(0, slash), name: key.slice(slash + 1), instances: signal<Instances>(new Map()) };
}

/** The order of display: worst first. */
export const WORST_FIRST: readonly State[] = ['CRITICAL', 'UNHEALTHY', 'REGISTERING', 'DEREGISTERING', 'HEALTHY'];
const SEVERITY: Readonly<Record<State, number>> = {
  CRITICAL: 0,
  UNHEALTHY: 1,
  REGISTERING: 2,
  DEREGISTERING: 3,
  HEALTHY: 4,
};

export const needsAttention = ({ state }: Pick<Instance, 'state'>): boolean =>
  state === 'CRITICAL' || state === 'UNHEALTHY';
export const isOnTheWay = ({ state }: Pick<Instance, 'state'>): boolean =>
  state === 'REGISTERING' || state === 'DEREGISTERING';

/** Worst state first, then the newest change, then by id: rows keep their places. */
export function byTrouble(a: Instance, b: Instance): number {
  return SEVERITY[a.state] - SEVERITY[b.state] || b.since - a.since || (a.id < b.id ? -1 : 1);
}

/** The state of a service. */
export interface Standing {
  readonly worst: State;
  /** The number of callable instances, and what keeps callers from the others. */
  readonly count: CallableCount;
  /** The callable instances that are not HEALTHY. */
  readonly unwell: Readonly<Record<'UNHEALTHY' | 'REGISTERING', number>>;
}

export function standingOf(instances: Instances): Standing {
  const unwell = { UNHEALTHY: 0, REGISTERING: 0 };
  let worst: State = 'HEALTHY';
  for (const instance of instances.values()) {
    const { state } = instance;
    if ((state === 'UNHEALTHY' || state === 'REGISTERING') && isCallable(instance)) unwell[state] += 1;
    if (SEVERITY[state] < SEVERITY[worst]) worst = state;
  }
  return { worst, count: countCallable(instances.values()), unwell };
}

/** HEALTHY, and not kept away from callers by an operator. */
const healthyOf = ({ count, unwell }: Standing): number => count.callable - unwell.UNHEALTHY - unwell.REGISTERING;

/** No instance of it may be called, or one is UNHEALTHY or CRITICAL. */
export const isTroubled = ({ worst, count }: Standing): boolean => isOutage(count) || needsAttention({ state: worst });

/** The state that gives a service its colour: nothing is worse than no callable instance. */
export const colourOf = ({ worst, count }: Standing): State => (isOutage(count) ? 'CRITICAL' : worst);

/**
 * Services without a callable instance first, then problems, then the lower share of HEALTHY ones; else in their order.
 */
export function servicesByTrouble(nodes: readonly ServiceNode[]): ServiceNode[] {
  const standings = new Map(nodes.map((node) => [node, standingOf(node.instances.value)]));
  const rank = (node: ServiceNode): number => {
    const standing = standings.get(node);
    if (standing === undefined) return 0;
    if (isOutage(standing.count)) return -1;
    return SEVERITY[standing.worst] + healthyOf(standing) / Math.max(1, standing.count.all) / 2;
  };
  return nodes.toSorted((a, b) => rank(a) - rank(b));
}

/** The counts for the verdict. */
export function tallyOf(nodes: readonly ServiceNode[], nameOf: NameOf): Tally {
  const standings = nodes.map(({ namespace, name, instances }) => ({
    name: nameOf(namespace, name),
    ...standingOf(instances.value),
  }));
  return {
    trouble: standings.filter(isTroubled).length,
    all: nodes.length,
    waiting: standings.filter((standing) => healthyOf(standing) === 0).length,
    outages: standings.filter(({ count }) => isOutage(count)).map(({ name, count }) => ({ name, count })),
  };
}

export function countStates(nodes: readonly ServiceNode[]): Record<State, number> {
  const counts: Record<State, number> = { HEALTHY: 0, UNHEALTHY: 0, CRITICAL: 0, REGISTERING: 0, DEREGISTERING: 0 };
  for (const { instances } of nodes) for (const { state } of instances.value.values()) counts[state] += 1;
  return counts;
}
