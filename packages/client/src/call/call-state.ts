import type { Attempt } from '@rollcall/core';
import type { Node } from '../balance/nodes/node.js';
import type { Selector } from '../balance/nodes/selector.js';
import type { PickArgs } from '../balance/pickers/picker.js';
import type { PickReason } from '../transport/tracing.js';
import type { CallTrace } from '../transport/tracing.js';
import { TRAITS } from '../transport/transport.js';
import type { FailureKind } from '../transport/transport.js';
import type { ResolvedCallOptions } from './policy/call-kind.js';
import { isFree } from './policy/retry.js';
import { STALL_NOTICE_MS, WheelTimer } from './policy/timer-wheel.js';
import type { CallContext, CallRequest } from './service/call-request.js';
import type { ConnectedNode } from './service/connected-node.js';
import type { Method } from './service/method.js';
import type { Upstream } from './service/upstream.js';

const NO_ATTEMPTS: readonly Attempt[] = [];
/** A waiting call may make many attempts; beyond this number only the first and the last of them are listed. */
const MAX_LISTED = 16;

interface Failed {
  readonly node: Node;
  readonly sentAt: number;
}

/** An attempt that is over. */
interface Ended {
  readonly node: Node;
  readonly startedAt: number;
  readonly reason: PickReason;
}

/** The state of a call: the data for the picker, the attempts and the error text, and the rules for further attempts. */
export abstract class CallState<Request> extends WheelTimer implements PickArgs {
  readonly callee: CallContext;
  readonly upstream: Upstream<Request>;
  readonly callRequest: CallRequest<Request>;
  readonly terms: ResolvedCallOptions;
  startedAt = 0;
  deadlineAt = Infinity;
  /** When the call last read the clock for a pick, ms of Time. */
  now = 0;
  tried: Node | null = null;
  triedToo: Node | null = null;
  isProbe = false;
  /** Attempts that ended without an answer. */
  attempts = NO_ATTEMPTS;
  /** The number of the current attempt, from 1. */
  count = 0;
  /** Attempts that were certainly not executed. They caused no load, so they do not count towards the policy's `attempts`. */
  unexecuted = 0;

  /** True once the call was repeated outside the budget because this process had stalled; that happens at most once. */
  #isForgiven = false;

  constructor(
    callee: CallContext,
    upstream: Upstream<Request>,
    callRequest: CallRequest<Request>,
    terms: ResolvedCallOptions,
  ) {
    super();
    this.callee = callee;
    this.upstream = upstream;
    this.callRequest = callRequest;
    this.terms = terms;
  }

  get service(): string {
    return this.callee.service;
  }

  get method(): Method {
    return this.callRequest.method;
  }

  get trace(): CallTrace | null {
    return this.callRequest.trace;
  }

  /**
   * The kind of probe that this call may serve as. A probe may fail, so an idempotent call must have a retry left; a call that cannot be
   * repeated serves as a probe only after a ping (`once`).
   */
  get probes(): PickArgs['probes'] {
    if (!this.isIdempotent) return 'once';
    return this.count === 0 && this.callee.budget.left(this.now) > 0 ? 'repeatable' : 'never';
  }

  get isIdempotent(): boolean {
    return this.terms.isIdempotent;
  }

  get selector(): Selector {
    return this.terms.selector;
  }

  get hashKey(): string | null {
    return this.terms.hashKey;
  }

  /** Excludes this instance from the next pick, besides the one excluded before. */
  exclude(node: Node): void {
    this.triedToo = this.tried;
    this.tried = node;
  }

  /** Lets the next pick consider every instance again. */
  clearExclusions(): void {
    this.tried = null;
    this.triedToo = null;
  }

  /** Records an attempt that ended without an answer. */
  record({ node, startedAt, reason }: Ended, outcome: FailureKind | 'cancelled', now: number): void {
    if (outcome !== 'cancelled' && TRAITS[outcome].executed === 'no') this.unexecuted += 1;
    const ms = Math.round(10 * (now - startedAt)) / 10;
    const record = { instance: node.id, ms, outcome };
    const listed = this.attempts.length < MAX_LISTED ? this.attempts : this.attempts.toSpliced(MAX_LISTED / 2, 1);
    this.attempts = [...listed, reason === 'hedge' ? { ...record, isHedge: true } : record];
  }

  /** Picks an instance; null if none accepts the call now. */
  pick(now: number): ConnectedNode<Request> | null {
    this.now = now;
    return this.upstream.balancer.pick(this);
  }

  /** Picks an instance other than `node`. If there is none, the exclusions do not change. */
  pickOther(node: Node, now: number): ConnectedNode<Request> | null {
    const { tried, triedToo } = this;
    this.exclude(node);
    const other = this.pick(now);
    if (other !== null) return other;
    this.tried = tried;
    this.triedToo = triedToo;
    return null;
  }

  /** Picks another instance whose connections are not stalled. */
  pickConnected(node: ConnectedNode<Request>, now: number): ConnectedNode<Request> | null {
    const { tried, triedToo } = this;
    const { isRepeatable } = this.callRequest;
    if (isRepeatable !== null && !isRepeatable()) return null;
    const other = this.pickOther(node, now);
    if (other === null || (other.channel.stall ?? null) === null) return other;
    if (this.isProbe) this.upstream.balancer.endProbe(other);
    this.isProbe = false;
    this.tried = tried;
    this.triedToo = triedToo;
    return null;
  }

  /** Starts the clock of the call; called before anything else. */
  open(now: number, deadlineAt: number): void {
    this.startedAt = now;
    this.deadlineAt = deadlineAt;
  }

  /** True if the policy allows another attempt after one on `node`. */
  canRetryAfter(node: Node): boolean {
    const { isRepeatable } = this.callRequest;
    const max = this.callee.attemptsAt(node);
    // with a maximum of one attempt nothing is repeated, not even an attempt that was never executed
    const isAllowed = max > 1 ? this.count - this.unexecuted < max : this.count === 0;
    return isAllowed && (isRepeatable === null || isRepeatable());
  }

  /** Takes a retry from the budget unless the attempt is free; false if none is left, or the request is itself a retry. */
  withdrawRetry({ node, sentAt }: Failed, kind: FailureKind, now: number): boolean {
    if (isFree(kind, this.count)) return true;
    if (this.terms.isRetry) return false;
    if (this.callee.budget.withdraw(now)) return true;
    // a connection that broke while this process stalled fails all of its calls at once, which is not caused by load
    if (!this.#isForgiven && this.callee.wheel.hasStalled(sentAt - STALL_NOTICE_MS, now)) {
      this.#isForgiven = true;
      return true;
    }
    this.callee.exhausted(node, kind);
    return false;
  }
}
