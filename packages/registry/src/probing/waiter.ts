/** Who wants to pass. The turnstile owns `lane`. */
export interface Waiter {
  /** Who answers for it: strangers of different sources take turns. */
  readonly source: string;
  /** Does it come for the first time? Fixed while it waits. */
  readonly isNew: boolean;
  /** How many places it takes inside, ≥ 1. Fixed while it waits and while it is inside. */
  readonly places: number;
  /** In which lane it waits; null: it does not. */
  lane: Lane | null;
  /** It is inside. Whoever has passed leaves once, by the lane by which it came. */
  pass(lane: Lane): void;
}

export type Lane = 'urgent' | 'ordinary' | 'stranger';
