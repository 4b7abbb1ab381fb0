import { fullJitterMs } from '@rollcall/core';
import type { RollcallError } from '@rollcall/core';
import type { PickReason } from '../transport/tracing.js';
import { TIMEOUT } from '../transport/transport.js';
import type { Failure } from '../transport/transport.js';
import { Attempt } from './attempt.js';
import type { TriedCall } from './attempt.js';
import { CallState } from './call-state.js';
import { HedgeTimer, hedgeDelayMs } from './policy/hedge.js';
import type { Hedgeable } from './policy/hedge.js';
import { isUnexecuted, mayRetry, RETRY_BACKOFF } from './policy/retry.js';
import {
  cancelledError,
  closedError,
  deadlineError,
  failureError,
  idleError,
  timeoutError,
} from './service/call-error.js';
import type { CallFacts } from './service/call-error.js';
import type { ConnectedNode } from './service/connected-node.js';
import type { PendingCall, PendingEntry } from './service/pending-queue.js';

/** A timer with a resolution of 1 ms may fire this much early, ms. */
const TIMER_TOLERANCE_MS = 1;
/** How often a waiting call re-evaluates the reason, which decides how long it may wait, ms. */
const REVIEW_MS = 2_000;

/**
 * One call from its first attempt to its result: deadline, attempt timeouts, retries on other instances and a hedge within the budget. It
 * uses one object and one timer (and a second one if it may be hedged); promises, closures and signals belong to its observer. It fails
 * only when its deadline passes or it is refused permanently, not on an estimate of this process: while no instance accepts it (limits,
 * ejections, no connection, an empty copy of the registry), it waits in the upstream's queue.
 */
export class Call<Request> extends CallState<Request> implements CallFacts, Hedgeable, TriedCall<Request>, PendingCall {
  /** Called before the observer gets the result. */
  onEnd: (() => void) | null = null;
  #current: Attempt<Request> | null = null;
  /** The slow attempt that continues beside the current one, which is its hedge. */
  #hedged: Attempt<Request> | null = null;
  #hedgeAlarm: HedgeTimer | null = null;
  /** The entry in the queue of waiting calls; null: the call does not wait. */
  #pending: PendingEntry | null = null;
  #waits = 0;
  /** The last failure, while the call may still end with it. */
  #failure: Failure | null = null;
  #isStreaming = false;
  /** True once a value of an incomplete response has been passed on. */
  #isPartial = false;
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Makes the first attempt, or queues behind the calls that already wait for an instance. */
  begin(now: number): void {
    if (this.#isOver) return;
    this.callee.budget.request(now);
    if (this.upstream.pending.size === 0) return this.#try(now);
    this.#wait(now);
    this.upstream.serve(now);
  }

  sendPending(now: number): boolean {
    const node = this.pick(now);
    if (node === null) return false;
    this.#pending = null;
    this.#dropFailure();
    this.#send(node, this.count === 0 ? 'first' : 'retry', now);
    return true;
  }

  isTooLate(now: number): boolean {
    return this.deadlineAt - now < (this.method.latency.p95Ms(now) ?? 0);
  }

  /** Cancels the call; a no-op once it has settled. */
  cancel(cause: unknown): void {
    if (this.#isOver) return;
    const now = this.callee.now();
    if (this.#isStreaming) this.#current?.cancel();
    else {
      this.#abandon(this.#hedged, now);
      this.#abandon(this.#current, now);
    }
    this.#end(cancelledError(this, cause), now);
    this.upstream.serve(now);
  }

  /** Ends the call with this error, before any attempt is made. */
  refuse(error: RollcallError): void {
    if (!this.#isOver) this.#end(error, this.callee.now());
  }

  override stop(): void {
    if (this.#isOver) return;
    this.#hedged?.cancel();
    this.#current?.cancel();
    this.#end(closedError(this.service, this.attempts), this.callee.now());
  }

  override ring(now: number): void {
    const attempt = this.#current;
    if (this.#pending !== null) this.#reviewWait(now);
    else if (now >= this.deadlineAt || this.#isStreaming) this.#timeUp(now);
    else if (attempt === null) this.#try(now);
    else this.#replaceSlow(attempt, now);
    this.upstream.serve(now);
  }

  /** Starts a second attempt on another instance beside the slow first one, if both budgets (hedges, retries) allow it. */
  hedge(now: number): void {
    const slow = this.#current;
    if (slow === null || this.count !== 1 || !this.canRetryAfter(slow.node)) return;
    const hedges = this.method.hedges(this.callee.hedgeRatio);
    if (hedges.left(now) === 0 || this.callee.budget.left(now) === 0) return;
    const node = this.pickOther(slow.node, now);
    if (node === null) return;
    hedges.withdraw(now);
    this.callee.budget.withdraw(now);
    this.#hedged = slow;
    this.#send(node, 'hedge', now);
  }

  value(attempt: Attempt<Request>, value: unknown): void {
    if (!this.#isWanted(attempt)) return;
    if (this.terms.shape === 'stream') this.#stream(attempt, this.callee.now());
    else if (this.#hedgeAlarm !== null) this.#prefer(attempt, this.callee.now());
    this.#isPartial = true;
    this.callRequest.receiver.next(value);
    this.upstream.serve(this.now);
  }

  /** Delivers the last value and ends the call: an observer that unsubscribes once it has the value does not cancel the call. */
  last(attempt: Attempt<Request>, value: unknown): void {
    if (!this.#isWanted(attempt)) return;
    const now = this.callee.now();
    if (this.#hedged !== null) this.#prefer(attempt, now);
    if (!this.#isStreaming) this.upstream.answered(attempt, now);
    this.#close(null, now);
    this.callRequest.receiver.next(value);
    this.callRequest.receiver.complete();
    this.upstream.serve(now);
  }

  done(attempt: Attempt<Request>): void {
    if (!this.#isWanted(attempt)) return;
    const now = this.callee.now();
    if (this.#hedged !== null) this.#prefer(attempt, now);
    if (this.terms.shape === 'event') this.upstream.written(attempt, now);
    else if (!this.#isStreaming) this.upstream.answered(attempt, now);
    this.#end(null, now);
    this.upstream.serve(now);
  }

  failed(attempt: Attempt<Request>, failure: Failure): void {
    if (!this.#isWanted(attempt)) return;
    const now = this.callee.now();
    if (this.#isStreaming) this.#fail(failure, now);
    else this.#attemptFailed(attempt, failure, now);
    this.upstream.serve(now);
  }

  #attemptFailed(attempt: Attempt<Request>, failure: Failure, now: number): void {
    this.#failure = failure;
    this.upstream.failed(attempt, failure, now);
    this.record(attempt, failure.kind, now);
    const partner = attempt === this.#current ? this.#hedged : this.#current;
    this.#current = partner;
    this.#hedged = null;
    if (!mayRetry(failure.kind, this.isIdempotent)) {
      this.#abandon(partner, now);
      return this.#fail(failure, now);
    }
    if (partner === null) return this.#retry(attempt, failure, now);
    this.#dropFailure();
    if (this.tried !== attempt.node) this.exclude(attempt.node);
    this.#armTimer(partner, now);
  }

  #isWanted(attempt: Attempt<Request>): boolean {
    return attempt === this.#current || attempt === this.#hedged;
  }

  #try(now: number): void {
    if (!this.sendPending(now)) this.#wait(now);
  }

  /** No instance accepts the call now: it waits for one, as long as its deadline and the reason allow. */
  #wait(now: number): void {
    this.clearExclusions();
    const waitMs = this.callee.beginWait(this.upstream.protocol, this.selector);
    if (waitMs <= 0) return this.#endUnsent(now);
    this.#pending = this.upstream.pending.add(this, now);
    this.callee.wheel.arm(this, Math.min(this.deadlineAt, now + Math.min(waitMs, REVIEW_MS)), now);
  }

  /** Re-evaluates why the call waits: a new reason may allow a longer or shorter wait. */
  #reviewWait(now: number): void {
    const waitMs = this.callee.pendingMs(this.upstream.protocol, this.selector);
    const until = Math.min(this.deadlineAt, (this.#pending?.sinceMs ?? now) + waitMs);
    if (now < until) this.callee.wheel.arm(this, until, now);
    else this.#endUnsent(now);
  }

  /** Ends with the last failure if there is one: it is more specific than the error for a call without an instance. */
  #endUnsent(now: number): void {
    if (this.#failure !== null) this.#fail(this.#failure, now);
    else this.#end(this.callee.noneError(this.upstream.protocol, this.selector), now);
  }

  /** Repeats a failed attempt on another instance at once if that is allowed and safe; else ends with the failure. */
  #retry(attempt: Attempt<Request>, failure: Failure, now: number): void {
    const { node } = attempt;
    if (failure.kind === 'moved') return this.#try(now);
    if (!this.canRetryAfter(node)) return this.#fail(failure, now);
    if (!this.withdrawRetry(attempt, failure.kind, now)) {
      // a request that was certainly not executed may wait, which causes no load; one that is itself a retry ends here
      const mayWait = isUnexecuted(failure.kind) && !this.terms.isRetry;
      return mayWait ? this.#retryAfterBackoff(failure, now) : this.#fail(failure, now);
    }
    this.exclude(node);
    const other = this.pick(now);
    if (other === null) return this.#retryAfterBackoff(failure, now);
    this.#dropFailure();
    this.#send(other, 'retry', now);
  }

  /** All instances have been tried: after a backoff each of them may be tried again. */
  #retryAfterBackoff(failure: Failure, now: number): void {
    const jitterMs = fullJitterMs(RETRY_BACKOFF, this.#waits, this.callee.random);
    const waitMs = Math.max(jitterMs, failure.retryAfterMs ?? 0);
    if (now + waitMs >= this.deadlineAt) return this.#fail(failure, now);
    this.clearExclusions();
    this.#waits += 1;
    this.callee.wheel.arm(this, now + waitMs, now);
  }

  #send(node: ConnectedNode<Request>, reason: PickReason, now: number): void {
    if (reason !== 'first') this.callee.retried(node, reason === 'hedge', now);
    if (this.#isPartial) this.#discardPartial();
    this.count += 1;
    const patienceMs = this.upstream.patienceMs(this.method, node, this.terms.timeoutMs, now);
    const attempt = new Attempt(this, node, reason, patienceMs);
    this.#current = attempt;
    this.#armTimer(attempt, now);
    this.upstream.begin(attempt, this.terms.shape !== 'event', now);
    attempt.send(this.callRequest.request);
    if (reason === 'first' && this.terms.hedge !== 'never') this.#expectHedge(now);
  }

  /** Discards partial values of a broken response before the retry, whose response may have no value at all. */
  #discardPartial(): void {
    this.#isPartial = false;
    this.callRequest.receiver.next(undefined);
  }

  /** Arms the timer for the next look at the attempt: connect timeout, patience if it may be replaced, timeout or deadline. */
  #armTimer(attempt: Attempt<Request>, now: number): void {
    const { timeoutMs } = this.terms;
    const isCut = this.isIdempotent && this.canRetryAfter(attempt.node);
    const maxMs = Math.min(timeoutMs, this.upstream.connectTimeoutMs, isCut ? attempt.patienceMs : Infinity);
    this.callee.wheel.arm(this, Math.min(this.deadlineAt, attempt.startedAt + maxMs), now);
  }

  /** The attempt is slow: replaces it with one on another instance if there is one and the budget allows it; otherwise lets it continue. */
  #replaceSlow(attempt: Attempt<Request>, now: number): void {
    const timesOutAt = Math.min(attempt.startedAt + this.terms.timeoutMs, this.deadlineAt);
    const node = this.#otherThan(attempt, now);
    if (node === null) {
      if (now >= timesOutAt) return this.#timeUp(now);
      return this.callee.wheel.arm(this, Math.min(this.#nextLookAt(attempt, now), timesOutAt), now);
    }
    if (attempt.isSent) this.callee.budget.withdraw(now);
    this.#giveUp(this.#hedged, now);
    this.#giveUp(attempt, now);
    this.#hedged = null;
    this.#send(node, 'retry', now);
  }

  #nextLookAt(attempt: Attempt<Request>, now: number): number {
    if (!attempt.isSent) return now + this.upstream.connectTimeoutMs;
    if (!this.isIdempotent) return Infinity;
    return attempt.isSlow(now) ? now + attempt.patienceMs : attempt.sentAt + attempt.patienceMs;
  }

  /** The instance for a replacement, if one is allowed. An unsent request may always move, without cost to the budget. */
  #otherThan(attempt: Attempt<Request>, now: number): ConnectedNode<Request> | null {
    const { node } = attempt;
    const isSlow = this.isIdempotent && attempt.isSlow(now);
    if (!attempt.isSent) {
      const mayMove = (isSlow && this.count === 1) || this.upstream.isStalled(attempt, now);
      return mayMove ? this.pickConnected(node, now) : null;
    }
    if (!isSlow || !this.canRetryAfter(node)) return null;
    if (this.callee.budget.left(now) > 0) return this.pickOther(node, now);
    this.callee.exhausted(node, TIMEOUT.kind);
    return null;
  }

  #timeUp(now: number): void {
    if (this.#isStreaming) this.#current?.cancel();
    else {
      this.#giveUp(this.#hedged, now);
      this.#giveUp(this.#current, now);
    }
    const { startedAt, deadlineAt } = this;
    const { idleMs, timeoutMs } = this.terms;
    if (this.#isStreaming) this.#end(idleError(this, idleMs), now);
    else this.#end(now < deadlineAt ? timeoutError(this, timeoutMs) : deadlineError(this, now - startedAt), now);
  }

  /** Gives up an attempt as too slow, which counts against its instance. */
  #giveUp(attempt: Attempt<Request> | null, now: number): void {
    if (attempt === null) return;
    const { isSent } = attempt;
    attempt.cancel();
    // connecting may take as long as the network needs: a connection that is not open yet is not a failure of the instance
    const failure = isSent ? TIMEOUT : (attempt.node.channel.stall ?? null);
    if (failure === null) this.upstream.cancelled(attempt, now);
    else this.upstream.failed(attempt, failure, now);
    this.record(attempt, failure?.kind ?? 'cancelled', now);
    if (failure === null) this.unexecuted += 1;
  }

  /** Gives up an attempt that is no longer needed, which does not count against its instance. */
  #abandon(attempt: Attempt<Request> | null, now: number): void {
    if (attempt === null) return;
    attempt.cancel();
    this.upstream.cancelled(attempt, now);
    this.record(attempt, 'cancelled', now);
  }

  #stream(attempt: Attempt<Request>, now: number): void {
    this.#prefer(attempt, now);
    if (!this.#isStreaming) this.upstream.answered(attempt, now);
    this.#isStreaming = true;
    this.callee.wheel.arm(this, now + this.terms.idleMs, now);
  }

  #expectHedge(now: number): void {
    if (this.#isOver) return;
    this.method.hedges(this.callee.hedgeRatio).request(now);
    const hedgeAt = now + hedgeDelayMs(this.terms.hedge, this.method.latency, now);
    if (!(hedgeAt < this.deadlineAt)) return;
    this.#hedgeAlarm = new HedgeTimer(this);
    this.callee.hedgeWheel.arm(this.#hedgeAlarm, hedgeAt, now);
  }

  /** The first good response, or its first value, wins: the other attempt and the hedge timer end. */
  #prefer(attempt: Attempt<Request>, now: number): void {
    const loser = attempt === this.#current ? this.#hedged : this.#current;
    if (this.#hedgeAlarm !== null) this.callee.hedgeWheel.disarm(this.#hedgeAlarm);
    if (loser === null) return;
    this.#current = attempt;
    this.#hedged = null;
    loser.cancel();
    this.upstream.overtaken(loser, attempt, now);
    this.record(loser, 'cancelled', now);
    this.#armTimer(attempt, now);
  }

  /** Discards the last failure and its response: the call continues. */
  #dropFailure(): void {
    this.#failure?.fallback?.drop();
    this.#failure = null;
  }

  #fail(failure: Failure, now: number): void {
    const { fallback, kind } = failure;
    if (kind === 'stopped') return this.#end(closedError(this.service, this.attempts), now);
    // a server that knows the deadline may be the first to report that it has passed
    if (kind === 'timeout' && now >= this.deadlineAt - TIMER_TOLERANCE_MS)
      return this.#end(deadlineError(this, now - this.startedAt), now);
    if (fallback === undefined) return this.#end(failureError(this, failure), now);
    this.#failure = null;
    this.callRequest.receiver.next(fallback.value);
    this.#end(null, now);
  }

  #end(error: RollcallError | null, now: number): void {
    this.#close(error, now);
    if (error === null) this.callRequest.receiver.complete();
    else this.callRequest.receiver.error(error);
  }

  #close(error: RollcallError | null, now: number): void {
    this.#isOver = true;
    if (this.#pending !== null) this.upstream.pending.remove(this.#pending);
    this.#pending = null;
    this.#current = null;
    this.#hedged = null;
    this.#dropFailure();
    this.callee.wheel.disarm(this);
    if (this.#hedgeAlarm !== null) this.callee.hedgeWheel.disarm(this.#hedgeAlarm);
    this.onEnd?.();
    this.callee.ended(this.startedAt, now, error);
  }
}
