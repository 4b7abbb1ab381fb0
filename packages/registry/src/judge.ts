import { due, forecast, forgive, silence, silentSince, stateOf, transition } from '@rollcall/core';
import type { Event, Fleet, Instance, Log, Policy, Reason, Time, Vitals } from '@rollcall/core';
import type { Feed } from './feed.js';
import type { Ledger } from './ledger.js';
import type { Preservation } from './preservation.js';

import { storedOf } from './roster.js';
import type { Entry, Roster } from './roster.js';

export interface JudgePorts {
  readonly time: Time;
  readonly log: Log;
  readonly policy: Policy;
  readonly roster: Roster;
  readonly preservation: Preservation;
  readonly feed: Feed;
  readonly ledger: Pick<Ledger, 'remember'>;
}

const TOMBSTONES_KEPT_MS = 600_000;

/** Passes every verdict: applies events to instances with the facts of the fleet, and publishes what changed. */
export class Judge {
  readonly #ports: JudgePorts;
  #sweptAt: number;
  /** Has silence acted since that was stored? */
  #hasUsed = false;

  constructor(ports: JudgePorts) {
    this.#ports = ports;
    this.#sweptAt = ports.time.now();
  }

  /** How often `sweep` wants to be called: the grain of all that time alone brings. */
  get sweepMs(): number {
    return Math.min(100, Math.max(5, this.#ports.policy.intervalMs / 50));
  }

  /** A new instance is on the roll. */
  enter(entry: Entry): void {
    this.#publish(entry, entry.vitals);
  }

  /** Fields outside the lifecycle changed (version, weight, endpoints …): `vitals` with them, and another revision. */
  amend(entry: Entry, record: Partial<Instance>, vitals: Vitals = entry.vitals): void {
    this.#ports.roster.update(entry, { record: { ...entry.record, ...record } });
    this.#publish(entry, vitals);
  }

  /** One event for one instance. True when it is still registered. */
  apply(entry: Entry, event: Event): boolean {
    if (!entry.present) return false;
    const { time, policy, preservation } = this.#ports;
    const now = time.now();
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
    return true;
  }

  /** Off the roll, with a tombstone; `ended`: this id never comes back. */
  remove(entry: Entry, reason: Reason, ended: boolean): void {
    const { feed, roster, ledger, time, log } = this.#ports;
    const { id, namespace, service } = entry.record;
    const revision = feed.nextRevision();
    const { secretHash } = entry.credential;
    const tombstone = { id, namespace, service, revision, reason, secretHash, ended, removedAt: time.wall() };
    roster.bury(entry, tombstone, time.now());
    ledger.remember({ bury: tombstone });
    feed.bury(namespace, service, { id, revision, reason });
    feed.gone(id, reason);
    log.info(`${id} removed: ${reason.text}`);
  }

  /** Everything that time alone brings, longest silence first, each on the state that the one before left. */
  sweep(): void {
    const { time, roster } = this.#ports;
    const now = time.now();
    this.#forgiveDeafness(now);
    this.#census(now);
    const waiting: Entry[] = [];
    for (const entry of roster.all()) if (this.#due(entry, now) !== null) waiting.push(entry);
    waiting.sort((a, b) => silentSince(a.vitals) - silentSince(b.vitals));
    for (const entry of waiting) this.#settle(entry, now);
    this.#dropOldTombstones();
    this.#rememberUses(now);
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
    const deafMs = now - this.#sweptAt - this.sweepMs;
    this.#sweptAt = now;
    if (deafMs < Math.max(100, this.#ports.policy.intervalMs / 10)) return;
    for (const entry of this.#ports.roster.all()) entry.vitals = forgive(entry.vitals, deafMs, now);
    this.#ports.log.warn(`The registry could not listen for ${Math.round(deafMs)} ms; nobody is blamed for that time.`);
  }

  /** Tells self-preservation who is silent now, of those that were ever proved, and takes doubted proofs back. */
  #census(now: number): void {
    const { roster, preservation, policy } = this.#ports;
    const counts = new Map<string, { total: number; silent: number }>();
    const refused: { host: string }[] = [];
    let all = 0;
    for (const entry of roster.all()) {
      if (!entry.vitals.proved || entry.vitals.phase === 'LEAVING') continue;
      all += 1;
      const count = counts.get(entry.serviceKey) ?? { total: 0, silent: 0 };
      counts.set(entry.serviceKey, count);
      count.total += 1;
      const silent = silence(entry.vitals, now, policy, policy.unhealthyAfter);
      if (silent.inbound || silent.outbound || entry.vitals.lastFailure !== null) count.silent += 1;
      if (entry.vitals.lastFailure?.refused === true) refused.push({ host: entry.targets[0]?.host ?? '' });
    }
    preservation.observe(now, counts);
    if (!preservation.observeRefusals(now, refused, all)) return;
    for (const entry of roster.all()) if (entry.vitals.cause === 'proof') this.apply(entry, { type: 'doubt' });
  }

  #fleetOf(entry: Entry, now: number): Fleet {
    const { roster, preservation } = this.#ports;
    const others = roster.others(entry);
    return {
      otherHealthy: others.healthy,
      otherCallable: others.callable,
      permit: { silence: preservation.permit(entry.serviceKey, now), mass: preservation.doubtsProofs },
    };
  }

  /** Another revision of the record, to watchers and store. */
  #publish(entry: Entry, vitals: Vitals): void {
    const { feed, roster, ledger, time, policy, log } = this.#ports;
    const state = stateOf(vitals);
    const before = entry.record;
    const moved = state !== before.state || vitals.since !== entry.vitals.since;
    const since = moved ? time.wall() : before.since;
    const revision = feed.nextRevision();
    roster.update(entry, { vitals, record: { ...before, state, since, reason: vitals.reason, revision } });
    const next = forecast(vitals, policy, this.#fleetOf(entry, time.now()));
    const record = { ...entry.record, next };
    entry.record = record;
    ledger.remember({ put: storedOf(entry) });
    feed.publish(record);
    if (state !== before.state) log.info(`${entry.id} ${before.state} → ${state}: ${vitals.reason.text}`);
  }

  /** In the same turn as the records that silence made CRITICAL, so that a store keeps both or neither: a restart refills nothing. */
  #rememberUses(now: number): void {
    if (!this.#hasUsed) return;
    this.#hasUsed = false;
    this.#ports.ledger.remember({ preserve: this.#ports.preservation.save(now) });
  }

  #dropOldTombstones(): void {
    const { feed, roster, ledger, time } = this.#ports;
    for (const tombstone of roster.tombstonesBefore(time.now() - TOMBSTONES_KEPT_MS)) {
      roster.forget(tombstone.id);
      feed.forget(tombstone);
      ledger.remember({ forget: tombstone.id });
    }
  }
}
