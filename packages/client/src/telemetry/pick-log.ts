import type { InstanceId } from '@rollcall/core';
import type { PickReason } from '../transport/tracing.js';

/** One recorded pick. */
export interface Pick {
  /** Monotonic, ms. */
  readonly at: number;
  readonly instance: InstanceId;
  /** The tier of the instance at the pick. */
  readonly tier: number;
  readonly reason: PickReason;
  /** True if the attempt was the probe of an ejected instance. */
  readonly isProbe: boolean;
  /** `success`, the kind of the failure, or `cancelled`; null: the attempt is under way. */
  readonly outcome: string | null;
  /** Null: under way. */
  readonly ms: number | null;
}

const KEPT = 16;

interface Slot {
  number: number;
  at: number;
  instance: InstanceId;
  tier: number;
  reason: PickReason;
  isProbe: boolean;
  outcome: string;
  endedAt: number;
}

/** The last 16 picks, for display. The slots are created once: recording a pick allocates no memory. */
export class PickLog {
  readonly #slots: readonly Slot[] = Array.from({ length: KEPT }, () => ({
    number: 0,
    at: 0,
    instance: '',
    tier: 0,
    reason: 'first',
    isProbe: false,
    outcome: '',
    endedAt: 0,
  }));
  #last = 0;

  /** Returns the number of the pick, under which its outcome is recorded. */
  note(
    pick: { readonly reason: PickReason; readonly isProbe: boolean },
    instance: InstanceId,
    tier: number,
    at: number,
  ): number {
    const number = this.#last + 1;
    this.#last = number;
    const slot = this.#slots[number % KEPT];
    if (slot === undefined) return number;
    slot.number = number;
    slot.at = at;
    slot.instance = instance;
    slot.tier = tier;
    slot.reason = pick.reason;
    slot.isProbe = pick.isProbe;
    slot.outcome = '';
    return number;
  }

  /** Records the outcome, unless the pick is no longer listed. */
  settle(number: number, outcome: string, now: number): void {
    const slot = this.#slots[number % KEPT];
    if (slot === undefined || slot.number !== number || number === 0) return;
    slot.outcome = outcome;
    slot.endedAt = now;
  }

  /** The newest first. */
  list(): readonly Pick[] {
    const noted = this.#slots.filter(({ number }) => number > 0).toSorted((one, other) => other.number - one.number);
    return noted.map(({ at, instance, tier, reason, isProbe, outcome, endedAt }) => {
      const end = outcome === '' ? { outcome: null, ms: null } : { outcome, ms: endedAt - at };
      return { at, instance, tier, reason, isProbe, ...end };
    });
  }
}
