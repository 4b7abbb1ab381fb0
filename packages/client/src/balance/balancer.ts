import type { Instance, InstanceId } from '@rollcall/core';
import { arrange } from './arrangement.js';
import type { Arrangement, Preferences, Tier } from './arrangement.js';
import { rankOf } from './nodes/hash.js';
import type { Node } from './nodes/node.js';
import { isSelected } from './nodes/selector.js';
import type { Selector } from './nodes/selector.js';
import type { PickArgs, Picker } from './pickers/picker.js';
import { isSilent, trustMassDoubted, WINDOW_INTERVALS } from './registry-distrust.js';
import { isLifted, tierOf } from './tiers.js';
import type { TierContext } from './tiers.js';

/** The parts of one balancer. */
export interface BalancerParts<N extends Node> {
  readonly picker: Picker;
  readonly standard: Selector;
  readonly maxEjectedRatio: number;
  readonly preferences: Preferences;
  /** The id of the caller: each caller uses another subset. */
  readonly callerId: string;
  /** `stale` is true if the copy of the registry that `update` receives may be outdated. */
  readonly copy: { readonly stale: boolean };
  /** Between two heartbeats of an instance, ms. */
  intervalMs(): number;
  /** Null if the instance has no endpoint for this protocol. */
  create(instance: Instance): N | null;
  /** True if the instance has moved and its node cannot be used. */
  hasMoved(node: N, instance: Instance): boolean;
  retire(node: N): void;
  /** Pings a node to check its identity; the caller then calls `pinged`. */
  ping(node: N): void;
}

/** Why no instance can be called. */
export type NoneReason = 'NO_INSTANCE' | 'NO_ENDPOINT' | 'ALL_EJECTED' | 'OVERLOADED';

/** The rank of a node, for display. */
export interface NodeStatus {
  /** Null: the instance is never called, because of its state or admin state. */
  readonly tier: number | null;
  /** False: outside of the zone or subset, and unused as long as the preferred instances have room. */
  readonly isPreferred: boolean;
}

/** An instance that was HEALTHY and registers again (the registry was restarted) keeps its tier for this many intervals. */
const KEPT_INTERVALS = 2;
/** While no instance can be called, one call per this time is sent as a probe, ms. */
const FORCED_PROBE_MS = 1_000;
const MAX_SELECTIONS = 64;
/** Up to this many removed instances are taken out of the list one by one; more are removed in one pass. */
const REMOVED_ONE_BY_ONE = 8;

/**
 * The instances of one service over one protocol: keeps a node for each through all updates, sorts them into tiers when
 * something changes, and picks from the lowest tier with an available one. A pick filters and allocates nothing.
 */
export class Balancer<N extends Node> {
  readonly #parts: BalancerParts<N>;
  readonly #nodes = new Map<InstanceId, N>();
  readonly #mayEject = (): boolean => this.#hasRoomForEjection();
  /** The values of `#nodes`: iterating over an array is several times faster than over a map. */
  #list: N[] = [];
  #instances: readonly Instance[] = [];
  #isFirst = true;
  #isStale = false;
  /** True if the registry has begun to doubt an instance since the last review. */
  #isDoubted = false;
  #standard: readonly Tier<N>[] = [];
  readonly #selections = new Map<string, readonly Tier<N>[]>();
  #ejected: readonly N[] = [];
  #reviewAt = -Infinity;
  #probeAt = Infinity;
  #forcedAt = -Infinity;
  #forcedTurn = 0;

  constructor(parts: BalancerParts<N>) {
    this.#parts = parts;
  }

  get nodes(): Iterable<N> {
    return this.#list;
  }

  node(id: InstanceId): N | undefined {
    return this.#nodes.get(id);
  }

  /** True if the policy allows calls to this node. */
  isCallable(node: N): boolean {
    return isSelected(node.instance, this.#parts.standard);
  }

  /** Takes over the instances of the catalog. An unchanged instance costs one comparison. */
  update(instances: readonly Instance[], now: number): void {
    const before = this.#instances;
    const gone = new Set<InstanceId>();
    let at = 0;
    for (const instance of instances) {
      if (before[at] === instance) {
        at += 1;
        continue;
      }
      // the catalog keeps its order, so a skipped instance was removed or moved; a moved one comes later and is deleted from the set
      for (let known = before[at]; known !== undefined && known.id !== instance.id; known = before[at]) {
        gone.add(known.id);
        at += 1;
      }
      at += 1;
      gone.delete(instance.id);
      this.#place(instance, now);
    }
    for (; at < before.length; at += 1) gone.add(before[at]?.id ?? '');
    // removing many nodes one by one would search the list for each of them
    if (gone.size > REMOVED_ONE_BY_ONE) this.#list = this.#list.filter(({ id }) => !gone.has(id));
    for (const id of gone) this.#drop(id, gone.size <= REMOVED_ONE_BY_ONE);
    this.#instances = instances;
    this.#isFirst &&= instances.length === 0;
    this.#reviewAt = -Infinity;
  }

  /** Null when no instance can take the call: `whyNone` says why. */
  pick(args: PickArgs): N | null {
    if (args.now >= this.#reviewAt || this.#parts.copy.stale !== this.#isStale) this.#review(args.now);
    args.isProbe = false;
    if (args.now >= this.#probeAt) {
      const probed = this.#probe(args);
      if (probed !== null) return probed;
    }
    const tiers = args.selector === this.#parts.standard ? this.#standard : this.#selection(args.selector, args.now);
    for (const tier of tiers) {
      const node = this.#pickFrom(tier, args) ?? (makeRoom(tier, args.now) ? this.#pickFrom(tier, args) : null);
      if (node !== null) return node;
    }
    return this.#forcedProbe(args);
  }

  /** For display: the rank of each node for an ordinary call. */
  nodeStatuses(now: number): ReadonlyMap<N, NodeStatus> {
    if (now >= this.#reviewAt) this.#review(now);
    const others = new Set<N>();
    for (const tier of this.#standard) for (const node of tier.others?.nodes ?? []) others.add(node);
    const nodeStatuses = new Map<N, NodeStatus>();
    for (const node of this.#list) {
      const tier = this.isCallable(node) ? tierOf(node, this.#tierContext(now)) : null;
      nodeStatuses.set(node, { tier, isPreferred: tier !== null && !others.has(node) });
    }
    return nodeStatuses;
  }

  whyNone(selector: Selector, now: number): NoneReason {
    const selected = this.#instances.filter((instance) => isSelected(instance, selector));
    if (selected.length === 0) return 'NO_INSTANCE';
    const nodes = selected.flatMap(({ id }) => this.#nodes.get(id) ?? []);
    if (nodes.length === 0) return 'NO_ENDPOINT';
    return nodes.some((node) => node.isFull(now)) ? 'OVERLOADED' : 'ALL_EJECTED';
  }

  /** A call was answered, well or with the application's own error. */
  succeeded(node: N, now: number): void {
    if (node.isCalm) return node.countSuccess(now);
    if (isLifted(node, now)) this.#reviewAt = -Infinity;
    const wasEjected = node.breaker.cause !== null;
    const hasChanged = node.breaker.success(now);
    if (hasChanged && node.breaker.cause === null) {
      node.forget();
      node.startSlowly(now);
    }
    if (wasEjected) this.#breakerChanged(hasChanged);
  }

  failed(node: N, now: number): void {
    this.#withdrawTrust(node);
    const hasChanged = node.breaker.failure(now, this.#mayEject);
    if (hasChanged || node.breaker.cause !== null) this.#breakerChanged(hasChanged);
  }

  /** No connection to the node could be made. */
  absent(node: N, now: number): void {
    this.#withdrawTrust(node);
    const hasChanged = node.breaker.connectFailure(now, this.#mayEject);
    if (hasChanged || node.breaker.cause !== null) this.#breakerChanged(hasChanged);
  }

  /** This process sees the same failure as the registry, so the registry is not cut off. */
  #withdrawTrust(node: N): void {
    if (!node.isTrusted) return;
    node.isTrusted = false;
    node.doubtedAt = -Infinity;
    this.#reviewAt = -Infinity;
  }

  /** Ends the probe of a node, with any result; the caller then reports its outcome. */
  endProbe(node: N): void {
    node.breaker.endProbe();
    this.#breakerChanged(false);
  }

  /** Ends a ping: one call that cannot be repeated may now be sent as a probe. The caller reports a failed ping as a failure. */
  pinged(node: N): void {
    node.isPinged = true;
    this.endProbe(node);
  }

  #pickFrom(tier: Tier<N>, args: PickArgs): N | null {
    const { picker } = this.#parts;
    const { preferred, others } = tier;
    if (others === null) return picker.pick(preferred, args);
    // a cause that fails one instance may fail its whole zone: a retry prefers other zones
    if (args.tried !== null) return picker.pick(others, args) ?? picker.pick(preferred, args);
    return picker.pick(preferred, args) ?? picker.pick(others, args);
  }

  #place(instance: Instance, now: number): void {
    const known = this.#nodes.get(instance.id);
    if (known !== undefined && !this.#parts.hasMoved(known, instance)) return this.#follow(known, instance, now);
    if (known !== undefined) this.#drop(known.id, true);
    const node = this.#parts.create(instance);
    if (node === null) return;
    node.rank = rankOf(this.#parts.callerId, instance.id);
    this.#nodes.set(instance.id, node);
    this.#list.push(node);
    if (!this.#isFirst) node.startSlowly(now);
  }

  #follow(node: N, instance: Instance, now: number): void {
    if (node.instance === instance) return;
    const before = node.instance.state;
    const wasKept = before === 'REGISTERING' && now < node.keptUntil;
    node.follow(instance);
    if (!isSilent(instance)) {
      node.isTrusted = false;
      node.doubtedAt = -Infinity;
    } else if (before === 'HEALTHY' || wasKept) {
      node.doubtedAt = now;
      this.#isDoubted = true;
    }
    if (before === instance.state) return;
    if (before === 'HEALTHY' && instance.state === 'REGISTERING') {
      node.keptUntil = now + KEPT_INTERVALS * this.#parts.intervalMs();
    }
    if (instance.state !== 'HEALTHY') return;
    node.keptUntil = -Infinity;
    node.breaker.hint(now);
    if (before === 'REGISTERING' && node.lastSuccessAt === -Infinity) node.startSlowly(now);
  }

  #drop(id: InstanceId, isListed: boolean): void {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    this.#nodes.delete(id);
    if (isListed) this.#list.splice(this.#list.indexOf(node), 1);
    node.retire();
    this.#parts.retire(node);
  }

  #breakerChanged(tiersToo: boolean): void {
    if (tiersToo) this.#reviewAt = -Infinity;
    else this.#probeAt = this.#firstProbe();
  }

  #tierContext(now: number): TierContext {
    return { now, isStale: this.#isStale };
  }

  #review(now: number): void {
    this.#isStale = this.#parts.copy.stale;
    if (this.#isDoubted) trustMassDoubted(this.#list, now, WINDOW_INTERVALS * this.#parts.intervalMs());
    this.#isDoubted = false;
    this.#selections.clear();
    const { tiers, until } = this.#arrange(this.#parts.standard, now);
    this.#standard = tiers;
    this.#reviewAt = until;
    const ejected: N[] = [];
    for (const node of this.#list) {
      if (!node.isCalm && node.breaker.cause !== null && node.instance.admin === 'ENABLED') ejected.push(node);
    }
    this.#ejected = ejected;
    this.#probeAt = this.#firstProbe();
  }

  #selection(selector: Selector, now: number): readonly Tier<N>[] {
    const known = this.#selections.get(selector.key);
    if (known !== undefined) return known;
    if (this.#selections.size >= MAX_SELECTIONS) this.#selections.clear();
    const { tiers, until } = this.#arrange(selector, now);
    this.#selections.set(selector.key, tiers);
    this.#reviewAt = Math.min(this.#reviewAt, until);
    return tiers;
  }

  #arrange(selector: Selector, now: number): Arrangement<N> {
    return arrange(this.#list, selector, this.#parts.preferences, this.#tierContext(now));
  }

  /** A node whose ejection is over gets this call as its probe, if the call is suitable. */
  #probe(args: PickArgs): N | null {
    const { probes } = args;
    if (probes === 'never') return null;
    for (const node of this.#ejected) {
      if (args.now < node.breaker.probeAt || !this.#isProbeFor(node, args)) continue;
      if (probes === 'repeatable' || node.isPinged || node.breaker.cause === 'absent') return this.#take(node, args);
      node.breaker.beginProbe();
      this.#parts.ping(node);
    }
    this.#probeAt = this.#firstProbe();
    return null;
  }

  #forcedProbe(args: PickArgs): N | null {
    const count = this.#ejected.length;
    if (count === 0 || args.now < this.#forcedAt + FORCED_PROBE_MS) return null;
    for (let skipped = 0; skipped < count; skipped += 1) {
      this.#forcedTurn += 1;
      const node = this.#ejected[this.#forcedTurn % count];
      if (node === undefined || node.breaker.probeAt === Infinity || !this.#isProbeFor(node, args)) continue;
      this.#forcedAt = args.now;
      return this.#take(node, args);
    }
    return null;
  }

  /** Considers only nodes that ordinary calls may use: the others are probed by calls that request them and find no instance. */
  #firstProbe(): number {
    let first = Infinity;
    for (const node of this.#ejected) if (this.isCallable(node)) first = Math.min(first, node.breaker.probeAt);
    return first;
  }

  #isProbeFor(node: N, args: PickArgs): boolean {
    return node !== args.tried && node !== args.triedToo && isSelected(node.instance, args.selector);
  }

  #take(node: N, args: PickArgs): N {
    node.isPinged = false;
    node.breaker.beginProbe();
    this.#probeAt = this.#firstProbe();
    args.isProbe = true;
    return node;
  }

  /** At most half of the callable nodes may be ejected, but at least one, and never the last one. */
  #hasRoomForEjection(): boolean {
    let callable = 0;
    let ejected = 0;
    for (const node of this.#list) {
      if (!this.isCallable(node)) continue;
      callable += 1;
      if (node.breaker.cause !== null) ejected += 1;
    }
    const max = Math.max(1, Math.floor(callable * this.#parts.maxEjectedRatio));
    return ejected < max && ejected + 1 < callable;
  }
}

/** All nodes of a tier are full: raises their estimated limits before a worse tier, or none, is used. */
function makeRoom(tier: Tier<Node>, now: number): boolean {
  let hasRoom = false;
  for (const node of tier.preferred.nodes) hasRoom = node.makeRoom(now) || hasRoom;
  for (const node of tier.others?.nodes ?? NO_NODES) hasRoom = node.makeRoom(now) || hasRoom;
  return hasRoom;
}

const NO_NODES: readonly Node[] = [];
