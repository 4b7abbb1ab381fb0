import type { Attempt } from '@rollcall/core';
import type { Node } from '../balance/nodes/node.js';
import type { Selector } from '../balance/nodes/selector.js';
import type { Ask } from '../balance/pickers/picker.js';
import type { PickReason } from '../transport/tracing.js';
import type { CallTrace } from '../transport/tracing.js';
import { TRAITS } from '../transport/transport.js';
import type { FailureKind } from '../transport/transport.js';
import type { ResolvedCallOptions } from './policy/call-kind.js';
import { isFree } from './policy/retry.js';
import { AFTERMATH_MS, WheelTimer } from './policy/timer-wheel.js';
import type { CallContext, CallRequest } from './service/call-request.js';
import type { ConnectedNode } from './service/connected-node.js';
import type { Method } from './service/method.js';
import type { Upstream } from './service/upstream.js';

const NO_ATTEMPTS: readonly Attempt[] = [];
/** A call that waits for an instance may try often; of more attempts than this the first and the last ones are listed. */
const MOST_LISTED = 16;

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

/** What is known of a call so far, and may still be done: for whoever picks, for its attempts, and for the sentence of its error. */
export abstract class CallState<Request> extends WheelTimer implements Ask {
  readonly callee: CallContext;
  readonly upstream: Upstream<Request>;
  readonly callRequest: CallRequest<Request>;
  readonly terms: ResolvedCallOptions;
  startedAt = 0;
  deadlineAt = Infinity;
  /** The last time at which it looked at the clock to pick. */
  now = 0;
  tried: Node | null = null;
  triedToo: Node | null = null;
  isProbe = false;
  /** Those that are over without having been answered. */
  attempts = NO_ATTEMPTS;
  /** The number of the attempt under way; it counts from 1. */
  count = 0;
  /** How many of them were certainly not executed: they loaded nobody, so they do not count towards `attempts` of the policy. */
  unexecuted = 0;

  /** It was repeated without a budget because this process had stood still. */
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

  /** A probe may fail, so another attempt has to be possible after it; or nothing that cannot be repeated is lost with it. */
  get probes(): Ask['probes'] {
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

  /** The next pick leaves out this instance, and the one before. */
  exclude(node: Node): void {
    this.triedToo = this.tried;
    this.tried = node;
  }

  /** The next pick leaves out nobody. */
  excludeNone(): void {
    this.tried = null;
    this.triedToo = null;
  }

  /** Lists an attempt that brought no answer. */
  record({ node, startedAt, reason }: Ended, outcome: FailureKind | 'cancelled', now: number): void {
    if (outcome !== 'cancelled' && TRAITS[outcome].executed === 'no') this.unexecuted += 1;
    const ms = Math.round(10 * (now - startedAt)) / 10;
    const record = { instance: node.id, ms, outcome };
    const listed = this.attempts.length < MOST_LISTED ? this.attempts : this.attempts.toSpliced(MOST_LISTED / 2, 1);
    this.attempts = [...listed, reason === 'hedge' ? { ...record, isHedge: true } : record];
  }

  /** Null: no instance takes it now. */
  pick(now: number): ConnectedNode<Request> | null {
    this.now = now;
    return this.upstream.balancer.pick(this);
  }

  /** Another one. If there is none, all is as before. */
  pickBut(node: Node, now: number): ConnectedNode<Request> | null {
    const { tried, triedToo } = this;
    this.exclude(node);
    const other = this.pick(now);
    if (other !== null) return other;
    this.tried = tried;
    this.triedToo = triedToo;
    return null;
  }

  /** Another one whose connections do not take long. */
  pickConnected(node: ConnectedNode<Request>, now: number): ConnectedNode<Request> | null {
    const { tried, triedToo } = this;
    const { isRepeatable } = this.callRequest;
    if (isRepeatable !== null && !isRepeatable()) return null;
    const other = this.pickBut(node, now);
    if (other === null || (other.channel.stall ?? null) === null) return other;
    if (this.isProbe) this.upstream.balancer.endProbe(other);
    this.isProbe = false;
    this.tried = tried;
    this.triedToo = triedToo;
    return null;
  }

  /** Called first: from now on its time counts. */
  open(now: number, deadlineAt: number): void {
    this.startedAt = now;
    this.deadlineAt = deadlineAt;
  }

  /** May there be another attempt, after this one there? */
  mayFollow(node: Node): boolean {
    const { isRepeatable } = this.callRequest;
    const most = this.callee.attemptsAt(node);
    // one attempt in all means that nothing is repeated, whatever became of it
    const isAllowed = most > 1 ? this.count - this.unexecuted < most : this.count === 0;
    return isAllowed && (isRepeatable === null || isRepeatable());
  }

  /** May the budget pay for another attempt, if it needs to? */
  isPaid({ node, sentAt }: Failed, kind: FailureKind, now: number): boolean {
    if (isFree(kind, this.count)) return true;
    if (this.terms.isRetry) return false;
    if (this.callee.budget.withdraw(now)) return true;
    // a connection that broke while this process stood still broke for all of its calls at once, and says nothing about load
    if (!this.#isForgiven && this.callee.wheel.hasStalled(sentAt - AFTERMATH_MS, now)) {
      this.#isForgiven = true;
      return true;
    }
    this.callee.exhausted(node, kind);
    return false;
  }
}
