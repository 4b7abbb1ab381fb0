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

/** How often an unanswered question is put again, in intervals. */
const ASK_AGAIN_AFTER = 0.5;
/** Who neither answers, beats nor holds a line for so many intervals (+ timeout) has lost an address at which another is proved. */
const SUPERSEDED_AFTER = 1;

/**
 * A registration for an address that another id holds is a question, not a proof: containers behind one NAT, two laptops,
 * cluster workers and thieves all look alike. The address itself is asked, twice, who is there.
 */
export class AddressConflicts {
  readonly #ports: AddressPorts;
  /** Pairs that answer in turns: both stay UNHEALTHY while both show life. */
  readonly #sharing = new Map<Entry, Set<Entry>>();
  /** Who met somebody at an address and may outlive its own death: self-preservation would hold it beside the new one. */
  readonly #met = new Set<Entry>();
  /** Who has a question open, and about which addresses. */
  readonly #asking = new WeakMap<Entry, readonly Endpoint[]>();
  #isClosed = false;

  constructor(ports: AddressPorts) {
    this.#ports = ports;
  }

  /** A newcomer holds an address of somebody else: it is not called until the address has answered. */
  question(newcomer: Entry): void {
    const { targets } = newcomer;
    const isTaken = this.#nextHolder(newcomer) !== undefined;
    if (isTaken && this.#asking.get(newcomer) === targets) return;
    this.#ports.prober.hold(newcomer, isTaken);
    if (!isTaken) return;
    this.#asking.set(newcomer, targets);
    void this.#ask(newcomer, targets);
  }

  /** After a restart: those that shared an address still do, until they are let go. */
  resume(): void {
    const { table } = this.#ports;
    for (const entry of table.all()) {
      const holders = table.holders(entry);
      if (holders.length > 0) this.#met.add(entry);
      if (!entry.vitals.shared) continue;
      const others = holders.filter(({ holder }) => holder.vitals.shared);
      this.#sharing.set(entry, new Set(others.map(({ holder }) => holder)));
    }
  }

  /** Lets go of pairs that no longer share: one of them is gone, has moved, or shows no life. The dead leave to the living. */
  sweep(): void {
    this.#bequeath();
    for (const [entry, others] of this.#sharing) {
      for (const other of others) {
        if (!this.#meet(entry, other) || !this.#showsLife(other)) others.delete(other);
      }
      if (entry.present && others.size > 0) continue;
      this.#sharing.delete(entry);
      this.#ports.engine.apply(entry, { type: 'unshared' });
    }
  }

  /**
   * A machine that lost its power comes back before silence could remove its old process. What was still to be seen when the
   * newcomer asked is over now: the old id goes, whatever else would hold it.
   */
  #bequeath(): void {
    for (const holder of this.#met) {
      if (!holder.present) this.#met.delete(holder);
      if (!holder.present || !this.#isDead(holder)) continue;
      const others = this.#ports.table.holders(holder).map((taken) => taken.holder);
      const heir = others.find((other) => other.vitals.proved && !this.#isSilent(other));
      if (heir !== undefined) this.#supersede(holder, heir, holder.line === null);
      if (others.length === 0) this.#met.delete(holder);
    }
  }

  /** Nobody is asked any more. May be called twice. */
  close(): void {
    this.#isClosed = true;
  }

  /** Until nobody is left at its addresses with whom it is not clear. One that moves meanwhile is another question. */
  async #ask(newcomer: Entry, targets: readonly Endpoint[]): Promise<void> {
    const isOpen = (): boolean => !this.#isClosed && newcomer.present && newcomer.targets === targets;
    for (let next = this.#nextHolder(newcomer); next !== undefined; next = this.#nextHolder(newcomer)) {
      const answers = await this.#answers(newcomer, next.target);
      if (!isOpen()) return;
      const isClear = await this.#decide(newcomer, next.target, answers);
      if (!isClear) await this.#wait(ASK_AGAIN_AFTER * this.#ports.policy.intervalMs);
      if (!isOpen()) return;
    }
    this.#asking.delete(newcomer);
    this.#ports.prober.hold(newcomer, false);
  }

  /** Who answers there, asked twice. */
  async #answers(newcomer: Entry, target: Endpoint): Promise<readonly (string | null)[]> {
    const first = await this.#ports.prober.opinion(newcomer, target);
    return first === null ? [null] : [first, await this.#ports.prober.opinion(newcomer, target)];
  }

  /** False: no answer, or one of a stranger; nothing is decided. */
  async #decide(newcomer: Entry, target: Endpoint, answers: readonly (string | null)[]): Promise<boolean> {
    const { table, engine } = this.#ports;
    const holders = table.holders(newcomer).filter((taken) => taken.target === target);
    const isNew = (id: string | null): boolean => id === newcomer.id;
    const isOld = (id: string | null): boolean => holders.some(({ holder }) => holder.id === id);
    const open = holders.map(({ holder }) => holder).filter((holder) => !this.#share(newcomer, holder));
    const holder = open.find(({ id }) => answers.includes(id)) ?? open[0];
    if (holder === undefined) return true; // the question has answered itself
    if (!answers.every((id) => isNew(id) || isOld(id))) return false;
    if (answers.every(isOld) && !newcomer.vitals.proved) {
      engine.remove(newcomer, reasonFor('ADDRESS_TAKEN', `${answers[0]} answers at ${addressOf(target)}`), false);
    } else if (!answers.every(isNew) || !(await this.#isReplaced(holder, newcomer))) {
      this.#pair(newcomer, holder, target);
    }
    return true;
  }

  /** The newcomer answers: takes the old one off the roll if it is gone, for good if that was seen. True: they do not meet any more. */
  async #isReplaced(holder: Entry, newcomer: Entry): Promise<boolean> {
    const isGone = await this.#isGone(holder);
    if (this.#isClosed || !this.#meet(newcomer, holder)) return true;
    if (!isGone && !this.#isLongSilent(holder)) return false;
    this.#supersede(holder, newcomer, isGone);
    return true;
  }

  /** `isGone`: that was seen, so its id never comes back. */
  #supersede(holder: Entry, heir: Entry, isGone: boolean): void {
    const { engine, table } = this.#ports;
    const meeting = table.holders(heir).find((taken) => taken.holder === holder);
    if (meeting === undefined) return;
    const reason = reasonFor('SUPERSEDED', `${heir.id} answers at ${addressOf(meeting.target)}`);
    if (isGone) engine.apply(holder, { type: 'end', code: 'SUPERSEDED', text: reason.text });
    else engine.remove(holder, reason, false);
  }

  /** Neither answers nor beats, and holds no line but one that this kernel only remembers. */
  #isDead(entry: Entry): boolean {
    const { time, policy } = this.#ports;
    if (!silence(entry.vitals, time.now(), policy, SUPERSEDED_AFTER).both) return false;
    return entry.line === null || this.#isLongSilent(entry);
  }

  /** Is it unheard of in either direction? */
  #isSilent(entry: Entry): boolean {
    const { time, policy } = this.#ports;
    const { inbound, outbound } = silence(entry.vitals, time.now(), policy, SUPERSEDED_AFTER);
    return inbound || outbound;
  }

  /**
   * Is the old one gone: its line closed by the peer, and no Heartbeat-2 since? It is given time to show otherwise. One that said
   * goodbye has given up its port: a restart on a fixed port must not wait for its last requests.
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
   * Has it sent no Heartbeat-2 for so long that its line is but this kernel's memory of one? A machine that loses its power closes
   * nothing, and when it is back ours may need minutes to find out. Nobody saw it die, so its id may come back.
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
      this.#met.add(entry);
      this.#ports.engine.apply(entry, { type: 'shared', text: `${other.id} answers at ${addressOf(target)} too` });
    }
  }

  /** Somebody who holds one of its addresses too, unless it is clear that they share. */
  #nextHolder(newcomer: Entry): ReturnType<InstanceTable['holders']>[number] | undefined {
    return this.#ports.table.holders(newcomer).find(({ holder }) => !this.#share(newcomer, holder));
  }

  /** Do both hold one address, still? */
  #meet(one: Entry, other: Entry): boolean {
    if (!one.present || !other.present) return false;
    return one.targets.some(({ host, port }) => other.targets.some((its) => its.port === port && its.host === host));
  }

  #share(one: Entry, other: Entry): boolean {
    return this.#sharing.get(one)?.has(other) === true;
  }

  /** Does it beat, or hold a line that it may still know of? */
  #showsLife(entry: Entry): boolean {
    const { time, policy } = this.#ports;
    if (!entry.present || this.#isLongSilent(entry)) return false;
    return entry.line !== null || !silence(entry.vitals, time.now(), policy, policy.unhealthyAfter).outbound;
  }

  #wait(ms: number): Promise<void> {
    return sleep(this.#ports.time, ms, { background: true });
  }
}
