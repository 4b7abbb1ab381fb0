import { AsyncLocalStorage } from 'node:async_hooks';
import type { Inherited } from '@rollcall/client';
import { attemptOf, remainingMsOf } from '@rollcall/core';
import type { Time } from '@rollcall/core';

/** What one request leaves to its calls, as long as it is handled. */
class Legacy implements Inherited {
  readonly deadlineAt: number;
  readonly isRetry: boolean;
  isOver = false;

  constructor(deadlineAt: number, isRetry: boolean) {
    this.deadlineAt = deadlineAt;
    this.isRetry = isRetry;
  }
}

/**
 * What requests leave to the calls that are made while they are handled: the rest of their deadline, and whether they are repetitions.
 * It follows the code of a request through promises, guards, interceptors and handlers, and ends with the request: what a handler
 * starts and leaves behind (a timer, a cache that refreshes itself) inherits nothing any more. One per application.
 *
 * An AsyncLocalStorage has a price that every promise of the process pays, before Node 24 (with it a small handler takes twice as
 * long): it is not begun in an application that calls nobody.
 */
export class DeadlineContext {
  readonly #storage = new AsyncLocalStorage<Legacy>();
  readonly #open = new WeakMap<object, Legacy>();
  readonly #time: Time;
  #isExpected = false;

  constructor(time: Time) {
    this.#time = time;
  }

  /** This application calls others: from now on there is somebody to inherit. May be called often. */
  expectCalls(): void {
    this.#isExpected = true;
  }

  /**
   * Does `work` for a request that comes in now, with what travels with it. Where that says nothing (foreign callers, values that
   * cannot be read) there is nothing to inherit, also not from whatever happened to be around.
   */
  run<Result>(deadline: unknown, attempt: unknown, work: () => Result): Result {
    const legacy = deadline === undefined && attempt === undefined ? null : this.#read(deadline, attempt);
    // whoever comes too late is told so by `isLate`, also where nobody inherits
    if (legacy !== null && (this.#isExpected || this.#isPast(legacy))) return this.#storage.run(legacy, work);
    return this.current() === null ? work() : this.#storage.exit(work);
  }

  /** `work`, done for the request that this code works for, wherever it is called from. */
  bound<Result>(work: () => Result): () => Result {
    const legacy = this.#storage.getStore();
    return legacy === undefined ? work : () => this.#storage.run(legacy, work);
  }

  /** From here on the request that this code works for has a name: an object of its transport's own. */
  begin(request: object): void {
    const legacy = this.#storage.getStore();
    if (legacy !== undefined) this.#open.set(request, legacy);
  }

  /** The request is over. May be called twice, and for a request that never began. */
  end(request: object): void {
    const legacy = this.#open.get(request);
    if (legacy !== undefined) legacy.isOver = true;
  }

  /** What the request that this code works for leaves to its calls; null: it works for none, or for one that said nothing. */
  current(): Inherited | null {
    const legacy = this.#storage.getStore();
    return legacy === undefined || legacy.isOver ? null : legacy;
  }

  /** Does nobody wait any more for the answer of the request that this code works for? */
  get isLate(): boolean {
    const inherited = this.current();
    return inherited !== null && this.#isPast(inherited);
  }

  #isPast({ deadlineAt }: Inherited): boolean {
    return deadlineAt <= this.#time.now();
  }

  #read(deadline: unknown, attempt: unknown): Legacy | null {
    const remainingMs = remainingMsOf(deadline);
    const isRetry = attemptOf(attempt) > 1;
    if (remainingMs === null) return isRetry ? new Legacy(Infinity, true) : null;
    return new Legacy(this.#time.now() + remainingMs, isRetry);
  }
}
