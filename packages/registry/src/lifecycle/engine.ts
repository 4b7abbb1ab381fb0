import { due, excuse, forecast, forgive, silentSince, stateOf, transition } from '@rollcall/core';
import type { Event, Fleet, Instance, Log, Policy, Reason, Time, Vitals } from '@rollcall/core';
import { actorOf } from '../activity/events.js';
import type { Happening, EventHistory } from '../activity/events.js';
import type { HeartbeatLog } from '../activity/heartbeat-log.js';
import type { Feed } from '../feed/feed.js';
import type { WatchLimits } from '../feed/watch-limits.js';
import { storedOf } from '../instances/instance-table.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import { superfluous } from '../instances/tombstones.js';
import type { WriteBehind } from '../store/write-behind.js';
import { DueSet } from './due-set.js';
import { ProvedHosts } from './proved-hosts.js';
import type { SelfPreservation } from './self-preservation.js';

/** What a judge needs of the registry around it. */
export interface LifecycleEnginePorts {
  readonly time: Time;
  readonly log: Log;
  readonly policy: Policy;
  readonly table: InstanceTable;
  readonly preservation: SelfPreservation;
  readonly feed: Feed;
  readonly watchLimits: Pick<WatchLimits, 'release'>;
  readonly writeBehind: Pick<WriteBehind, 'remember'>;
  readonly history: Pick<EventHistory, 'note' | 'noteOf'>;
  readonly beats: Pick<HeartbeatLog, 'release'>;
}

/** How far those who call are with it. */
export interface Progress {
  /**
   * For how long the next call of one that proved itself once has been due, ms: more than a moment when this process has too much to do.
   * What waits for others to end does not count.
   */
  readonly behindMs: number;
  /** The same of the others: that many of them came at once says nothing of this process. */
  readonly unverifiedBehindMs: number;
  /** When the coming call of an instance is, or was, due; Infinity: none is arranged, or it is held. */
  dueAt(entry: Entry): number;
}

const PUNCTUAL: Progress = { behindMs: 0, unverifiedBehindMs: 0, dueAt: () => Infinity };

/** So many sweeps (a second, by default) is it behind before that is told. */
const BEHIND_TOLD_AFTER = 10;
const TOLD_AGAIN_MS = 60_000;
const SPOKEN_ANEW: Happening = { kind: 're-registered', by: 'instance', text: 'registered again with other words' };

/** Passes every verdict: applies events to instances with the facts of the fleet, and publishes what changed. */
export class LifecycleEngine {
  readonly #ports: LifecycleEnginePorts;
  readonly #dueSet: DueSet;
  readonly #provedHosts: ProvedHosts;
  readonly #facts: FleetFacts;
  /** Whose call is due and has not begun, and until when that was excused. */
  readonly #uncalled = new Map<Entry, number>();
  /** Up to here everybody was judged. */
  #sweptAt: number;
  /** Up to here the time in which this process could not listen is forgiven. */
  #forgivenAt = -Infinity;
  /** Sweeps in a row in which this process was behind, and when people were last told of that, or of time that was lost. */
  #behindSweeps = 0;
  #toldAt = -Infinity;
  /** Has silence acted since that was stored? */
  #hasUsed = false;

  constructor(ports: LifecycleEnginePorts) {
    this.#ports = ports;
    this.#dueSet = new DueSet(ports.policy);
    this.#provedHosts = new ProvedHosts(ports.table);
    this.#facts = { table: ports.table, preservation: ports.preservation, isAtProvedHost: this.#isAtProvedHost };
    this.#sweptAt = ports.time.now();
  }

  /** How often `sweep` wants to be called: the grain of all that time alone brings. */
  get sweepMs(): number {
    return Math.min(100, Math.max(5, this.#ports.policy.intervalMs / 50));
  }

  /** Was this process behind with its calls at the last sweep? Then it judges nobody by silence. */
  get isBehind(): boolean {
    return this.#behindSweeps > 0;
  }

  /** A new instance is on the roll. */
  enter(entry: Entry): void {
    this.#dueSet.wake(entry);
    this.#publish(entry, entry.vitals);
    const { reason } = entry.record;
    this.#ports.history.noteOf(entry.record, { kind: 'registered', by: 'instance', text: 'registered', reason });
  }

  /** Fields outside the lifecycle changed (version, weight, admin, endpoints …): another revision, and for people `what` it was. */
  amend(entry: Entry, record: Partial<Instance>, what: Happening = SPOKEN_ANEW): void {
    this.#ports.table.update(entry, { record: { ...entry.record, ...record } });
    this.#publish(entry, entry.vitals);
    this.#ports.history.noteOf(entry.record, what);
  }

  /** One event for one instance. True when it is still registered. */
  apply(entry: Entry, event: Event): boolean {
    if (!entry.present) return false;
    const { time, policy, preservation } = this.#ports;
    const now = time.now();
    const wasUnheard = entry.vitals.unheard !== null;
    const result = transition(entry.vitals, event, { now, policy, fleet: this.#fleetOf(entry, now) });
    if (result.usesPermit) {
      preservation.use(entry.serviceKey, now);
      this.#hasUsed = true;
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

  /** Off the roll, with a tombstone; `ended`: this id never comes back. */
  remove(entry: Entry, reason: Reason, ended: boolean): void {
    const { watchLimits, feed, table, writeBehind, time, log, history } = this.#ports;
    const { id, namespace, service } = entry.record;
    const revision = feed.nextRevision();
    const { secretHash } = entry.credential;
    const override = ended || entry.override === null ? {} : { override: entry.override };
    const tombstone = {
      id,
      namespace,
      service,
      revision,
      reason,
      secretHash,
      ended,
      ...override,
      removedAt: time.wall(),
    };
    table.bury(entry, tombstone, time.now());
    this.#ports.beats.release(entry);
    this.#dueSet.wake(entry);
    this.#uncalled.delete(entry);
    writeBehind.remember({ bury: tombstone });
    feed.bury(namespace, service, { id, revision, reason });
    feed.gone(id, reason);
    watchLimits.release(id);
    const what = { kind: 'removed', by: actorOf(reason), text: 'removed', reason } as const;
    history.noteOf({ ...entry.record, revision }, what);
    log.info(`${id} removed: ${reason.text}`);
  }

  /** A call that was due at `dueAt` waits for its turn: until it begins, the clocks of Heartbeat-1 stand still. */
  awaits(entry: Entry, dueAt: number): void {
    if (entry.present && !this.#uncalled.has(entry)) this.#uncalled.set(entry, dueAt);
  }

  /** It is called now: what the call, due at `dueAt`, was late counts against nobody. */
  called(entry: Entry, dueAt: number): void {
    this.#excuse(entry, this.#uncalled.get(entry) ?? dueAt, this.#ports.time.now());
    this.#uncalled.delete(entry);
  }

  /**
   * Everything that time alone brings, longest silence first, each on the state that the one before left. Who is behind with calls of the
   * known does not hear in time either: it judges nobody, and when it has caught up that was time in which it could not listen. Strangers
   * whose calls are late are excused one by one, so that no crowd of them keeps others from being judged.
   */
  sweep(calls: Progress = PUNCTUAL): void {
    const now = this.#ports.time.now();
    this.#dropOldTombstones();
    if (this.#isBehind(now, calls.behindMs)) return;
    this.#forgiveDeafness(now);
    if (calls.unverifiedBehindMs >= this.sweepMs) this.#awaitUnverified(calls, now);
    this.#census(now);
    const waiting: Entry[] = [];
    for (const entry of this.#dueSet.restless) if (this.#due(entry, now) !== null) waiting.push(entry);
    if (waiting.length > 1) waiting.sort((a, b) => silentSince(a.vitals) - silentSince(b.vitals));
    for (const entry of waiting) this.#settle(entry, now);
    this.#rememberUses(now);
  }

  #isBehind(now: number, behindMs: number): boolean {
    const isBehind = behindMs >= this.#unusualMs;
    this.#behindSweeps = isBehind ? this.#behindSweeps + 1 : 0;
    if (this.#behindSweeps >= BEHIND_TOLD_AFTER && now - this.#toldAt >= TOLD_AGAIN_MS) {
      this.#toldAt = now;
      this.#ports.log.warn(
        `The registry has more to do than it can: calls are ${Math.round(behindMs)} ms late. Until it has caught up it judges nobody by silence. Give it fewer instances, a longer interval or a larger freshEvery (docs/SIZING.md).`,
      );
    }
    return isBehind;
  }

  /** A busy process is late by less than this. */
  get #unusualMs(): number {
    return Math.max(100, this.#ports.policy.intervalMs / 10);
  }

  #awaitUnverified(calls: Progress, now: number): void {
    for (const entry of this.#dueSet.restless) {
      if (entry.vitals.proved) continue;
      const dueAt = calls.dueAt(entry);
      if (dueAt < now) this.awaits(entry, dueAt);
    }
  }

  #due(entry: Entry, now: number): Event | null {
    return due(entry.vitals, now, this.#ports.policy, this.#fleetOf(entry, now));
  }

  /** One instance may take several steps in one moment (unproved → CRITICAL → LAST). */
  #settle(entry: Entry, now: number): void {
    for (let step = 0; step < 4; step += 1) {
      const event = this.#due(entry, now);
      if (event === null) return;
      const before = entry.vitals;
      if (!this.apply(entry, event) || entry.vitals === before) return;
    }
  }

  /** Time in which this process could not listen (paused, blocked) counts against nobody: clocks move, clamped to now. */
  #forgiveDeafness(now: number): void {
    const deafMs = this.#deafMs(now);
    this.#sweptAt = now;
    if (deafMs === 0) return;
    for (const entry of this.#ports.table.all()) entry.vitals = forgive(entry.vitals, deafMs, now);
    this.#forgivenAt = now;
    // at the edge of what it can do, it is behind and catches up all the time
    if (deafMs < this.#ports.policy.intervalMs && now - this.#toldAt < TOLD_AGAIN_MS) return;
    this.#toldAt = now;
    const text = `the registry could not listen for ${Math.round(deafMs)} ms; nobody is blamed for that time`;
    this.#ports.history.note({ kind: 'registry', by: 'registry', text });
    this.#ports.log.warn(`The registry could not listen for ${Math.round(deafMs)} ms; nobody is blamed for that time.`);
  }

  /** For how long it has not listened, as far as its sweeps can tell; 0 for what is ordinary. */
  #deafMs(now: number): number {
    const deafMs = now - this.#sweptAt - this.sweepMs;
    return deafMs < this.#unusualMs ? 0 : deafMs;
  }

  /** Before it is judged: the time in which its call was due and did not begin counts against nobody. */
  readonly #excuseUncalled = (entry: Entry, now: number): void => {
    const since = this.#uncalled.get(entry);
    if (since === undefined) return;
    this.#excuse(entry, since, now);
    this.#uncalled.set(entry, now);
  };

  /** Moves the clocks that only a call can stop. What `forgiveDeafness` forgives, or will, is not forgiven twice. */
  #excuse(entry: Entry, since: number, now: number): void {
    const until = this.#deafMs(now) === 0 ? now : this.#sweptAt;
    const lateMs = until - Math.max(since, this.#forgivenAt);
    if (lateMs >= this.sweepMs / 2 && entry.present) entry.vitals = excuse(entry.vitals, lateMs, now);
  }

  /** Tells self-preservation who is silent now, of those that were ever proved, and takes doubted proofs back. */
  #census(now: number): void {
    const { preservation } = this.#ports;
    this.#provedHosts.renew();
    this.#dueSet.update(now, { before: this.#excuseUncalled, isPast: this.#isPast });
    preservation.observe(now, this.#dueSet.counts);
    if (!preservation.observeRefusals(now, this.#refused(), this.#dueSet.total)) return;
    for (const entry of this.#dueSet.restless) if (entry.vitals.cause === 'proof') this.apply(entry, { type: 'doubt' });
  }

  /** Not heard since this process started, and a refusal of it is its host's own word. */
  readonly #isAtProvedHost = (entry: Entry): boolean =>
    entry.vitals.unheard !== null && this.#provedHosts.include(entry);

  /** It was refused like that: this says nothing of the network of now, so it counts neither as silent nor as refused. */
  readonly #isPast = (entry: Entry): boolean =>
    entry.vitals.lastFailure?.refused === true && this.#isAtProvedHost(entry);

  /** Where the proved ones live whose last call was refused. */
  #refused(): readonly { readonly host: string }[] {
    let refused: { readonly host: string }[] | null = null;
    for (const entry of this.#dueSet.restless) {
      const { vitals, targets } = entry;
      if (vitals.lastFailure?.refused !== true || !vitals.proved || vitals.phase === 'LEAVING') continue;
      if (this.#isPast(entry)) continue;
      refused ??= [];
      refused.push({ host: targets[0]?.host ?? '' });
    }
    return refused ?? NOBODY;
  }

  #fleetOf(entry: Entry, now: number): Fleet {
    return new FleetNow(this.#facts, entry, now);
  }

  /** Another revision of the record, to watchers and store. */
  #publish(entry: Entry, vitals: Vitals): void {
    const { feed, table, writeBehind, time, policy, log } = this.#ports;
    const state = stateOf(vitals);
    const before = entry.record;
    const moved = state !== before.state || vitals.since !== entry.vitals.since;
    const since = moved ? time.wall() : before.since;
    const revision = feed.nextRevision();
    table.update(entry, { vitals, record: { ...before, state, since, reason: vitals.reason, revision } });
    const next = forecast(vitals, policy, this.#fleetOf(entry, time.now()));
    const record = { ...entry.record, next };
    entry.record = record;
    writeBehind.remember({ put: storedOf(entry) });
    feed.publish(record);
    if (state !== before.state) log.info(`${entry.id} ${before.state} → ${state}: ${vitals.reason.text}`);
    const what = stepOf(before, record);
    if (what !== null) this.#ports.history.noteOf(record, what);
  }

  /** In the same turn as the records that silence made CRITICAL, so that a store keeps both or neither: a restart refills nothing. */
  #rememberUses(now: number): void {
    if (!this.#hasUsed) return;
    this.#hasUsed = false;
    this.#ports.writeBehind.remember({ preserve: this.#ports.preservation.save(now) });
  }

  #dropOldTombstones(): void {
    const { feed, table, writeBehind, time } = this.#ports;
    for (const tombstone of superfluous(table, time.now())) {
      table.forget(tombstone.id);
      feed.forget(tombstone);
      writeBehind.remember({ forget: tombstone.id });
    }
  }
}

const NOBODY: readonly { readonly host: string }[] = [];

/** Where the facts of the fleet come from. */
interface FleetFacts extends Pick<LifecycleEnginePorts, 'table' | 'preservation'> {
  readonly isAtProvedHost: (entry: Entry) => boolean;
}

/** The facts of the fleet about one instance at one moment, looked up when they are asked for: most events ask for none. */
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
    return this.#facts.table.others(this.#entry).healthy;
  }

  get otherCallable(): boolean {
    return this.#facts.table.others(this.#entry).callable;
  }

  get permit(): Fleet['permit'] {
    const { preservation, isAtProvedHost } = this.#facts;
    return {
      held: heldBy(preservation, this.#entry.serviceKey, this.#now),
      mass: preservation.doubtsProofs,
      hostProved: isAtProvedHost(this.#entry),
    };
  }
}

/** Why silence may act on nobody of this service now; null: it may. */
function heldBy(preservation: SelfPreservation, serviceKey: string, now: number): string | null {
  if (preservation.permit(serviceKey, now)) return null;
  return preservation.hold(serviceKey, now)?.text ?? '';
}

/** Another state, or another reason for the same one, as people are told of it; null where neither changed. */
function stepOf(before: Instance, { state, reason }: Instance): Happening | null {
  if (state === before.state && reason.code === before.reason.code) return null;
  const text = state === before.state ? `still ${state}, for another reason` : `${before.state} → ${state}`;
  return { kind: reason.code === 'MOVED' ? 'moved' : 'state', by: actorOf(reason), text, reason };
}
