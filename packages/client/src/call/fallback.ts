import { AsyncResource } from 'node:async_hooks';
import { messageOf } from '@rollcall/core';
import type { ErrorCode, Log, RollcallError } from '@rollcall/core';
import { WheelTimer } from './policy/timer-wheel.js';
import type { TimerWheel } from './policy/timer-wheel.js';
import type { CallObserver } from './service/call-request.js';

export interface FallbackParts {
  readonly fallback: (error: RollcallError) => unknown;
  readonly receiver: CallObserver;
  readonly deadlineAt: number;
  /** A stream gets no fallback after its first value. */
  readonly isStream: boolean;
  readonly wheel: TimerWheel;
  readonly log: Log;
  now(): number;
  /** Called when the fallback has produced a response. */
  fellBack(): void;
}

/** After these errors the caller no longer wants a response. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['CANCELLED', 'CLOSED']);

/**
 * Wraps the receiver of a call and asks the caller's fallback for a response when the call has failed. The fallback runs in the caller's
 * AsyncLocalStorage. The receiver gets exactly one result by the deadline, even if the fallback throws or never settles.
 */
export class Fallback extends WheelTimer implements CallObserver {
  readonly #parts: FallbackParts;
  readonly #home = new AsyncResource('rollcall.fallback');
  /** The error that the call ends with if the fallback gives no response; null: no fallback is under way. */
  #error: RollcallError | null = null;
  #hasValue = false;

  constructor(parts: FallbackParts) {
    super();
    this.#parts = parts;
  }

  next(value: unknown): void {
    this.#hasValue = true;
    this.#parts.receiver.next(value);
  }

  complete(): void {
    this.#parts.receiver.complete();
  }

  error(error: RollcallError): void {
    const { receiver, fallback, isStream, log } = this.#parts;
    if (FINAL.has(error.code) || (isStream && this.#hasValue)) return receiver.error(error);
    let answer: unknown;
    let isPromise = false;
    try {
      answer = this.#home.runInAsyncScope(() => fallback(error));
      isPromise = isThenable(answer);
    } catch (thrown) {
      log.error(`A fallback threw: ${messageOf(thrown)}`);
      return receiver.error(error);
    }
    if (isPromise) this.#wait(answer, error);
    else this.#give(answer);
  }

  override ring(): void {
    this.#refuse();
  }

  override stop(): void {
    this.#refuse();
  }

  #wait(answer: unknown, error: RollcallError): void {
    const { wheel, deadlineAt, log } = this.#parts;
    const now = this.#parts.now();
    this.#error = error;
    // without time left, the response is refused at the next tick; a later rejection is only logged
    wheel.arm(this, deadlineAt, now);
    // wrapped in a promise, because a foreign `then` may settle twice, settle synchronously or throw
    Promise.resolve(answer).then(
      (value) => this.#gave(value),
      (thrown: unknown) => {
        log.error(`A fallback threw: ${messageOf(thrown)}`);
        this.#refuse();
      },
    );
  }

  /** Handles the resolved promise, which may be too late. */
  #gave(value: unknown): void {
    if (this.#error === null) return;
    this.#settle();
    this.#give(value);
  }

  #give(value: unknown): void {
    const { receiver } = this.#parts;
    this.#parts.fellBack();
    receiver.next(value);
    receiver.complete();
  }

  #refuse(): void {
    const error = this.#error;
    if (error === null) return;
    this.#settle();
    this.#parts.receiver.error(error);
  }

  #settle(): void {
    this.#error = null;
    this.#parts.wheel.disarm(this);
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
