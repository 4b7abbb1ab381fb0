import { addressOf, reasonFor, silence, sleep } from '@rollcall/core';
import type { Endpoint, Policy, Time } from '@rollcall/core';
import type { Judge } from './judge.js';
import type { Roll } from './roll.js';
import type { Entry, Roster } from './roster.js';

export interface AddressPorts {
  readonly time: Time;
  readonly policy: Policy;
  readonly roster: Roster;
  readonly roll: Roll;
  readonly judge: Judge;
}

/** How often an unanswered question is put again, in intervals. */
const ASK_AGAIN_AFTER = 0.5;

/**
 * A registration for an address that another id holds is a question, not a proof: containers behind one NAT, two laptops,
 * cluster workers and thieves all look alike. The address itself is asked, twice, who is there. (Page 3.7 of the protocol.)
 */
export class Addresses {
  readonly #ports: AddressPorts;
  /** Pairs that answer in turns: both stay UNHEALTHY while both show life. */
  readonly #sharing = new Map<Entry, Set<Entry>>();

  constructor(ports: AddressPorts) {
    this.#ports = ports;
  }

  /** A newcomer holds an address of somebody else: it is not called until the address has answered. */
  question(newcomer: Entry): void {
    const taken = this.#ports.roster.holders(newcomer)[0];
    if (taken === undefined) return;
    this.#ports.roll.hold(newcomer, true);
    void this.#ask(newcomer, taken.target);
  }

  /** Lets go of pairs that no longer share: one of them is gone or shows no life. */
  sweep(): void {
    for (const [entry, others] of this.#sharing) {
      for (const other of others) if (!this.#showsLife(other)) others.delete(other);
      if (entry.present && others.size > 0) continue;
      this.#sharing.delete(entry);
      this.#ports.judge.apply(entry, { type: 'unshared' });
    }
  }

  async #ask(newcomer: Entry, target: Endpoint): Promise<void> {
    const { roll, policy, roster } = this.#ports;
    for (;;) {
      const first = await roll.opinion(newcomer, target);
      const second = first === null ? null : await roll.opinion(newcomer, target);
      if (!newcomer.present || !newcomer.targets.includes(target)) return;
      const holder = roster.holders(newcomer).find((taken) => taken.target === target)?.holder;
      if (holder === undefined) break; // the question has answered itself
      const answers = [first, second];
      if (answers.every((id) => id === newcomer.id || id === holder.id)) {
        await this.#decide(newcomer, holder, target, answers);
        break;
      }
      await this.#wait(ASK_AGAIN_AFTER * policy.intervalMs);
    }
    if (!newcomer.present) return;
    const next = roster.holders(newcomer).find(({ holder }) => !this.#share(newcomer, holder));
    if (next === undefined) roll.hold(newcomer, false);
    else void this.#ask(newcomer, next.target);
  }

  async #decide(newcomer: Entry, holder: Entry, target: Endpoint, answers: readonly (string | null)[]): Promise<void> {
    if (answers.every((id) => id === holder.id) && !newcomer.vitals.proved) {
      const text = `${holder.id} answers at ${addressOf(target)}`;
      this.#ports.judge.remove(newcomer, reasonFor('ADDRESS_TAKEN', text), false);
      return;
    }
    if (answers.every((id) => id === newcomer.id) && (await this.#isReplaced(holder, newcomer, target))) return;
    if (newcomer.present && holder.present) this.#pair(newcomer, holder, target);
  }

  /** The newcomer answers: takes the old one off the roll if it is gone, for good if that was seen. */
  async #isReplaced(holder: Entry, newcomer: Entry, target: Endpoint): Promise<boolean> {
    const { judge } = this.#ports;
    const reason = reasonFor('SUPERSEDED', `${newcomer.id} answers at ${addressOf(target)}`);
    const isGone = await this.#isGone(holder);
    if (!holder.present) return true;
    if (isGone) judge.apply(holder, { type: 'end', code: 'SUPERSEDED', text: reason.text });
    else if (this.#isLongSilent(holder)) judge.remove(holder, reason, false);
    else return false;
    return true;
  }

  /** Is the old one gone: its line closed by the peer, and no Heartbeat-2 since? It is given time to show otherwise. */
  async #isGone(holder: Entry): Promise<boolean> {
    const { policy } = this.#ports;
    if (holder.lineClosedAt !== null) return true;
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
      this.#ports.judge.apply(entry, { type: 'shared', text: `${other.id} answers at ${addressOf(target)} too` });
    }
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
