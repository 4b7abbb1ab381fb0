import { excuse, forgive } from '@rollcall/core';
import type { Log, Policy, Time } from '@rollcall/core';
import type { EventHistory } from '../activity/events.js';
import type { HeartbeatLog } from '../activity/heartbeat-log.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';

/** The punctuality of the prober. */
export interface Progress {
  /**
   * How long the next call of a verified instance has been due, ms: more than a moment means that this process is
   * overloaded. Calls queued behind other calls do not count.
   */
  readonly behindMs: number;
  /** The same for unverified instances: many of them at once do not mean that this process is overloaded. */
  readonly unverifiedBehindMs: number;
  /** Due time of the next call of an instance; Infinity: none is scheduled, or its calls are suspended. */
  dueAt(entry: Entry): number;
}

export interface StallClockPorts {
  readonly time: Time;
  readonly log: Log;
  readonly policy: Policy;
  readonly table: Pick<InstanceTable, 'all'>;
  readonly history: Pick<EventHistory, 'note'>;
  readonly beats: Pick<HeartbeatLog, 'couldNotListen'>;
}

/**
 * Sweeps in a row (a second by default) that this process is behind before it logs that, and the time between two logs,
 * ms.
 */
const BEHIND_LOG_AFTER = 10;
const LOG_AGAIN_MS = 60_000;

/**
 * The time that does not count against instances, since this process could not listen or did not call: it was stalled
 * (paused, blocked) as a whole, or calls were due and had not begun.
 */
export class StallClock {
  /** The time between two sweeps, ms. */
  readonly sweepMs: number;
  readonly #ports: StallClockPorts;
  /** Instances whose call is due and has not begun, and up to when that delay was excused. */
  readonly #uncalled = new Map<Entry, number>();
  /** Time of the last complete sweep. */
  #sweptAt: number;
  /** Up to here the stalls of this process are forgiven. */
  #forgivenAt = -Infinity;
  /** Consecutive sweeps in which this process was behind, and when that, or lost time, was last logged. */
  #behindSweeps = 0;
  #loggedAt = -Infinity;

  constructor(ports: StallClockPorts) {
    this.#ports = ports;
    this.sweepMs = Math.min(100, Math.max(5, ports.policy.intervalMs / 50));
    this.#sweptAt = ports.time.now();
  }

  /** True if this process was behind with its calls at the last sweep. */
  get isBehind(): boolean {
    return this.#behindSweeps > 0;
  }

  /** A call that was due at `dueAt` is queued: until it begins, the clocks of Heartbeat-1 are paused. */
  callQueued(entry: Entry, dueAt: number): void {
    if (entry.present && !this.#uncalled.has(entry)) this.#uncalled.set(entry, dueAt);
  }

  /** The call due at `dueAt` begins now: its delay is not held against the instance. */
  callBegan(entry: Entry, dueAt: number): void {
    this.#excuse(entry, this.#uncalled.get(entry) ?? dueAt, this.#ports.time.now());
    this.#uncalled.delete(entry);
  }

  /**
   * A sweep begins: false if it must decide nothing, as the calls of verified instances are `behindMs` late. Otherwise
   * the time in which this process was stalled since the last sweep is forgiven.
   */
  beginSweep(now: number, behindMs: number): boolean {
    if (this.#noteDelay(now, behindMs)) return false;
    this.#forgiveStall(now);
    return true;
  }

  /** True if calls are too late; logs it when that lasts. */
  #noteDelay(now: number, behindMs: number): boolean {
    const isBehind = behindMs >= this.#lateLimitMs;
    this.#behindSweeps = isBehind ? this.#behindSweeps + 1 : 0;
    if (this.#behindSweeps >= BEHIND_LOG_AFTER && now - this.#loggedAt >= LOG_AGAIN_MS) {
      this.#loggedAt = now;
      this.#ports.log.warn(
        `The registry is overloaded: calls are ${Math.round(behindMs)} ms late. Until it has caught up, silence takes no instance out. Give it fewer instances, a longer interval or a larger freshEvery (docs/SIZING.md).`,
      );
    }
    return isBehind;
  }

  /** Delays below this, ms, are normal for a busy process. */
  get #lateLimitMs(): number {
    return Math.max(100, this.#ports.policy.intervalMs / 10);
  }

  /** Unverified instances whose calls have not begun are excused one by one. */
  awaitUnverified(pending: Iterable<Entry>, calls: Progress, now: number): void {
    for (const entry of pending) {
      if (entry.vitals.proved) continue;
      const dueAt = calls.dueAt(entry);
      if (dueAt < now) this.callQueued(entry, dueAt);
    }
  }

  /** Forgives the time in which this process was stalled (paused, blocked): clocks move forward, clamped to now. */
  #forgiveStall(now: number): void {
    const stallMs = this.#stallMs(now);
    this.#sweptAt = now;
    if (stallMs === 0) return;
    for (const entry of this.#ports.table.all()) entry.vitals = forgive(entry.vitals, stallMs, now);
    this.#forgivenAt = now;
    this.#ports.beats.couldNotListen({ fromMs: now - stallMs, toMs: now }, this.#ports.policy.intervalMs);
    // a process at its limit falls behind and catches up all the time
    if (stallMs < this.#ports.policy.intervalMs && now - this.#loggedAt < LOG_AGAIN_MS) return;
    this.#loggedAt = now;
    const text = `the registry could not listen for ${Math.round(stallMs)} ms; silence in that time does not count`;
    this.#ports.history.note({ kind: 'registry', by: 'registry', text });
    this.#ports.log.warn(
      `The registry could not listen for ${Math.round(stallMs)} ms; silence in that time does not count.`,
    );
  }

  /** Duration of a stall of this process, as seen by its sweeps; 0 for normal delays. */
  #stallMs(now: number): number {
    const stallMs = now - this.#sweptAt - this.sweepMs;
    return stallMs < this.#lateLimitMs ? 0 : stallMs;
  }

  /** Excuses, before an instance is evaluated, the time in which its call was due and had not begun. */
  readonly excuseUncalled = (entry: Entry, now: number): void => {
    const since = this.#uncalled.get(entry);
    if (since === undefined) return;
    this.#excuse(entry, since, now);
    this.#uncalled.set(entry, now);
  };

  /** The instance was removed. */
  forget(entry: Entry): void {
    this.#uncalled.delete(entry);
  }

  /**
   * Moves the clocks that only a call can stop. Time that `forgiveStall` forgives, or will forgive, is not forgiven
   * twice.
   */
  #excuse(entry: Entry, since: number, now: number): void {
    const until = this.#stallMs(now) === 0 ? now : this.#sweptAt;
    const lateMs = until - Math.max(since, this.#forgivenAt);
    if (lateMs >= this.sweepMs / 2 && entry.present) entry.vitals = excuse(entry.vitals, lateMs, now);
  }
}
