import { fullJitterMs } from '@rollcall/core';
import type { RollcallError } from '@rollcall/core';
import type { PickReason } from '../transport/tracing.js';
import { TIMEOUT } from '../transport/transport.js';
import type { Failure } from '../transport/transport.js';
import { Attempt } from './attempt.js';
import type { Tries } from './attempt.js';
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
import type { Story } from './service/call-error.js';
import type { ConnectedNode } from './service/connected-node.js';
import type { PendingCall, PendingEntry } from './service/pending-queue.js';

/** Timers in whole ms may ring so much before their time. */
const CLOCK_MS = 1;
/** When a call that waits looks again why: that says how long it may, ms. */
const REVIEW_MS = 2_000;

/**
 * One call from its first attempt to its last word: deadline, attempt timeouts, retries on other instances and a hedge within the
 * budget. It is one object on one alarm (and another if it may be hedged); promises, closures and signals belong to whoever waits.
 * While its deadline has time and nobody refused it for good, it is not failed by a guess of this process: where no instance takes it
 * (limits, ejections, no connection, an empty copy of the registry), it waits in the lane's queue.
 */
export class Call<Request> extends CallState<Request> implements Story, Hedgeable, Tries<Request>, PendingCall {
  /** Called before the last word. */
  onEnd: (() => void) | null = null;
  #current: Attempt<Request> | null = null;
  /** The slow one that goes on beside the current one, its hedge. */
  #beside: Attempt<Request> | null = null;
  #hedgeAlarm: HedgeTimer | null = null;
  /** Where it waits for an instance; null: it does not. */
  #pending: PendingEntry | null = null;
  #waits = 0;
  /** The last one, as long as it may be the last word. */
  #failure: Failure | null = null;
  #isStreaming = false;
  /** A value of an answer that is not whole yet has been passed on. */
  #isPartial = false;
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Makes the first attempt, or waits for an instance behind those that wait already. */
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
    this.#drop();
    this.#send(node, this.count === 0 ? 'first' : 'retry', now);
    return true;
  }

  isTooLate(now: number): boolean {
    return this.deadlineAt - now < (this.method.latency.p95Ms(now) ?? 0);
  }

  /** Somebody does not want the answer any more. Does nothing after the last word. */
  cancel(cause: unknown): void {
    if (this.#isOver) return;
    const now = this.callee.now();
    if (this.#isStreaming) this.#current?.cancel();
    else {
      this.#abandon(this.#beside, now);
      this.#abandon(this.#current, now);
    }
    this.#end(cancelledError(this, cause), now);
    this.upstream.serve(now);
  }

  /** Ends without an attempt having been made. */
  refuse(error: RollcallError): void {
    if (!this.#isOver) this.#end(error, this.callee.now());
  }

  override stop(): void {
    if (this.#isOver) return;
    this.#beside?.cancel();
    this.#current?.cancel();
    this.#end(closedError(this.service, this.attempts), this.callee.now());
  }

  override ring(now: number): void {
    const attempt = this.#current;
    if (this.#pending !== null) this.#waitedLong(now);
    else if (now >= this.deadlineAt || this.#isStreaming) this.#timeUp(now);
    else if (attempt === null) this.#try(now);
    else this.#hurry(attempt, now);
    this.upstream.serve(now);
  }

  /** The first attempt is slow: another one goes beside it, on another instance, if both budgets have room. */
  hedge(now: number): void {
    const slow = this.#current;
    if (slow === null || this.count !== 1 || !this.mayFollow(slow.node)) return;
    const hedges = this.method.hedges(this.callee.hedgeRatio);
    if (hedges.left(now) === 0 || this.callee.budget.left(now) === 0) return;
    const node = this.pickBut(slow.node, now);
    if (node === null) return;
    hedges.withdraw(now);
    this.callee.budget.withdraw(now);
    this.#beside = slow;
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

  /** The last value is the last word, too: who has it may go away, and that is no cancel. */
  last(attempt: Attempt<Request>, value: unknown): void {
    if (!this.#isWanted(attempt)) return;
    const now = this.callee.now();
    if (this.#beside !== null) this.#prefer(attempt, now);
    if (!this.#isStreaming) this.upstream.answered(attempt, now);
    this.#close(null, now);
    this.callRequest.receiver.next(value);
    this.callRequest.receiver.complete();
    this.upstream.serve(now);
  }

  done(attempt: Attempt<Request>): void {
    if (!this.#isWanted(attempt)) return;
    const now = this.callee.now();
    if (this.#beside !== null) this.#prefer(attempt, now);
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
    const partner = attempt === this.#current ? this.#beside : this.#current;
    this.#current = partner;
    this.#beside = null;
    if (!mayRetry(failure.kind, this.isIdempotent)) {
      this.#abandon(partner, now);
      return this.#fail(failure, now);
    }
    if (partner === null) return this.#again(attempt, failure, now);
    this.#drop();
    if (this.tried !== attempt.node) this.exclude(attempt.node);
    this.#await(partner, now);
  }

  #isWanted(attempt: Attempt<Request>): boolean {
    return attempt === this.#current || attempt === this.#beside;
  }

  #try(now: number): void {
    if (!this.sendPending(now)) this.#wait(now);
  }

  /** No instance takes it now: it waits until one does, as long as its deadline and the reason allow. */
  #wait(now: number): void {
    this.excludeNone();
    const waitMs = this.callee.beginWait(this.upstream.protocol, this.selector);
    if (waitMs <= 0) return this.#endUnsent(now);
    this.#pending = this.upstream.pending.add(this, now);
    this.callee.wheel.arm(this, Math.min(this.deadlineAt, now + Math.min(waitMs, REVIEW_MS)), now);
  }

  /** The reason may have changed meanwhile, and with it how long it may wait. */
  #waitedLong(now: number): void {
    const waitMs = this.callee.pendingMs(this.upstream.protocol, this.selector);
    const until = Math.min(this.deadlineAt, (this.#pending?.sinceMs ?? now) + waitMs);
    if (now < until) this.callee.wheel.arm(this, until, now);
    else this.#endUnsent(now);
  }

  /** The last failure says more than that nobody takes it now. */
  #endUnsent(now: number): void {
    if (this.#failure !== null) this.#fail(this.#failure, now);
    else this.#end(this.callee.noneError(this.upstream.protocol, this.selector), now);
  }

  /** It failed there, and that did no harm: elsewhere at once, if that is allowed, else the failure is the last word. */
  #again(attempt: Attempt<Request>, failure: Failure, now: number): void {
    const { node } = attempt;
    if (failure.kind === 'moved') return this.#try(now);
    if (!this.mayFollow(node)) return this.#fail(failure, now);
    if (!this.isPaid(attempt, failure.kind, now)) {
      // what was certainly not executed has only to wait, which loads nobody; of a repetition the repeating caller takes care
      const mayWait = isUnexecuted(failure.kind) && !this.terms.isRetry;
      return mayWait ? this.#pause(failure, now) : this.#fail(failure, now);
    }
    this.exclude(node);
    const other = this.pick(now);
    if (other === null) return this.#pause(failure, now);
    this.#drop();
    this.#send(other, 'retry', now);
  }

  /** All have been tried: after a wait, anybody may be tried again. */
  #pause(failure: Failure, now: number): void {
    const jitterMs = fullJitterMs(RETRY_BACKOFF, this.#waits, this.callee.random);
    const waitMs = Math.max(jitterMs, failure.retryAfterMs ?? 0);
    if (now + waitMs >= this.deadlineAt) return this.#fail(failure, now);
    this.excludeNone();
    this.#waits += 1;
    this.callee.wheel.arm(this, now + waitMs, now);
  }

  #send(node: ConnectedNode<Request>, reason: PickReason, now: number): void {
    if (reason !== 'first') this.callee.retried(node, reason === 'hedge', now);
    if (this.#isPartial) this.#takeBack();
    this.count += 1;
    const patienceMs = this.upstream.patienceMs(this.method, node, this.terms.timeoutMs, now);
    const attempt = new Attempt(this, node, reason, patienceMs);
    this.#current = attempt;
    this.#await(attempt, now);
    this.upstream.begin(attempt, this.terms.shape !== 'event', now);
    attempt.send(this.callRequest.request);
    if (reason === 'first' && this.terms.hedge !== 'never') this.#expectHedge(now);
  }

  /** What came of an answer that broke off is none of the next one, which may have no value at all. */
  #takeBack(): void {
    this.#isPartial = false;
    this.callRequest.receiver.next(undefined);
  }

  /** The next time to look at an attempt: when it should be hurried, if it can be, else when nobody waits for it any more. */
  #await(attempt: Attempt<Request>, now: number): void {
    const { timeoutMs } = this.terms;
    const isCut = this.isIdempotent && this.mayFollow(attempt.node);
    const mostMs = Math.min(timeoutMs, this.upstream.connectTimeoutMs, isCut ? attempt.patienceMs : Infinity);
    this.callee.wheel.arm(this, Math.min(this.deadlineAt, attempt.startedAt + mostMs), now);
  }

  /** It takes long: it is given up for another instance, if there is one and the budget has room; else it goes on for a while. */
  #hurry(attempt: Attempt<Request>, now: number): void {
    const mostAt = Math.min(attempt.startedAt + this.terms.timeoutMs, this.deadlineAt);
    const node = this.#otherThan(attempt, now);
    if (node === null) {
      if (now >= mostAt) return this.#timeUp(now);
      return this.callee.wheel.arm(this, Math.min(this.#nextLookAt(attempt, now), mostAt), now);
    }
    if (attempt.isSent) this.callee.budget.withdraw(now);
    this.#giveUp(this.#beside, now);
    this.#giveUp(attempt, now);
    this.#beside = null;
    this.#send(node, 'retry', now);
  }

  #nextLookAt(attempt: Attempt<Request>, now: number): number {
    if (!attempt.isSent) return now + this.upstream.connectTimeoutMs;
    if (!this.isIdempotent) return Infinity;
    return attempt.isSlow(now) ? now + attempt.patienceMs : attempt.sentAt + attempt.patienceMs;
  }

  /** Where to go instead of there, if that is allowed. A request that was not sent may go elsewhere whatever it does, and at no price. */
  #otherThan(attempt: Attempt<Request>, now: number): ConnectedNode<Request> | null {
    const { node } = attempt;
    const isSlow = this.isIdempotent && attempt.isSlow(now);
    if (!attempt.isSent) {
      const mayMove = (isSlow && this.count === 1) || this.upstream.isStalled(attempt, now);
      return mayMove ? this.pickConnected(node, now) : null;
    }
    if (!isSlow || !this.mayFollow(node)) return null;
    if (this.callee.budget.left(now) > 0) return this.pickBut(node, now);
    this.callee.exhausted(node, TIMEOUT.kind);
    return null;
  }

  #timeUp(now: number): void {
    if (this.#isStreaming) this.#current?.cancel();
    else {
      this.#giveUp(this.#beside, now);
      this.#giveUp(this.#current, now);
    }
    const { startedAt, deadlineAt } = this;
    const { idleMs, timeoutMs } = this.terms;
    if (this.#isStreaming) this.#end(idleError(this, idleMs), now);
    else this.#end(now < deadlineAt ? timeoutError(this, timeoutMs) : deadlineError(this, now - startedAt), now);
  }

  /** Too slow, which counts against it. */
  #giveUp(attempt: Attempt<Request> | null, now: number): void {
    if (attempt === null) return;
    const { isSent } = attempt;
    attempt.cancel();
    // connecting may take as long as the path does: no connection yet is no failure of the instance
    const failure = isSent ? TIMEOUT : (attempt.node.channel.stall ?? null);
    if (failure === null) this.upstream.cancelled(attempt, now);
    else this.upstream.failed(attempt, failure, now);
    this.record(attempt, failure?.kind ?? 'cancelled', now);
    if (failure === null) this.unexecuted += 1;
  }

  /** Not wanted any more, which does not count against it. */
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

  /** The first good answer counts, or its first part: from then on there is one attempt, and no hedge. */
  #prefer(attempt: Attempt<Request>, now: number): void {
    const loser = attempt === this.#current ? this.#beside : this.#current;
    if (this.#hedgeAlarm !== null) this.callee.hedgeWheel.disarm(this.#hedgeAlarm);
    if (loser === null) return;
    this.#current = attempt;
    this.#beside = null;
    loser.cancel();
    this.upstream.overtaken(loser, attempt, now);
    this.record(loser, 'cancelled', now);
    this.#await(attempt, now);
  }

  /** The last failure is not the last word, so the answer in it is not wanted. */
  #drop(): void {
    this.#failure?.fallback?.drop();
    this.#failure = null;
  }

  #fail(failure: Failure, now: number): void {
    const { fallback, kind } = failure;
    if (kind === 'stopped') return this.#end(closedError(this.service, this.attempts), now);
    // a server that knows the deadline may report first that it has passed
    if (kind === 'timeout' && now >= this.deadlineAt - CLOCK_MS)
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
    this.#beside = null;
    this.#drop();
    this.callee.wheel.disarm(this);
    if (this.#hedgeAlarm !== null) this.callee.hedgeWheel.disarm(this.#hedgeAlarm);
    this.onEnd?.();
    this.callee.ended(this.startedAt, now, error);
  }
}
