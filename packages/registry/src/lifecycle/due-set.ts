import { silence } from '@rollcall/core';
import type { Policy, Vitals } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import { DeadlineHeap } from '../runtime/deadline-heap.js';
import type { Count } from './self-preservation.js';

/** Deadlines within this time, ms, count as reached: results must not depend on how a sum was rounded. */
const TOLERANCE_MS = 1;

/** The counts that include an instance, and whether its deadline is scheduled. */
interface Mark {
  isScheduled: boolean;
  isCounted: boolean;
  isSilent: boolean;
  isUnheard: boolean;
}

/**
 * `before`: called before each instance is evaluated. `wasGoneBefore`: true for a proved instance that counts nowhere
 * because it was gone before this process started.
 */
export interface DueSetEvents {
  readonly before?: (entry: Entry, now: number) => void;
  readonly wasGoneBefore?: (entry: Entry) => boolean;
}

const NO_COUNT: Count = { total: 0, silent: 0, unheard: 0 };

/**
 * The instances whose state may change at the next sweep. A HEALTHY, proved instance without a failed call cannot be
 * silent before a time that follows from its clocks, and clocks only move forward: until then it is not evaluated. A
 * sweep therefore costs as much as the pending instances, not the fleet.
 *
 * It is informed of every change that an event makes; every instance is pending until the first `update`.
 */
export class DueSet {
  readonly #policy: Policy;
  readonly #marks = new Map<Entry, Mark>();
  readonly #pending = new Set<Entry>();
  readonly #deadlines = new DeadlineHeap<Entry>();
  readonly #counts = new Map<string, Count>();
  #total = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /**
   * Counts per service as of the last `update`, of the instances that were ever proved, without those gone before this
   * process started. A changed count is a new object.
   */
  get counts(): ReadonlyMap<string, Count> {
    return this.#counts;
  }

  /** The sum of the `total` of all counts, as of the last `update`. */
  get total(): number {
    return this.#total;
  }

  /** The instances that time, or the fleet, may change now. Others may be added while it is iterated. */
  get pending(): ReadonlySet<Entry> {
    return this.#pending;
  }

  /** Called when an entry is new or was removed. */
  wake(entry: Entry): void {
    this.#pending.add(entry);
  }

  /** Called when an event changed an entry. Free for an entry that stays stable. */
  touch(entry: Entry): void {
    if (!isStable(entry.vitals)) this.#pending.add(entry);
  }

  /**
   * Adds the instances whose deadline has come, counts the proved and the silent ones, and schedules the stable ones.
   */
  update(now: number, { before = () => {}, wasGoneBefore = () => false }: DueSetEvents = {}): void {
    const awakeAt = now + TOLERANCE_MS;
    for (let next = this.#deadlines.take(awakeAt); next !== null; next = this.#deadlines.take(awakeAt)) {
      const mark = this.#marks.get(next.item);
      if (mark === undefined) continue; // it was removed
      mark.isScheduled = false;
      this.#pending.add(next.item);
    }
    for (const entry of this.#pending) {
      before(entry, now);
      this.#evaluate(entry, now, wasGoneBefore);
    }
  }

  #evaluate(entry: Entry, now: number, wasGoneBefore: (entry: Entry) => boolean): void {
    if (!entry.present) {
      this.#forget(entry);
      return;
    }
    const mark = this.#marks.get(entry) ?? this.#enter(entry);
    const { vitals } = entry;
    const silent = silence(vitals, now, this.#policy, this.#policy.unhealthyAfter);
    const isSilent = silent.inbound || silent.outbound;
    const isCounted = vitals.proved && vitals.phase !== 'LEAVING' && !wasGoneBefore(entry);
    this.#count(entry, mark, {
      isCounted,
      isSilent: isCounted && (isSilent || vitals.lastFailure !== null),
      isUnheard: isCounted && vitals.unheard !== null,
    });
    if (isSilent || !isStable(vitals)) return;
    const { intervalMs, timeoutMs, unhealthyAfter } = this.#policy;
    const silentAt = Math.min(vitals.inboundAt, vitals.outboundAt) + unhealthyAfter * intervalMs + timeoutMs;
    if (silentAt <= now + TOLERANCE_MS) return;
    this.#pending.delete(entry);
    if (mark.isScheduled) return; // its earlier deadline comes first, and reschedules it
    mark.isScheduled = true;
    this.#deadlines.put(silentAt, entry);
  }

  #enter(entry: Entry): Mark {
    const mark = { isScheduled: false, isCounted: false, isSilent: false, isUnheard: false };
    this.#marks.set(entry, mark);
    return mark;
  }

  #forget(entry: Entry): void {
    this.#pending.delete(entry);
    const mark = this.#marks.get(entry);
    if (mark === undefined) return;
    this.#count(entry, mark, { isCounted: false, isSilent: false, isUnheard: false });
    this.#marks.delete(entry);
  }

  #count({ serviceKey }: Entry, mark: Mark, now: Omit<Mark, 'isScheduled'>): void {
    const isSame = mark.isCounted === now.isCounted && mark.isSilent === now.isSilent;
    if (isSame && mark.isUnheard === now.isUnheard) return;
    const more = Number(now.isCounted) - Number(mark.isCounted);
    const { total, silent, unheard = 0 } = this.#counts.get(serviceKey) ?? NO_COUNT;
    const count = {
      total: total + more,
      silent: silent + Number(now.isSilent) - Number(mark.isSilent),
      unheard: unheard + Number(now.isUnheard) - Number(mark.isUnheard),
    };
    if (count.total === 0) this.#counts.delete(serviceKey);
    else this.#counts.set(serviceKey, count);
    this.#total += more;
    mark.isCounted = now.isCounted;
    mark.isSilent = now.isSilent;
    mark.isUnheard = now.isUnheard;
  }
}

const isStable = (vitals: Vitals): boolean =>
  vitals.phase === 'HEALTHY' && vitals.proved && vitals.lastFailure === null;
