import { due, forecast, silentSince, stateOf, transition } from '@rollcall/core';
import type { Event, Fleet, Instance, Log, Policy, Reason, Time, Vitals } from '@rollcall/core';
import { actorOf } from '../activity/events.js';
import type { Happening, EventHistory } from '../activity/events.js';
import type { HeartbeatLog } from '../activity/heartbeat-log.js';
import type { CommitLog } from '../commit/commit-log.js';
import type { WatchLimits } from '../feed/watch-limits.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import { surplusTombstones } from '../instances/tombstones.js';
import { DueSet } from './due-set.js';
import { ProvedHosts } from './proved-hosts.js';
import type { SelfPreservation } from './self-preservation.js';
import { StallClock } from './stall-clock.js';
import type { Progress } from './stall-clock.js';

/** The parts of the registry that the engine needs. */
export interface LifecycleEnginePorts {
  readonly time: Time;
  readonly log: Log;
  readonly policy: Policy;
  readonly table: InstanceTable;
  readonly preservation: SelfPreservation;
  readonly commits: Pick<CommitLog, 'publish' | 'remove' | 'forget' | 'preserve'>;
  readonly watchLimits: Pick<WatchLimits, 'release'>;
  readonly history: Pick<EventHistory, 'note'>;
  readonly beats: Pick<HeartbeatLog, 'release' | 'couldNotListen'>;
}

const ON_TIME: Progress = { behindMs: 0, unverifiedBehindMs: 0, dueAt: () => Infinity };

const RE_REGISTERED: Happening = { kind: 're-registered', by: 'instance', text: 'registered again with other details' };

/** Decides every state: applies events to instances with the facts of the fleet, and commits what changed. */
export class LifecycleEngine {
  readonly #ports: LifecycleEnginePorts;
  readonly #dueSet: DueSet;
  readonly #provedHosts: ProvedHosts;
  readonly #stalls: StallClock;
  readonly #facts: FleetFacts;
  /** True if silence made an instance CRITICAL and that is not stored yet. */
  #hasUnsavedUses = false;

  constructor(ports: LifecycleEnginePorts) {
    this.#ports = ports;
    this.#dueSet = new DueSet(ports.policy);
    this.#provedHosts = new ProvedHosts(ports.table);
    this.#stalls = new StallClock(ports);
    this.#facts = { table: ports.table, preservation: ports.preservation, isAtProvedHost: this.#isAtProvedHost };
  }

  /** The time between two calls of `sweep`, ms: the resolution of all decisions by time. */
  get sweepMs(): number {
    return this.#stalls.sweepMs;
  }

  /** True if this process was behind with its calls at the last sweep: then it decides nothing by silence. */
  get isBehind(): boolean {
    return this.#stalls.isBehind;
  }

  /** Commits a new instance. */
  enter(entry: Entry): void {
    this.#dueSet.wake(entry);
    const { reason } = entry.vitals;
    this.#publish(entry, entry.vitals, { kind: 'registered', by: 'instance', text: 'registered', reason });
  }

  /**
   * Commits a change of fields outside the lifecycle (version, weight, admin, endpoints …) as a new revision. `what`:
   * its entry in the history.
   */
  amend(entry: Entry, record: Partial<Instance>, what: Happening = RE_REGISTERED): void {
    this.#ports.table.update(entry, { record: { ...entry.record, ...record } });
    this.#publish(entry, entry.vitals, what);
  }

  /** Applies an event to an instance. True if it is still registered afterwards. */
  apply(entry: Entry, event: Event): boolean {
    if (!entry.present) return false;
    const { time, policy, preservation } = this.#ports;
    const now = time.now();
    const wasUnheard = entry.vitals.unheard !== null;
    const result = transition(entry.vitals, event, { now, policy, fleet: this.#fleetOf(entry, now) });
    if (result.usesPermit) {
      preservation.use(entry.serviceKey, now);
      this.#hasUnsavedUses = true;
    }
    if (result.removed !== null) {
      this.remove(entry, result.removed.reason, result.removed.ended);
      return false;
    }
    if (result.changed) this.#publish(entry, result.vitals);
    else entry.vitals = result.vitals;
    if (wasUnheard && entry.vitals.unheard === null) this.#dueSet.wake(entry);
    else this.#dueSet.touch(entry);
    return true;
  }

  /** Removes an instance and leaves a tombstone; `ended`: its id can never come back. */
  remove(entry: Entry, reason: Reason, ended: boolean): void {
    const { watchLimits, commits, beats, time, log } = this.#ports;
    const { id, namespace, service } = entry.record;
    const { secretHash } = entry.credential;
    const override = ended || entry.override === null ? {} : { override: entry.override };
    const tombstone = { id, namespace, service, reason, secretHash, ended, ...override, removedAt: time.wall() };
    commits.remove(entry, tombstone, { kind: 'removed', by: actorOf(reason), text: 'removed', reason });
    beats.release(entry);
    this.#dueSet.wake(entry);
    this.#stalls.forget(entry);
    watchLimits.release(id);
    log.info(`${id} removed: ${reason.text}`);
  }

  /** A call that was due at `dueAt` is queued: until it begins, the clocks of Heartbeat-1 are paused. */
  callQueued(entry: Entry, dueAt: number): void {
    this.#stalls.callQueued(entry, dueAt);
  }

  /** The call due at `dueAt` begins now: its delay is not held against the instance. */
  callBegan(entry: Entry, dueAt: number): void {
    this.#stalls.callBegan(entry, dueAt);
  }

  /**
   * Applies everything that is due by time alone, longest silence first, each decision on the state that the previous
   * one left. If calls of verified instances run late, heartbeats are processed late too, so the sweep takes no
   * decisions; once it has caught up, that time counts as a stall. Unverified instances whose calls are late are
   * excused one by one, so that many of them do not keep others from being evaluated.
   */
  sweep(calls: Progress = ON_TIME): void {
    const now = this.#ports.time.now();
    this.#dropOldTombstones();
    if (!this.#stalls.beginSweep(now, calls.behindMs)) return;
    if (calls.unverifiedBehindMs >= this.sweepMs) this.#stalls.awaitUnverified(this.#dueSet.pending, calls, now);
    this.#observe(now);
    const dueEntries: Entry[] = [];
    for (const entry of this.#dueSet.pending) if (this.#due(entry, now) !== null) dueEntries.push(entry);
    if (dueEntries.length > 1) dueEntries.sort((a, b) => silentSince(a.vitals) - silentSince(b.vitals));
    for (const entry of dueEntries) this.#settle(entry, now);
    this.#saveUses(now);
  }

  #due(entry: Entry, now: number): Event | null {
    return due(entry.vitals, now, this.#ports.policy, this.#fleetOf(entry, now));
  }

  /** An instance may take several steps at one time (unproved → CRITICAL → LAST). */
  #settle(entry: Entry, now: number): void {
    for (let step = 0; step < 4; step += 1) {
      const event = this.#due(entry, now);
      if (event === null) return;
      const before = entry.vitals;
      if (!this.apply(entry, event) || entry.vitals === before) return;
    }
  }

  /** Reports to self-preservation how many proved instances are silent now, and takes back proofs that are in doubt. */
  #observe(now: number): void {
    const { preservation } = this.#ports;
    this.#provedHosts.invalidate();
    this.#dueSet.update(now, { before: this.#stalls.excuseUncalled, wasGoneBefore: this.#wasGoneBefore });
    preservation.observe(now, this.#dueSet.counts);
    if (!preservation.observeRefusals(now, this.#refused(), this.#dueSet.total)) return;
    for (const entry of this.#dueSet.pending) if (entry.vitals.cause === 'proof') this.apply(entry, { type: 'doubt' });
  }

  /** Not heard since this process started, on hosts whose refusal is their own. */
  readonly #isAtProvedHost = (entry: Entry): boolean =>
    entry.vitals.unheard !== null && this.#provedHosts.include(entry);

  /**
   * It was refused on such a host: that says nothing about the network now, so it counts neither as silent nor as
   * refused.
   */
  readonly #wasGoneBefore = (entry: Entry): boolean =>
    entry.vitals.lastFailure?.refused === true && this.#isAtProvedHost(entry);

  /** The hosts of proved instances whose last call was refused. */
  #refused(): readonly { readonly host: string }[] {
    let refused: { readonly host: string }[] | null = null;
    for (const entry of this.#dueSet.pending) {
      const { vitals, targets } = entry;
      if (vitals.lastFailure?.refused !== true || !vitals.proved || vitals.phase === 'LEAVING') continue;
      if (this.#wasGoneBefore(entry)) continue;
      refused ??= [];
      refused.push({ host: targets[0]?.host ?? '' });
    }
    return refused ?? NO_REFUSALS;
  }

  #fleetOf(entry: Entry, now: number): Fleet {
    return new FleetNow(this.#facts, entry, now);
  }

  /** Commits the record with the state of these vitals. `what`: its event; by default the change of state, if any. */
  #publish(entry: Entry, vitals: Vitals, what?: Happening): void {
    const { commits, time, policy, log } = this.#ports;
    const { reason } = vitals;
    const state = stateOf(vitals);
    const before = entry.record;
    const moved = state !== before.state || vitals.since !== entry.vitals.since;
    const since = moved ? time.wall() : before.since;
    entry.vitals = vitals;
    const next = forecast(vitals, policy, this.#fleetOf(entry, time.now()));
    const record = { ...before, state, since, reason, next };
    commits.publish(entry, record, what ?? stateChangeOf(before, record));
    if (state !== before.state) log.info(`${entry.id} ${before.state} → ${state}: ${reason.text}`);
  }

  /**
   * Stored in the same turn as the records that silence made CRITICAL, so that a store has both or neither and a
   * restart refills no allowance.
   */
  #saveUses(now: number): void {
    if (!this.#hasUnsavedUses) return;
    this.#hasUnsavedUses = false;
    this.#ports.commits.preserve(this.#ports.preservation.save(now));
  }

  #dropOldTombstones(): void {
    const { table, commits, time } = this.#ports;
    for (const tombstone of surplusTombstones(table, time.now())) commits.forget(tombstone);
  }
}

const NO_REFUSALS: readonly { readonly host: string }[] = [];

/** The sources of the facts of the fleet. */
interface FleetFacts extends Pick<LifecycleEnginePorts, 'table' | 'preservation'> {
  readonly isAtProvedHost: (entry: Entry) => boolean;
}

/** The facts of the fleet about one instance at one time, evaluated lazily: most events need none. */
class FleetNow implements Fleet {
  readonly #facts: FleetFacts;
  readonly #entry: Entry;
  readonly #now: number;

  constructor(facts: FleetFacts, entry: Entry, now: number) {
    this.#facts = facts;
    this.#entry = entry;
    this.#now = now;
  }

  get otherHealthy(): boolean {
    return this.#facts.table.substitutes(this.#entry).healthy;
  }

  get otherCallable(): boolean {
    return this.#facts.table.substitutes(this.#entry).callable;
  }

  get permit(): Fleet['permit'] {
    const { preservation, isAtProvedHost } = this.#facts;
    return {
      held: holdTextOf(preservation, this.#entry.serviceKey, this.#now),
      mass: preservation.doubtsProofs,
      hostProved: isAtProvedHost(this.#entry),
    };
  }
}

/** The reason for which silence may act on no instance of this service now; null: it may. */
function holdTextOf(preservation: SelfPreservation, serviceKey: string, now: number): string | null {
  if (preservation.permit(serviceKey, now)) return null;
  return preservation.hold(serviceKey, now)?.text ?? '';
}

/** The history entry of a new state, or of a new reason for the same state; null if neither changed. */
function stateChangeOf(before: Instance, { state, reason }: Instance): Happening | null {
  if (state === before.state && reason.code === before.reason.code) return null;
  const text = state === before.state ? `still ${state}, for another reason` : `${before.state} → ${state}`;
  return { kind: reason.code === 'MOVED' ? 'moved' : 'state', by: actorOf(reason), text, reason };
}
