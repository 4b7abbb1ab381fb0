import { addressOf, reasonFor, silence, sleep } from '@rollcall/core';
import type { Endpoint, Policy, Time } from '@rollcall/core';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Prober } from '../probing/prober.js';

export interface AddressPorts {
  readonly time: Time;
  readonly policy: Policy;
  readonly table: InstanceTable;
  readonly prober: Prober;
  readonly engine: LifecycleEngine;
}

/** Time before an unanswered question is repeated, in intervals. */
const RETRY_AFTER = 0.5;
/**
 * An instance that neither answers, sends heartbeats nor holds a line for this many intervals (+ timeout) loses an
 * address at which another one is proved.
 */
const SUPERSEDED_AFTER = 1;

/**
 * Resolves conflicts about addresses. A registration for an address that another id holds proves nothing: containers
 * behind one NAT, two laptops, cluster workers and attackers look alike. So the address itself is probed, twice, to
 * find which instance is there.
 */
export class AddressConflicts {
  readonly #ports: AddressPorts;
  /** Pairs that answer alternately: both stay UNHEALTHY while both show life. */
  readonly #sharing = new Map<Entry, Set<Entry>>();
  /**
   * Instances that shared an address and may outlive their own death, as self-preservation would keep them beside the
   * new one.
   */
  readonly #contested = new Set<Entry>();
  /** Instances with an open conflict, and their addresses. */
  readonly #unresolved = new WeakMap<Entry, readonly Endpoint[]>();
  #isClosed = false;

  constructor(ports: AddressPorts) {
    this.#ports = ports;
  }

  /**
   * Checks a new instance that holds an address of another one: it is not called until the address has answered.
   */
  check(newcomer: Entry): void {
    const { targets } = newcomer;
    const isTaken = this.#nextHolder(newcomer) !== undefined;
    if (isTaken && this.#unresolved.get(newcomer) === targets) return;
    this.#ports.prober.suspend(newcomer, isTaken);
    if (!isTaken) return;
    this.#unresolved.set(newcomer, targets);
    void this.#resolve(newcomer, targets);
  }

  /** Restores shared addresses after a restart: pairs remain until they are released. */
  resume(): void {
    const { table } = this.#ports;
    for (const entry of table.all()) {
      const holders = table.holders(entry);
      if (holders.length > 0) this.#contested.add(entry);
      if (!entry.vitals.shared) continue;
      const others = holders.filter(({ holder }) => holder.vitals.shared);
      this.#sharing.set(entry, new Set(others.map(({ holder }) => holder)));
    }
  }

  /**
   * Releases pairs that no longer share: one of them is gone, has moved, or shows no life. Dead holders give way to
   * live ones.
   */
  sweep(): void {
    this.#removeDead();
    for (const [entry, others] of this.#sharing) {
      for (const other of others) {
        if (!this.#sharesAddress(entry, other) || !this.#showsLife(other)) others.delete(other);
      }
      if (entry.present && others.size > 0) continue;
      this.#sharing.delete(entry);
      this.#ports.engine.apply(entry, { type: 'unshared' });
    }
  }

  /**
   * Removes dead holders. A machine that lost power returns before silence could remove its old process, which
   * still looked alive when the new one registered. Once it is dead, the old id is removed regardless of
   * self-preservation.
   */
  #removeDead(): void {
    for (const holder of this.#contested) {
      if (!holder.present) this.#contested.delete(holder);
      if (!holder.present || !this.#isDead(holder)) continue;
      const others = this.#ports.table.holders(holder).map((taken) => taken.holder);
      const successor = others.find((other) => other.vitals.proved && !this.#isSilent(other));
      if (successor !== undefined) this.#supersede(holder, successor, holder.line === null);
      if (others.length === 0) this.#contested.delete(holder);
    }
  }

  /** Stops all checks. Idempotent. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * Probes until no conflict is left at its addresses. If the instance moves meanwhile, another check replaces this
   * one.
   */
  async #resolve(newcomer: Entry, targets: readonly Endpoint[]): Promise<void> {
    const isOpen = (): boolean => !this.#isClosed && newcomer.present && newcomer.targets === targets;
    for (let next = this.#nextHolder(newcomer); next !== undefined; next = this.#nextHolder(newcomer)) {
      const answers = await this.#probeTwice(newcomer, next.target);
      if (!isOpen()) return;
      const isClear = await this.#decide(newcomer, next.target, answers);
      if (!isClear) await this.#wait(RETRY_AFTER * this.#ports.policy.intervalMs);
      if (!isOpen()) return;
    }
    this.#unresolved.delete(newcomer);
    this.#ports.prober.suspend(newcomer, false);
  }

  /** The ids that answer at the endpoint, probed twice. */
  async #probeTwice(newcomer: Entry, target: Endpoint): Promise<readonly (string | null)[]> {
    const first = await this.#ports.prober.opinion(newcomer, target);
    return first === null ? [null] : [first, await this.#ports.prober.opinion(newcomer, target)];
  }

  /** Decides by the answers; false if nothing can be decided: no answer, or one of a third instance. */
  async #decide(newcomer: Entry, target: Endpoint, answers: readonly (string | null)[]): Promise<boolean> {
    const { table, engine } = this.#ports;
    const holders = table.holders(newcomer).filter((taken) => taken.target === target);
    const isNew = (id: string | null): boolean => id === newcomer.id;
    const isOld = (id: string | null): boolean => holders.some(({ holder }) => holder.id === id);
    const open = holders.map(({ holder }) => holder).filter((holder) => !this.#isSharing(newcomer, holder));
    const holder = open.find(({ id }) => answers.includes(id)) ?? open[0];
    if (holder === undefined) return true; // the conflict is already resolved
    if (!answers.every((id) => isNew(id) || isOld(id))) return false;
    if (answers.every(isOld) && !newcomer.vitals.proved) {
      engine.remove(newcomer, reasonFor('ADDRESS_TAKEN', `${answers[0]} answers at ${addressOf(target)}`), false);
    } else if (!answers.every(isNew) || !(await this.#isReplaced(holder, newcomer))) {
      this.#pair(newcomer, holder, target);
    }
    return true;
  }

  /**
   * The new instance answers: removes the old one if it is gone, for good if that was observed. True: they do not
   * conflict any more.
   */
  async #isReplaced(holder: Entry, newcomer: Entry): Promise<boolean> {
    const isGone = await this.#isGone(holder);
    if (this.#isClosed || !this.#sharesAddress(newcomer, holder)) return true;
    if (!isGone && !this.#isLongSilent(holder)) return false;
    this.#supersede(holder, newcomer, isGone);
    return true;
  }

  /** `isGone`: its end was observed, so its id never comes back. */
  #supersede(holder: Entry, successor: Entry, isGone: boolean): void {
    const { engine, table } = this.#ports;
    const conflict = table.holders(successor).find((taken) => taken.holder === holder);
    if (conflict === undefined) return;
    const reason = reasonFor('SUPERSEDED', `${successor.id} answers at ${addressOf(conflict.target)}`);
    if (isGone) engine.apply(holder, { type: 'end', code: 'SUPERSEDED', text: reason.text });
    else engine.remove(holder, reason, false);
  }

  /** True if it neither answers nor sends heartbeats, and holds no line, or one that only this kernel remembers. */
  #isDead(entry: Entry): boolean {
    const { time, policy } = this.#ports;
    if (!silence(entry.vitals, time.now(), policy, SUPERSEDED_AFTER).both) return false;
    return entry.line === null || this.#isLongSilent(entry);
  }

  /** True if it is silent in at least one direction. */
  #isSilent(entry: Entry): boolean {
    const { time, policy } = this.#ports;
    const { inbound, outbound } = silence(entry.vitals, time.now(), policy, SUPERSEDED_AFTER);
    return inbound || outbound;
  }

  /**
   * True if the old instance is gone: its peer closed its line, and no Heartbeat-2 followed. It gets time to show
   * otherwise. An instance that said goodbye has given up its port: a restart on a fixed port must not wait for its
   * last requests.
   */
  async #isGone(holder: Entry): Promise<boolean> {
    const { policy } = this.#ports;
    if (holder.lineClosedAt !== null || holder.vitals.phase === 'LEAVING') return true;
    const { seq, line } = holder;
    line?.ping();
    await this.#wait(line === null ? policy.intervalMs + policy.timeoutMs : policy.timeoutMs);
    return !holder.present || (holder.line === null && holder.seq === seq);
  }

  /**
   * True if it has sent no Heartbeat-2 for so long that its line exists only in this kernel. A machine that loses its
   * power closes nothing, and this side may need minutes to notice. Its end was not observed, so its id may come back.
   */
  #isLongSilent(holder: Entry): boolean {
    const { time, policy } = this.#ports;
    return silence(holder.vitals, time.now(), policy, policy.criticalAfter).outbound;
  }

  #pair(newcomer: Entry, holder: Entry, target: Endpoint): void {
    for (const [entry, other] of [
      [newcomer, holder],
      [holder, newcomer],
    ] as const) {
      const others = this.#sharing.get(entry) ?? new Set();
      this.#sharing.set(entry, others.add(other));
      this.#contested.add(entry);
      this.#ports.engine.apply(entry, { type: 'shared', text: `${other.id} answers at ${addressOf(target)} too` });
    }
  }

  /** Another holder of one of its addresses, unless they are known to share it. */
  #nextHolder(newcomer: Entry): ReturnType<InstanceTable['holders']>[number] | undefined {
    return this.#ports.table.holders(newcomer).find(({ holder }) => !this.#isSharing(newcomer, holder));
  }

  /** True if both still hold a common address. */
  #sharesAddress(one: Entry, other: Entry): boolean {
    if (!one.present || !other.present) return false;
    return one.targets.some(({ host, port }) => other.targets.some((its) => its.port === port && its.host === host));
  }

  #isSharing(one: Entry, other: Entry): boolean {
    return this.#sharing.get(one)?.has(other) === true;
  }

  /** True if it sends heartbeats, or holds a line that it may still know of. */
  #showsLife(entry: Entry): boolean {
    const { time, policy } = this.#ports;
    if (!entry.present || this.#isLongSilent(entry)) return false;
    return entry.line !== null || !silence(entry.vitals, time.now(), policy, policy.unhealthyAfter).outbound;
  }

  #wait(ms: number): Promise<void> {
    return sleep(this.#ports.time, ms, { background: true });
  }
}
