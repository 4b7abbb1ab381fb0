import { AsyncResource } from 'node:async_hooks';
import type { InstanceId, Log, Meter, Random, RollcallError, State, Suspicion, Time } from '@rollcall/core';
import { messageOf, STATES } from '@rollcall/core';
import { Call } from './attempt.js';
import type { CallTerms, Errand, Receiver } from './attempt.js';
import { bulkheadError, closedError, deadlineError, noCatalogError } from './call-error.js';
import { policyOf } from './call-options.js';
import type { CallOptions } from './call-options.js';
import { callInstruments, ServiceCallee } from './callee.js';
import type { Surroundings } from './callee.js';
import type { Services } from './catalog.js';
import { explain } from './explain.js';
import type { Explanation } from './explain.js';
import type { Lane } from './lane.js';
import { httpRequest, isIdempotent, isRepeatable, routeOf } from './transport/http-message.js';
import type { HttpRequest } from './transport/http-message.js';
import { HttpTransport } from './transport/http.js';
import { tcpRequest } from './transport/tcp-message.js';
import type { TcpRequest } from './transport/tcp-message.js';
import { TcpTransport } from './transport/tcp.js';
import type { Transport } from './transport/transport.js';
import { Wheel } from './wheel.js';

export interface CallsParts {
  readonly time: Time;
  readonly random: Random;
  readonly meter: Meter;
  readonly log: Log;
  readonly services: Services;
  readonly options: CallOptions;
  /** The ways to instances; default: TCP and HTTP as in `options`. A test or a simulation hands in its own. They are closed, too. */
  readonly transports?: { readonly tcp: Transport<TcpRequest>; readonly http: Transport<HttpRequest> };
  /** An instance failed us: the registry should have a look. Called for each failure. */
  suspect(instance: InstanceId, outcome: Suspicion['outcome']): void;
}

/** One call's own wishes; they override the policy of its service. */
export interface OneCall {
  /** In all, ms. Default: the policy's. */
  readonly deadlineMs?: number | undefined;
  /** What is left of the deadline of the request that this call is a part of, ms: the smaller of both counts. */
  readonly inheritedMs?: number | undefined;
  /** Between two values of a stream, ms. */
  readonly idleMs?: number | undefined;
  /** Does it no harm when it is executed twice? Then it is repeated after a broken connection or a timeout, too. Default: no. */
  readonly idempotent?: boolean | undefined;
  readonly allowedStates?: readonly State[] | 'any' | undefined;
  /** A version, or its first parts: `2` means every 2.x. Default: any. */
  readonly version?: string | undefined;
  /** Ends the call with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** Who listens to a stream. What it throws ends the stream and is logged. */
export interface StreamObserver {
  next(value: unknown): void;
  error(error: RollcallError): void;
  complete(): void;
}

/**
 * Calls to services, whichever instance answers: deadline > bulkhead > attempts within the retry budget > pick past the gates >
 * attempt timeout > transport, with one outcome that all of them learn from. Every promise settles, by its deadline at the latest.
 */
export class Calls {
  readonly #parts: CallsParts;
  readonly #around: Surroundings;
  readonly #callees = new Map<string, ServiceCallee>();
  #isClosed = false;

  constructor(parts: CallsParts) {
    const { time, random, log, services, options } = parts;
    this.#parts = parts;
    this.#around = {
      time,
      random,
      log,
      services,
      wheel: new Wheel(time),
      instruments: callInstruments(parts.meter),
      tcp: parts.transports?.tcp ?? new TcpTransport(time, options.tcp),
      http: parts.transports?.http ?? new HttpTransport(time, options.http),
      suspect: (id, outcome) => parts.suspect(id, outcome),
    };
  }

  /** Sends a Nest message and resolves with the last value of the answer. Rejects with a RollcallError, whose code says why. */
  call(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      const request = tcpRequest(pattern, data, false);
      const terms = this.#terms(callee, 'value', options);
      const method = callee.tcp.method(methodName(pattern));
      this.#start(callee, callee.tcp, { request, method, terms, receiver: new LastValue(resolve, reject) }, options);
    });
  }

  /** Sends a Nest event to one instance; resolves when it is written. It is repeated only if it was certainly not sent. */
  emit(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<void> {
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      const request = tcpRequest(pattern, data, true);
      const terms = { ...this.#terms(callee, 'event', options), isIdempotent: false };
      const method = callee.tcp.method(methodName(pattern));
      const receiver = new LastValue(() => resolve(), reject);
      this.#start(callee, callee.tcp, { request, method, terms, receiver }, options);
    });
  }

  /**
   * Sends a Nest message and passes on each value. The deadline runs to the first value, then `idleMs` from value to value. The
   * observer hears nothing after `cancel`, but perhaps a refusal before this has returned. Throws for data that JSON cannot say.
   */
  // eslint-disable-next-line max-params -- the shape of a call, with one more who listens
  stream(
    service: string,
    pattern: unknown,
    data: unknown,
    observer: StreamObserver,
    options?: OneCall,
  ): { cancel(): void } {
    const callee = this.#callee(service);
    const request = tcpRequest(pattern, data, false);
    const terms = this.#terms(callee, 'stream', options);
    const method = callee.tcp.method(methodName(pattern));
    const receiver = new Listener(observer, (error) => {
      this.#parts.log.error(`The observer of a stream of ${service} threw: ${messageOf(error)}`);
      call.cancel(error);
    });
    const call = this.#start(callee, callee.tcp, { request, method, terms, receiver }, options);
    return {
      cancel() {
        receiver.close();
        call.cancel(undefined);
      },
    };
  }

  /**
   * `fetch` on an instance of the service. Any status is an answer, as with `fetch`; 429, 502, 503 and 504 are given only when no other
   * attempt may be made. Redirects are answers, too: where they lead may be outside of the service. GET, HEAD, OPTIONS, PUT and
   * DELETE count as idempotent unless `options` says otherwise. `init.signal` ends the call; once there is an answer, cancel its body.
   */
  async fetch(service: string, path: string, init: RequestInit = {}, options: OneCall = {}): Promise<Response> {
    const request = await httpRequest(path, init);
    await this.#around.http.prepare();
    const callee = this.#callee(service);
    const wishes = { ...options, signal: options.signal ?? init.signal ?? undefined };
    const terms: CallTerms = {
      ...this.#terms(callee, 'value', wishes),
      isIdempotent: options.idempotent ?? isIdempotent(request),
      mostAttempts: isRepeatable(request) ? Infinity : 1,
    };
    const method = callee.http.method(routeOf(request));
    const answer = await new Promise<unknown>((resolve, reject) => {
      const receiver = new LastValue(resolve, reject);
      this.#start(callee, callee.http, { request, method, terms, receiver }, wishes);
    });
    if (answer instanceof Response) return answer;
    throw new TypeError('The HTTP transport gave no Response.');
  }

  /** What this process sees of a service and why it calls whom: for people. */
  explain(service: string): Explanation {
    return explain(this.#callee(service));
  }

  /** Has this process taken the instance out of use, over some protocol? */
  isEjected(instance: InstanceId): boolean {
    for (const { lanes } of this.#callees.values()) {
      if (lanes.some((lane) => (lane.balancer.node(instance)?.breaker.cause ?? null) !== null)) return true;
    }
    return false;
  }

  /** Ends all calls with CLOSED and closes every connection. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#around.wheel.close();
    for (const callee of this.#callees.values()) callee.close();
    this.#callees.clear();
    await Promise.all([this.#around.tcp.close(), this.#around.http.close()]);
  }

  #callee(service: string): ServiceCallee {
    const known = this.#callees.get(service);
    if (known !== undefined) return known;
    const callee = new ServiceCallee(service, policyOf(this.#parts.options, service), this.#around);
    // names may come from strangers: one that nobody knows is not kept
    const isKept = callee.view.status !== 'unknown' || callee.view.instances.length > 0;
    if (isKept && !this.#isClosed) this.#callees.set(service, callee);
    else callee.close();
    return callee;
  }

  #terms(callee: ServiceCallee, shape: CallTerms['shape'], options: OneCall | undefined): CallTerms {
    const { policy, standard } = callee;
    const startedAt = this.#parts.time.now();
    if (options === undefined) {
      return {
        startedAt,
        deadlineAt: startedAt + policy.deadlineMs,
        idleMs: policy.idleMs,
        isIdempotent: false,
        shape,
        selector: standard,
        mostAttempts: Infinity,
      };
    }
    const { allowedStates, version, deadlineMs = policy.deadlineMs, inheritedMs = Infinity } = options;
    return {
      startedAt,
      deadlineAt: startedAt + Math.min(deadlineMs, inheritedMs),
      idleMs: options.idleMs ?? policy.idleMs,
      isIdempotent: options.idempotent ?? false,
      shape,
      selector: callee.selector(allowedStates === 'any' ? STATES : allowedStates, version),
      mostAttempts: Infinity,
    };
  }

  #start<Request>(
    callee: ServiceCallee,
    lane: Lane<Request>,
    errand: Errand<Request>,
    options: OneCall | undefined,
  ): Call<Request> {
    const call = new Call(callee, lane, errand);
    const { startedAt, deadlineAt } = errand.terms;
    callee.inFlight += 1;
    const { signal } = options ?? NO_WISHES;
    if (this.#isClosed) call.refuse(closedError(callee.service));
    else if (callee.inFlight > callee.policy.maxConcurrent) {
      call.refuse(bulkheadError(callee.service, callee.policy.maxConcurrent));
    } else if (!(deadlineAt > startedAt)) call.refuse(deadlineError(call, 0));
    else if (signal !== undefined && !heed(signal, call)) call.cancel(signal.reason);
    else if (callee.view.status === 'waiting' && callee.view.instances.length === 0) void this.#await(callee, call);
    else call.begin(startedAt);
    return call;
  }

  /** Nothing is known of the service yet. */
  async #await<Request>(callee: ServiceCallee, call: Call<Request>): Promise<void> {
    call.wait(call.terms.startedAt);
    const waitMs = Math.min(callee.policy.catalogWaitMs, call.terms.deadlineAt - call.terms.startedAt);
    await this.#parts.services.settle(callee.view, waitMs);
    if (callee.view.status === 'waiting' && callee.view.instances.length === 0) {
      call.refuse(noCatalogError(callee.service, waitMs));
    } else call.begin(this.#parts.time.now());
  }
}

const NO_WISHES: OneCall = {};

/** Listens to the signal as long as the call goes on. False if it was aborted before. */
function heed<Request>(signal: AbortSignal, call: Call<Request>): boolean {
  if (signal.aborted) return false;
  const abort = (): void => call.cancel(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  call.onEnd = () => signal.removeEventListener('abort', abort);
  return true;
}

function methodName(pattern: unknown): string {
  return typeof pattern === 'string' ? pattern : JSON.stringify(pattern);
}

/** A promise's end of a call. */
class LastValue implements Receiver {
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

/**
 * A stream's end of a call. It shields the connection, which others share, from what the observer throws, and calls the observer in
 * the AsyncLocalStorage of whoever subscribed.
 */
class Listener implements Receiver {
  readonly #home = new AsyncResource('rollcall.stream');
  readonly #observer: StreamObserver;
  readonly #thrown: (error: unknown) => void;
  #isOver = false;

  constructor(observer: StreamObserver, thrown: (error: unknown) => void) {
    this.#observer = observer;
    this.#thrown = thrown;
  }

  /** Nothing is passed on any more. */
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

  #pass(tell: () => void): void {
    if (this.#isOver) return;
    try {
      this.#home.runInAsyncScope(tell);
    } catch (error) {
      this.#isOver = true;
      this.#thrown(error);
    }
  }
}
