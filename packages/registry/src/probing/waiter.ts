/** A call that waits for admission. The limiter owns `lane`. */
export interface Waiter {
  /** Where it comes from: unverified waiters of different sources take turns. */
  readonly source: string;
  /** True if it comes for the first time. Fixed while it waits. */
  readonly isNew: boolean;
  /** The number of places it needs, ≥ 1. Fixed while it waits and while it is admitted. */
  readonly places: number;
  /** The lane in which it waits; null: it does not wait. */
  lane: Lane | null;
  /** Called when it is admitted. Each admitted waiter is released once, with the lane given here. */
  admit(lane: Lane): void;
}

export type Lane = 'urgent' | 'ordinary' | 'unverified';
