import { isRollcallError, messageOf } from '@rollcall/core';
import type { ErrorCode, RollcallError } from '@rollcall/core';

/** `find` does no harm when it is executed twice, `book` does. */
export type Verb = 'find' | 'book';

/** What became of one call. */
export interface Outcome {
  readonly verb: Verb;
  /** Of this call alone. */
  readonly id: string;
  /** When it had to be made, on the clock of `performance.now`. */
  readonly dueAt: number;
  /** From then on, so that what is made late, or waits for others, is seen to be slow. */
  readonly ms: number;
  /** Who answered; null: nobody. */
  readonly instance: string | null;
  /** Null: all was well. */
  readonly failure: CallFailure | null;
}

export interface CallFailure {
  readonly code: ErrorCode | 'OTHER';
  readonly text: string;
  readonly retryable: boolean;
  /** `<instance> <outcome>`, in order. */
  readonly attempts: readonly string[];
}

/** Makes one call and says who answered. */
export type Ask = (verb: Verb, id: string) => Promise<string>;

/** Calls for each second. */
export type Rates = Readonly<Record<Verb, number>>;

/** A call that goes out so much later than it should is late: this process had no time. */
const LATE_MS = 20;

/** Calls whose time is set by the clock alone: none waits for another to be answered. */
export class OpenLoop {
  readonly outcomes: Outcome[] = [];
  /** How many were made late, and by how much at worst. */
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

  /** `name` makes its ids its own. */
  constructor(name: string, ask: Ask, rates: Rates) {
    this.#name = name;
    this.#ask = ask;
    this.rates = rates;
    this.#timer = setInterval(() => {
      this.#makeDue('find', rates.find);
      this.#makeDue('book', rates.book);
    }, 1);
  }

  /** Makes no more, and resolves when the last one is over. */
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
      if (now - dueAt > LATE_MS) this.late += 1;
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

/** Of these outcomes, so many of a hundred took at most so long, ms. */
export function quantileMs(outcomes: readonly Outcome[], share: number): number {
  const sorted = outcomes.map(({ ms }) => ms).toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
