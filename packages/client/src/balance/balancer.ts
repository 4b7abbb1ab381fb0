import type { Instance, InstanceId, State } from '@rollcall/core';
import type { Node } from './node.js';
import { Candidates, isLifted, TIER_COUNT, tierOf, tierUntil } from './tiers.js';

/** Which instances a call may go to. Two selectors with the same `key` say the same. */
export interface Selector {
  readonly key: string;
  readonly states: readonly State[];
  /** A version, or its first parts (`2` means every 2.x); empty: any. */
  readonly version: string;
}

/** What a pick is made for. The call itself implements it, so that a pick allocates nothing. */
export interface Ask {
  readonly now: number;
  readonly selector: Selector;
  /** Where it failed already. */
  readonly tried: Node | null;
  readonly triedToo: Node | null;
  /** May it find out whether an ejected instance works again? `once`: if that was asked before who it is. Read only when needed. */
  readonly probes: 'repeatable' | 'once' | 'never';
  /** Told by `pick`: this call is the one probe of its node, and `endProbe` has to be called when it is over. */
  isProbe: boolean;
}

/** Which of the nodes of one tier: the axis beside `Load`. May return only a node that is not tried and `admits` the call. */
export interface Picker {
  /** Null if there is no such node, and only then. */
  pick<N extends Node>(candidates: Candidates<N>, ask: Ask): N | null;
}

export interface BalancerParts<N extends Node> {
  readonly picker: Picker;
  readonly standard: Selector;
  readonly maxEjectedRatio: number;
  /** Null if the instance has no endpoint for this protocol. */
  create(instance: Instance): N | null;
  /** Has the instance moved, so that its node is of no use? */
  hasMoved(node: N, instance: Instance): boolean;
  retire(node: N): void;
  /** Asks a node who it is; `pinged` has to follow. */
  ping(node: N): void;
}

export type NoneReason = 'NO_INSTANCE' | 'NO_ENDPOINT' | 'ALL_EJECTED';

/** One that was HEALTHY and registers again (the registry was restarted) keeps its tier so long. */
const KEPT_TIER_MS = 10_000;
/** When nobody can be called, one call in this time finds out whether that is still so. */
const FORCED_PROBE_MS = 1_000;
const MAX_SELECTIONS = 64;

/**
 * The instances of one service over one protocol: keeps a node for each through all updates, sorts them into tiers when something
 * changes, and picks from the lowest tier that has one to offer. A pick filters and allocates nothing.
 */
export class Balancer<N extends Node> {
  readonly #parts: BalancerParts<N>;
  readonly #nodes = new Map<InstanceId, N>();
  #instances: readonly Instance[] = [];
  #isFirst = true;
  #standard: readonly Candidates<N>[] = [];
  readonly #selections = new Map<string, readonly Candidates<N>[]>();
  #ejected: readonly N[] = [];
  #reviewAt = -Infinity;
  #probeAt = Infinity;
  #forcedAt = -Infinity;
  #forcedTurn = 0;

  constructor(parts: BalancerParts<N>) {
    this.#parts = parts;
  }

  get nodes(): Iterable<N> {
    return this.#nodes.values();
  }

  node(id: InstanceId): N | undefined {
    return this.#nodes.get(id);
  }

  /** Does the policy let it be called at all? */
  isCallable(node: N): boolean {
    return isSelected(node.instance, this.#parts.standard);
  }

  /** Takes over what the catalog says. What it does not touch stays as it is, and costs a comparison. */
  update(instances: readonly Instance[], now: number): void {
    const before = this.#instances;
    let mayBeGone = before.length > instances.length;
    for (let i = 0; i < instances.length; i += 1) {
      const instance = instances[i];
      const known = before[i];
      if (instance === undefined || instance === known) continue;
      mayBeGone ||= known !== undefined && known.id !== instance.id;
      this.#place(instance, now);
    }
    this.#instances = instances;
    if (mayBeGone) this.#dropTheGone();
    this.#isFirst &&= instances.length === 0;
    this.#reviewAt = -Infinity;
  }

  /** Null when nobody can take the call: `whyNone` says why. */
  pick(ask: Ask): N | null {
    if (ask.now >= this.#reviewAt) this.#review(ask.now);
    ask.isProbe = false;
    if (ask.now >= this.#probeAt) {
      const probed = this.#probe(ask);
      if (probed !== null) return probed;
    }
    const tiers = ask.selector === this.#parts.standard ? this.#standard : this.#selection(ask.selector, ask.now);
    for (const candidates of tiers) {
      const node = this.#parts.picker.pick(candidates, ask);
      if (node !== null) return node;
    }
    return this.#forcedProbe(ask);
  }

  whyNone(selector: Selector): NoneReason {
    const selected = this.#instances.filter((instance) => isSelected(instance, selector));
    if (selected.length === 0) return 'NO_INSTANCE';
    return selected.some((instance) => this.#nodes.has(instance.id)) ? 'ALL_EJECTED' : 'NO_ENDPOINT';
  }

  /** A call was answered, well or with the application's own error. */
  succeeded(node: N, now: number): void {
    if (isLifted(node, now)) this.#reviewAt = -Infinity;
    node.lastSuccessAt = now;
    const wasEjected = node.breaker.cause !== null;
    const hasChanged = node.breaker.success(now);
    if (hasChanged && node.breaker.cause === null) {
      node.load.forget();
      node.startSlowly(now);
    }
    if (wasEjected) this.#standingChanged(hasChanged);
  }

  failed(node: N, now: number): void {
    const hasChanged = node.breaker.failure(now, () => this.#mayEject());
    if (hasChanged || node.breaker.cause !== null) this.#standingChanged(hasChanged);
  }

  /** Nobody could be connected to. */
  absent(node: N, now: number): void {
    const hasChanged = node.breaker.absence(now, () => this.#mayEject());
    if (hasChanged || node.breaker.cause !== null) this.#standingChanged(hasChanged);
  }

  /** The probe of a node is over, whatever came of it; its outcome follows. */
  endProbe(node: N): void {
    node.breaker.endProbe();
    this.#standingChanged(false);
  }

  /** A ping is over: one call that cannot be repeated may now be risked. A failure is told as such. */
  pinged(node: N): void {
    node.isPinged = true;
    this.endProbe(node);
  }

  #place(instance: Instance, now: number): void {
    const known = this.#nodes.get(instance.id);
    if (known !== undefined && !this.#parts.hasMoved(known, instance)) return this.#follow(known, instance, now);
    if (known !== undefined) this.#drop(known);
    const node = this.#parts.create(instance);
    if (node === null) return;
    this.#nodes.set(instance.id, node);
    if (!this.#isFirst) node.startSlowly(now);
  }

  #dropTheGone(): void {
    const kept = new Set(this.#instances.map((instance) => instance.id));
    for (const node of this.#nodes.values()) if (!kept.has(node.id)) this.#drop(node);
  }

  #follow(node: N, instance: Instance, now: number): void {
    if (node.instance === instance) return;
    const before = node.instance.state;
    node.instance = instance;
    if (before === instance.state) return;
    if (before === 'HEALTHY' && instance.state === 'REGISTERING') node.healthyUntil = now + KEPT_TIER_MS;
    if (instance.state !== 'HEALTHY') return;
    node.breaker.hint(now);
    if (before === 'REGISTERING' && node.lastSuccessAt === -Infinity) node.startSlowly(now);
  }

  #drop(node: N): void {
    this.#nodes.delete(node.id);
    this.#parts.retire(node);
  }

  #standingChanged(tiersToo: boolean): void {
    if (tiersToo) this.#reviewAt = -Infinity;
    else this.#probeAt = firstProbe(this.#ejected);
  }

  #review(now: number): void {
    this.#selections.clear();
    const [tiers, until] = this.#sort(this.#parts.standard, now);
    this.#standard = tiers;
    this.#reviewAt = until;
    const ejected: N[] = [];
    for (const node of this.#nodes.values()) if (node.breaker.cause !== null) ejected.push(node);
    this.#ejected = ejected;
    this.#probeAt = firstProbe(ejected);
  }

  #selection(selector: Selector, now: number): readonly Candidates<N>[] {
    const known = this.#selections.get(selector.key);
    if (known !== undefined) return known;
    if (this.#selections.size >= MAX_SELECTIONS) this.#selections.clear();
    const [tiers, until] = this.#sort(selector, now);
    this.#selections.set(selector.key, tiers);
    this.#reviewAt = Math.min(this.#reviewAt, until);
    return tiers;
  }

  /** The tiers that hold anybody, lowest first, and until when that is so. */
  #sort(selector: Selector, now: number): [tiers: readonly Candidates<N>[], until: number] {
    const byTier = Array.from({ length: TIER_COUNT }, (): N[] => []);
    let until = Infinity;
    for (const node of this.#nodes.values()) {
      if (!isSelected(node.instance, selector)) continue;
      byTier[tierOf(node, now)]?.push(node);
      until = Math.min(until, tierUntil(node, now));
    }
    return [byTier.filter((nodes) => nodes.length > 0).map((nodes) => new Candidates(nodes)), until];
  }

  /** A node whose ejection is over gets one call, if this one is fit for it. */
  #probe(ask: Ask): N | null {
    const { probes } = ask;
    if (probes === 'never') return null;
    for (const node of this.#ejected) {
      if (ask.now < node.breaker.probeAt || !this.#isProbeFor(node, ask)) continue;
      if (probes === 'repeatable' || node.isPinged || node.breaker.cause === 'absent') return this.#take(node, ask);
      node.breaker.beginProbe();
      this.#parts.ping(node);
    }
    this.#probeAt = firstProbe(this.#ejected);
    return null;
  }

  #forcedProbe(ask: Ask): N | null {
    const count = this.#ejected.length;
    if (count === 0 || ask.now < this.#forcedAt + FORCED_PROBE_MS) return null;
    for (let skipped = 0; skipped < count; skipped += 1) {
      this.#forcedTurn += 1;
      const node = this.#ejected[this.#forcedTurn % count];
      if (node === undefined || node.breaker.probeAt === Infinity || !this.#isProbeFor(node, ask)) continue;
      this.#forcedAt = ask.now;
      return this.#take(node, ask);
    }
    return null;
  }

  #isProbeFor(node: N, ask: Ask): boolean {
    return node !== ask.tried && node !== ask.triedToo && isSelected(node.instance, ask.selector);
  }

  #take(node: N, ask: Ask): N {
    node.isPinged = false;
    node.breaker.beginProbe();
    this.#probeAt = firstProbe(this.#ejected);
    ask.isProbe = true;
    return node;
  }

  /** Half of those that could be called, at least one, never the last. */
  #mayEject(): boolean {
    let callable = 0;
    let ejected = 0;
    for (const node of this.#nodes.values()) {
      if (!isSelected(node.instance, this.#parts.standard)) continue;
      callable += 1;
      if (node.breaker.cause !== null) ejected += 1;
    }
    const most = Math.max(1, Math.floor(callable * this.#parts.maxEjectedRatio));
    return ejected < most && ejected + 1 < callable;
  }
}

function isSelected(instance: Instance, selector: Selector): boolean {
  if (instance.admin !== 'ENABLED' || !selector.states.includes(instance.state)) return false;
  const { version } = selector;
  return version === '' || instance.version === version || instance.version.startsWith(`${version}.`);
}

function firstProbe(ejected: readonly Node[]): number {
  let first = Infinity;
  for (const node of ejected) first = Math.min(first, node.breaker.probeAt);
  return first;
}
