import { AsyncLocalStorage } from 'node:async_hooks';
import type { Inherited } from '@rollcall/client';
import { attemptOf, remainingMsOf } from '@rollcall/core';
import type { Time } from '@rollcall/core';

/** The values that one request passes on to the calls of its handler. */
class RequestDeadline implements Inherited {
  readonly deadlineAt: number;
  readonly isRetry: boolean;
  isOver = false;

  constructor(deadlineAt: number, isRetry: boolean) {
    this.deadlineAt = deadlineAt;
    this.isRetry = isRetry;
  }
}

/**
 * The values that requests pass on to the calls that their handlers make: the rest of their deadline, and whether they are
 * retries. It follows the code of a request through promises, guards, interceptors and handlers, and ends with the
 * request: work that a handler leaves behind (a timer, a cache that refreshes itself) inherits nothing after that. One
 * per application.
 *
 * Before Node 24, an AsyncLocalStorage slows down every promise of the process (a small handler takes twice as long),
 * so an application that makes no calls does not use one.
 */
export class DeadlineContext {
  readonly #storage = new AsyncLocalStorage<RequestDeadline>();
  readonly #open = new WeakMap<object, RequestDeadline>();
  readonly #time: Time;
  #isExpected = false;

  constructor(time: Time) {
    this.#time = time;
  }

  /** Enables the context, since this application calls others. May be called often. */
  expectCalls(): void {
    this.#isExpected = true;
  }

  /**
   * Runs `work` for an incoming request with its metadata. If that has no deadline (foreign callers, unreadable
   * values), the calls inherit nothing, also not from an outer request.
   */
  run<Result>(deadline: unknown, attempt: unknown, work: () => Result): Result {
    const legacy = deadline === undefined && attempt === undefined ? null : this.#read(deadline, attempt);
    // `isLate` reports a late request also if no call inherits
    if (legacy !== null && (this.#isExpected || this.#isPast(legacy))) return this.#storage.run(legacy, work);
    return this.current() === null ? work() : this.#storage.exit(work);
  }

  /** Binds `work` to the current request, wherever it is called from. */
  bound<Result>(work: () => Result): () => Result {
    const legacy = this.#storage.getStore();
    return legacy === undefined ? work : () => this.#storage.run(legacy, work);
  }

  /** Sets the key of the current request: an object of its transport. */
  begin(request: object): void {
    const legacy = this.#storage.getStore();
    if (legacy !== undefined) this.#open.set(request, legacy);
  }

  /** Ends the request. May be called twice, and for a request that never began. */
  end(request: object): void {
    const legacy = this.#open.get(request);
    if (legacy !== undefined) legacy.isOver = true;
  }

  /** The values that the current request passes on to its calls; null without a request, or if it has no deadline. */
  current(): Inherited | null {
    const legacy = this.#storage.getStore();
    return legacy === undefined || legacy.isOver ? null : legacy;
  }

  /** True if the caller of the current request no longer waits. */
  get isLate(): boolean {
    const inherited = this.current();
    return inherited !== null && this.#isPast(inherited);
  }

  #isPast({ deadlineAt }: Inherited): boolean {
    return deadlineAt <= this.#time.now();
  }

  #read(deadline: unknown, attempt: unknown): RequestDeadline | null {
    const remainingMs = remainingMsOf(deadline);
    const isRetry = attemptOf(attempt) > 1;
    if (remainingMs === null) return isRetry ? new RequestDeadline(Infinity, true) : null;
    return new RequestDeadline(this.#time.now() + remainingMs, isRetry);
  }
}
