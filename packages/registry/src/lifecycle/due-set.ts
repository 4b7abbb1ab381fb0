import { silence } from '@rollcall/core';
import type { Policy, Vitals } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import { DeadlineHeap } from '../runtime/deadline-heap.js';
import type { Count } from './self-preservation.js';

/** Who wakes within this time is awake already: what a clock reads must not depend on how its sum was rounded. */
const GRAIN_MS = 1;

/** What an instance counts as, and whether its waking is arranged. */
interface Mark {
  asleep: boolean;
  isCounted: boolean;
  isSilent: boolean;
  isUnheard: boolean;
}

/** Before each is looked at, and whether one counts nowhere though it was proved: it was gone before this process started. */
export interface DueSetEvents {
  readonly before?: (entry: Entry, now: number) => void;
  readonly isPast?: (entry: Entry) => boolean;
}

const NO_COUNT: Count = { total: 0, silent: 0, unheard: 0 };

/**
 * Whom time alone may change now. Who is HEALTHY, proved and without a failure cannot be silent before a moment that is known from
 * its clocks, and clocks only move on: until then nobody needs to look at it. So a sweep costs what the restless cost, not the fleet.
 *
 * It is told of every change that an event makes; everybody is restless until `update` has looked once.
 */
export class DueSet {
  readonly #policy: Policy;
  readonly #marks = new Map<Entry, Mark>();
  readonly #restless = new Set<Entry>();
  readonly #asleep = new DeadlineHeap<Entry>();
  readonly #counts = new Map<string, Count>();
  #total = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /** Those that were ever proved, but for who was gone before this process started, by service, as of the last `update`: each value is a new object when it changes. */
  get counts(): ReadonlyMap<string, Count> {
    return this.#counts;
  }

  /** How many these are, as of the last `update`. */
  get total(): number {
    return this.#total;
  }

  /** Everybody whom time, or the fleet, may change now. Others may be added while it is read. */
  get restless(): ReadonlySet<Entry> {
    return this.#restless;
  }

  /** An entry is new, or was removed. */
  wake(entry: Entry): void {
    this.#restless.add(entry);
  }

  /** An event changed it. Costs nothing for one that stays calm. */
  touch(entry: Entry): void {
    if (!isCalm(entry.vitals)) this.#restless.add(entry);
  }

  /** Wakes those whose time has come, counts the proved and the silent, and lets the calm sleep. */
  update(now: number, { before = () => {}, isPast = () => false }: DueSetEvents = {}): void {
    const awakeAt = now + GRAIN_MS;
    for (let next = this.#asleep.take(awakeAt); next !== null; next = this.#asleep.take(awakeAt)) {
      const mark = this.#marks.get(next.item);
      if (mark === undefined) continue; // it was removed
      mark.asleep = false;
      this.#restless.add(next.item);
    }
    for (const entry of this.#restless) {
      before(entry, now);
      this.#look(entry, now, isPast);
    }
  }

  #look(entry: Entry, now: number, isPast: (entry: Entry) => boolean): void {
    if (!entry.present) {
      this.#forget(entry);
      return;
    }
    const mark = this.#marks.get(entry) ?? this.#enter(entry);
    const { vitals } = entry;
    const silent = silence(vitals, now, this.#policy, this.#policy.unhealthyAfter);
    const isSilent = silent.inbound || silent.outbound;
    const isCounted = vitals.proved && vitals.phase !== 'LEAVING' && !isPast(entry);
    this.#count(entry, mark, {
      isCounted,
      isSilent: isCounted && (isSilent || vitals.lastFailure !== null),
      isUnheard: isCounted && vitals.unheard !== null,
    });
    if (isSilent || !isCalm(vitals)) return;
    const { intervalMs, timeoutMs, unhealthyAfter } = this.#policy;
    const silentAt = Math.min(vitals.inboundAt, vitals.outboundAt) + unhealthyAfter * intervalMs + timeoutMs;
    if (silentAt <= now + GRAIN_MS) return;
    this.#restless.delete(entry);
    if (mark.asleep) return; // it wakes sooner than it needs to, and sleeps on
    mark.asleep = true;
    this.#asleep.put(silentAt, entry);
  }

  #enter(entry: Entry): Mark {
    const mark = { asleep: false, isCounted: false, isSilent: false, isUnheard: false };
    this.#marks.set(entry, mark);
    return mark;
  }

  #forget(entry: Entry): void {
    this.#restless.delete(entry);
    const mark = this.#marks.get(entry);
    if (mark === undefined) return;
    this.#count(entry, mark, { isCounted: false, isSilent: false, isUnheard: false });
    this.#marks.delete(entry);
  }

  #count({ serviceKey }: Entry, mark: Mark, now: Omit<Mark, 'asleep'>): void {
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

const isCalm = (vitals: Vitals): boolean => vitals.phase === 'HEALTHY' && vitals.proved && vitals.lastFailure === null;
