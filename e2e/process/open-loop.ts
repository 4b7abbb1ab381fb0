import { isRollcallError, messageOf } from '@rollcall/core';
import type { ErrorCode, RollcallError } from '@rollcall/core';

/** `find` may be executed twice, `book` must not. */
export type Verb = 'find' | 'book';

/** The result of one call. */
export interface Outcome {
  readonly verb: Verb;
  /** Unique to this call. */
  readonly id: string;
  /** When it was due, on the clock of `performance.now`. */
  readonly dueAt: number;
  /** Measured from `dueAt`, so that calls which are made late or wait for others count as slow. */
  readonly ms: number;
  /** The instance that answered; null: none. */
  readonly instance: string | null;
  /** Null: success. */
  readonly failure: CallFailure | null;
}

export interface CallFailure {
  readonly code: ErrorCode | 'OTHER';
  readonly text: string;
  readonly retryable: boolean;
  /** `<instance> <outcome>`, in order. */
  readonly attempts: readonly string[];
}

/** Makes one call; resolves with the id of the instance that answered. */
export type Ask = (verb: Verb, id: string) => Promise<string>;

/** Calls per second. */
export type Rates = Readonly<Record<Verb, number>>;

/** A call that is made this much later than due is late: this process had no time. */
const LATE_AFTER_MS = 20;

/** Calls at times set by the clock alone: none waits for another to be answered. */
export class OpenLoop {
  readonly outcomes: Outcome[] = [];
  /** How many calls were made late, and the largest delay. */
  late = 0;
  lagMs = 0;
  made = 0;
  readonly rates: Rates;
  readonly #ask: Ask;
  readonly #name: string;
  readonly #open = new Set<Promise<void>>();
  readonly #startedAt = performance.now();
  readonly #made: Record<Verb, number> = { find: 0, book: 0 };
  readonly #timer: NodeJS.Timeout;

  /** `name` makes its call ids unique. */
  constructor(name: string, ask: Ask, rates: Rates) {
    this.#name = name;
    this.#ask = ask;
    this.rates = rates;
    this.#timer = setInterval(() => {
      this.#makeDue('find', rates.find);
      this.#makeDue('book', rates.book);
    }, 1);
  }

  /** Stops making calls, and resolves when the last one is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
  }

  #makeDue(verb: Verb, perSecond: number): void {
    const now = performance.now();
    for (;;) {
      const dueAt = this.#startedAt + (this.#made[verb] * 1_000) / perSecond;
      if (dueAt > now) return;
      this.#made[verb] += 1;
      this.made += 1;
      this.lagMs = Math.max(this.lagMs, now - dueAt);
      if (now - dueAt > LATE_AFTER_MS) this.late += 1;
      this.#make(verb, dueAt);
    }
  }

  #make(verb: Verb, dueAt: number): void {
    const id = `${this.#name}-${verb}-${this.#made[verb]}`;
    const over = (instance: string | null, failure: CallFailure | null): void =>
      void this.outcomes.push({ verb, id, dueAt, ms: performance.now() - dueAt, instance, failure });
    const call = this.#ask(verb, id).then(
      (instance) => over(instance, null),
      (error: unknown) => over(null, failureOf(error)),
    );
    this.#open.add(call);
    void call.then(() => this.#open.delete(call));
  }
}

function failureOf(error: unknown): CallFailure {
  if (!isRollcallError(error)) return { code: 'OTHER', text: messageOf(error), retryable: false, attempts: [] };
  const { code, message, retryable, attempts }: RollcallError = error;
  return {
    code,
    text: message,
    retryable,
    attempts: attempts.map(({ instance, outcome }) => `${instance} ${outcome}`),
  };
}

/** The quantile of the durations of these outcomes, ms. */
export function quantileMs(outcomes: readonly Outcome[], share: number): number {
  const sorted = outcomes.map(({ ms }) => ms).toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
