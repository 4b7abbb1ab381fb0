import { fullJitterMs } from '@rollcall/core';
import type { Attempt as AttemptRecord, Protocol, Random, RollcallError } from '@rollcall/core';
import type { Ask, Selector } from './balance/balancer.js';
import type { Node } from './balance/node.js';
import { cancelledError, closedError, deadlineError, failureError, idleError } from './call-error.js';
import type { Story } from './call-error.js';
import type { Lane, Method, Station, Attempted } from './lane.js';
import { isTransparent, mayRetry, RETRY_BACKOFF } from './retry.js';
import type { RetryBudget } from './retry.js';
import type { Exchange, Failure, Sink, Terms } from './transport/transport.js';
import { Alarm } from './wheel.js';
import type { Wheel } from './wheel.js';

/** Who waits for a call. `complete` or `error` is the last word and comes once. None of them may throw. */
export interface Receiver {
  next(value: unknown): void;
  complete(): void;
  error(error: RollcallError): void;
}

/** What the calls to one service share. */
export interface Callee {
  readonly service: string;
  readonly budget: RetryBudget;
  readonly wheel: Wheel;
  readonly random: Random;
  now(): number;
  /** How many attempts a call may make whose last one was made there. */
  attemptsAt(node: Node): number;
  /** Called for each attempt after the first. */
  retried(): void;
  /** Why nobody can take the call. */
  noneError(protocol: Protocol, selector: Selector): RollcallError;
  /** Called once for each call, before its receiver hears the last word. `error`: null for success. */
  ended(startedAt: number, now: number, error: RollcallError | null): void;
}

/** One call's own terms. */
export interface CallTerms {
  readonly startedAt: number;
  readonly deadlineAt: number;
  /** Between two values of a stream, once the first has come. */
  readonly idleMs: number;
  readonly isIdempotent: boolean;
  /** `value`: the last value is the answer; `stream`: each is passed on, and the first ends the deadline; `event`: no answer. */
  readonly shape: 'value' | 'stream' | 'event';
  readonly selector: Selector;
  /** Attempts at most, whatever the policy says: 1 for a body that can be read only once. */
  readonly mostAttempts: number;
}

const NO_ATTEMPTS: readonly AttemptRecord[] = [];

/**
 * One call from its first attempt to its last word: deadline, attempt timeouts, and retries on other instances within the budget. It
 * is one object on one alarm; promises, closures and signals belong to whoever waits.
 */
export class Call<Request> extends Alarm implements Ask, Story {
  readonly service: string;
  readonly isIdempotent: boolean;
  readonly selector: Selector;
  readonly method: Method;
  readonly terms: CallTerms;
  now = 0;
  tried: Node | null = null;
  triedToo: Node | null = null;
  isProbe = false;
  attempts = NO_ATTEMPTS;
  /** Called before the last word. */
  onEnd: (() => void) | null = null;
  readonly #callee: Callee;
  readonly #lane: Lane<Request>;
  readonly #request: Request;
  readonly #receiver: Receiver;
  #current: Attempt<Request> | null = null;
  #count = 0;
  #waits = 0;
  #failure: Failure | null = null;
  #isStreaming = false;
  #isOver = false;

  constructor(callee: Callee, lane: Lane<Request>, errand: Errand<Request>) {
    super();
    this.service = callee.service;
    this.terms = errand.terms;
    this.isIdempotent = errand.terms.isIdempotent;
    this.selector = errand.terms.selector;
    this.method = errand.method;
    this.#callee = callee;
    this.#lane = lane;
    this.#request = errand.request;
    this.#receiver = errand.receiver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The number of the attempt under way; it counts from 1. */
  get count(): number {
    return this.#count;
  }

  /** A probe may fail, so another attempt has to be possible after it; or nothing that cannot be repeated is lost with it. */
  get probes(): Ask['probes'] {
    if (!this.isIdempotent) return 'once';
    return this.#count === 0 && this.#callee.budget.left(this.now) > 0 ? 'repeatable' : 'never';
  }

  /** From now on the deadline counts. */
  wait(now: number): void {
    this.#callee.wheel.arm(this, this.terms.deadlineAt, now);
  }

  /** Makes the first attempt. */
  begin(now: number): void {
    if (this.#isOver) return;
    this.#callee.budget.request(now);
    this.#try(now);
  }

  /** Somebody does not want the answer any more. Does nothing after the last word. */
  cancel(cause: unknown): void {
    if (this.#isOver) return;
    const now = this.#callee.now();
    const attempt = this.#current;
    attempt?.cancel();
    if (attempt !== null && !this.#isStreaming) {
      this.#lane.cancelled(attempt, now);
      this.#record(attempt, 'cancelled', now);
    }
    this.#end(cancelledError(this, cause), now);
  }

  /** Ends without an attempt having been made. */
  refuse(error: RollcallError): void {
    if (!this.#isOver) this.#end(error, this.#callee.now());
  }

  override stop(): void {
    if (this.#isOver) return;
    this.#current?.cancel();
    this.#end(closedError(this.service, this.attempts), this.#callee.now());
  }

  override ring(now: number): void {
    if (now >= this.terms.deadlineAt || this.#isStreaming) this.#timeUp(now);
    else if (this.#current === null) this.#try(now);
    else this.#hurry(this.#current, now);
  }

  value(attempt: Attempt<Request>, value: unknown): void {
    if (attempt !== this.#current) return;
    if (this.terms.shape === 'stream') {
      const now = this.#callee.now();
      if (!this.#isStreaming) this.#lane.answered(attempt, now);
      this.#isStreaming = true;
      this.#callee.wheel.arm(this, now + this.terms.idleMs, now);
    }
    this.#receiver.next(value);
  }

  /** The last value is the last word, too: who has it may go away, and that is no cancel. */
  last(attempt: Attempt<Request>, value: unknown): void {
    if (attempt !== this.#current) return;
    const now = this.#callee.now();
    if (!this.#isStreaming) this.#lane.answered(attempt, now);
    this.#close(null, now);
    this.#receiver.next(value);
    this.#receiver.complete();
  }

  done(attempt: Attempt<Request>): void {
    if (attempt !== this.#current) return;
    const now = this.#callee.now();
    if (this.terms.shape === 'event') this.#lane.written(attempt, now);
    else if (!this.#isStreaming) this.#lane.answered(attempt, now);
    this.#end(null, now);
  }

  failed(attempt: Attempt<Request>, failure: Failure): void {
    if (attempt !== this.#current) return;
    const now = this.#callee.now();
    this.#failure = failure;
    if (this.#isStreaming) return this.#fail(failure, now);
    this.#lane.failed(attempt, failure, now);
    this.#record(attempt, failure.kind, now);
    this.#current = null;
    const isHarmless = mayRetry(failure.kind, this.isIdempotent);
    const isPaid = (): boolean => isTransparent(failure.kind, this.#count) || this.#callee.budget.withdraw(now);
    if (!isHarmless || !this.#mayFollow(attempt.node) || !isPaid()) return this.#fail(failure, now);
    failure.fallback?.drop();
    this.#exclude(attempt.node);
    const node = this.#pick(now);
    if (node === null) this.#waitForAny(now);
    else this.#send(node, now);
  }

  /** May there be another attempt, after this one there? */
  #mayFollow(node: Node): boolean {
    return this.#count < Math.min(this.terms.mostAttempts, this.#callee.attemptsAt(node));
  }

  #try(now: number): void {
    const node = this.#pick(now);
    if (node !== null) this.#send(node, now);
    else if (this.#failure !== null) this.#fail(this.#failure, now);
    else this.#end(this.#callee.noneError(this.#lane.protocol, this.selector), now);
  }

  #pick(now: number): Station<Request> | null {
    this.now = now;
    return this.#lane.balancer.pick(this);
  }

  #exclude(node: Node): void {
    this.triedToo = this.tried;
    this.tried = node;
  }

  /** All have been tried: after a wait, anybody may be tried again. */
  #waitForAny(now: number): void {
    this.tried = null;
    this.triedToo = null;
    const waitMs = fullJitterMs(RETRY_BACKOFF, this.#waits, this.#callee.random);
    this.#waits += 1;
    this.#callee.wheel.arm(this, Math.min(now + waitMs, this.terms.deadlineAt), now);
  }

  #send(node: Station<Request>, now: number): void {
    if (this.#count > 0) this.#callee.retried();
    this.#count += 1;
    const patienceMs = this.#lane.patienceMs(this.method, node, now);
    const { deadlineAt, shape } = this.terms;
    const isCut = this.isIdempotent && this.#mayFollow(node);
    this.#callee.wheel.arm(this, isCut ? Math.min(deadlineAt, now + patienceMs) : deadlineAt, now);
    const attempt = new Attempt(this, node, now, patienceMs);
    this.#current = attempt;
    node.begin(now, shape !== 'event');
    attempt.exchange = node.channel.send(this.#request, attempt, attempt);
  }

  /** It takes long: it is given up for another instance, if there is one and the budget has room; else it goes on for a while. */
  #hurry(attempt: Attempt<Request>, now: number): void {
    const { tried, triedToo } = this;
    this.#exclude(attempt.node);
    const node = this.#callee.budget.left(now) > 0 ? this.#pick(now) : null;
    if (node === null) {
      this.tried = tried;
      this.triedToo = triedToo;
      return this.#callee.wheel.arm(this, Math.min(now + attempt.patienceMs, this.terms.deadlineAt), now);
    }
    this.#callee.budget.withdraw(now);
    this.#giveUp(attempt, now);
    this.#send(node, now);
  }

  #timeUp(now: number): void {
    const attempt = this.#current;
    if (this.#isStreaming) attempt?.cancel();
    else if (attempt !== null) this.#giveUp(attempt, now);
    const { startedAt, idleMs } = this.terms;
    this.#end(this.#isStreaming ? idleError(this, idleMs) : deadlineError(this, now - startedAt), now);
  }

  #giveUp(attempt: Attempt<Request>, now: number): void {
    attempt.cancel();
    this.#lane.failed(attempt, TIMEOUT, now);
    this.#record(attempt, TIMEOUT.kind, now);
  }

  #record(attempt: Attempt<Request>, outcome: string, now: number): void {
    const ms = Math.round(10 * (now - attempt.startedAt)) / 10;
    this.attempts = [...this.attempts, { instance: attempt.node.id, ms, outcome }];
  }

  #fail(failure: Failure, now: number): void {
    if (failure.kind === 'stopped') return this.#end(closedError(this.service, this.attempts), now);
    const { fallback } = failure;
    if (fallback === undefined) return this.#end(failureError(this, failure), now);
    this.#receiver.next(fallback.value);
    this.#end(null, now);
  }

  #end(error: RollcallError | null, now: number): void {
    this.#close(error, now);
    if (error === null) this.#receiver.complete();
    else this.#receiver.error(error);
  }

  #close(error: RollcallError | null, now: number): void {
    this.#isOver = true;
    this.#current = null;
    this.#callee.wheel.disarm(this);
    this.onEnd?.();
    this.#callee.ended(this.terms.startedAt, now, error);
  }
}

/** What is to be done, and for whom. */
export interface Errand<Request> {
  readonly request: Request;
  readonly method: Method;
  readonly terms: CallTerms;
  readonly receiver: Receiver;
}

const TIMEOUT: Failure = { kind: 'timeout', cause: null };

/** One try on one instance: what the transport is told, and whom it tells. */
class Attempt<Request> implements Sink, Terms, Attempted<Request> {
  readonly node: Station<Request>;
  readonly method: Method;
  readonly startedAt: number;
  readonly patienceMs: number;
  readonly remainingMs: number;
  readonly attempt: number;
  readonly isProbe: boolean;
  exchange: Exchange | null = null;
  readonly #call: Call<Request>;

  constructor(call: Call<Request>, node: Station<Request>, startedAt: number, patienceMs: number) {
    this.node = node;
    this.method = call.method;
    this.startedAt = startedAt;
    this.patienceMs = patienceMs;
    this.remainingMs = call.terms.deadlineAt - startedAt;
    this.attempt = call.count;
    this.isProbe = call.isProbe;
    this.#call = call;
  }

  get sentAt(): number {
    return this.exchange?.openedAt ?? this.startedAt;
  }

  next(value: unknown): void {
    this.#call.value(this, value);
  }

  last(value: unknown): void {
    this.#call.last(this, value);
  }

  complete(): void {
    this.#call.done(this);
  }

  fail(failure: Failure): void {
    this.#call.failed(this, failure);
  }

  cancel(): void {
    this.exchange?.cancel();
  }
}
