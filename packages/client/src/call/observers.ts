import { AsyncResource } from 'node:async_hooks';
import type { Protocol, RollcallError } from '@rollcall/core';
import type { CallTrace, CallTracer } from '../transport/tracing.js';
import type { CallRequest, CallObserver } from './service/call-request.js';

/** The observer of a stream. An error that it throws ends the stream and is logged. */
export interface StreamObserver {
  next(value: unknown): void;
  error(error: RollcallError): void;
  complete(): void;
}

/** Settles a promise with the last value of a call. */
export class LastValue implements CallObserver {
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: RollcallError) => void;
  #value: unknown;

  constructor(resolve: (value: unknown) => void, reject: (error: RollcallError) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  next(value: unknown): void {
    this.#value = value;
  }

  complete(): void {
    this.#resolve(this.#value);
  }

  error(error: RollcallError): void {
    this.#reject(error);
  }
}

/** Keeps only the last value: a response that broke off may have delivered an earlier one. */
export function only(receiver: CallObserver): CallObserver {
  const deliver = (value: unknown): void => {
    receiver.next(value);
    receiver.complete();
  };
  return new LastValue(deliver, (error) => receiver.error(error));
}

/**
 * Passes the values of a call to a stream observer. It shields the shared connection from errors of the observer, and
 * calls it in the AsyncLocalStorage of the subscriber.
 */
export class Listener implements CallObserver {
  readonly #home = new AsyncResource('rollcall.stream');
  readonly #observer: StreamObserver;
  readonly #thrown: (error: unknown) => void;
  #isOver = false;

  constructor(observer: StreamObserver, thrown: (error: unknown) => void) {
    this.#observer = observer;
    this.#thrown = thrown;
  }

  /** Stops passing on values. */
  close(): void {
    this.#isOver = true;
  }

  next(value: unknown): void {
    this.#pass(() => this.#observer.next(value));
  }

  complete(): void {
    this.#pass(() => this.#observer.complete());
    this.#isOver = true;
  }

  error(error: RollcallError): void {
    this.#pass(() => this.#observer.error(error));
    this.#isOver = true;
  }

  #pass(notify: () => void): void {
    if (this.#isOver) return;
    try {
      this.#home.runInAsyncScope(notify);
    } catch (error) {
      this.#isOver = true;
      this.#thrown(error);
    }
  }
}

/** Reports the outcome of a call to its trace before passing it to the observer. */
export class TracedObserver implements CallObserver {
  readonly #receiver: CallObserver;
  readonly #trace: CallTrace;

  constructor(receiver: CallObserver, trace: CallTrace) {
    this.#receiver = receiver;
    this.#trace = trace;
  }

  next(value: unknown): void {
    this.#receiver.next(value);
  }

  complete(): void {
    this.#trace.ended(null);
    this.#receiver.complete();
  }

  error(error: RollcallError): void {
    this.#trace.ended(error);
    this.#receiver.error(error);
  }
}

/** Starts a trace for the request if the tracer wants one. */
export function follow<Request>(
  tracer: CallTracer,
  protocol: Protocol,
  callRequest: CallRequest<Request>,
  service: string,
): void {
  const { request, method, callKind, receiver } = callRequest;
  const trace = tracer.begin({ service, protocol, method: method.name, shape: callKind.shape, request });
  if (trace === null) return;
  callRequest.trace = trace;
  callRequest.receiver = new TracedObserver(receiver, trace);
}
