import type { Attempt } from '@rollcall/core';
import type { Node } from './balance/node.js';
import type { Selector } from './balance/selector.js';
import type { Errand } from './errand.js';
import type { Method } from './method.js';
import type { PickReason } from './picks.js';
import type { CallTrace } from './tracing.js';
import { TRAITS } from './transport/transport.js';
import type { FailureKind } from './transport/transport.js';
import type { CallTerms } from './verbs.js';
import { Alarm } from './wheel.js';

const NO_ATTEMPTS: readonly Attempt[] = [];
/** A call that waits for an instance may try often; of more attempts than this the first and the last ones are listed. */
const MOST_LISTED = 16;

/** An attempt that is over. */
interface Ended {
  readonly node: Node;
  readonly startedAt: number;
  readonly reason: PickReason;
}

/** What is known of a call so far: for whoever picks, for its attempts, and for the sentence of its error. */
export abstract class CallStory<Request> extends Alarm {
  readonly errand: Errand<Request>;
  readonly terms: CallTerms;
  startedAt = 0;
  deadlineAt = Infinity;
  /** The last time at which it looked at the clock to pick. */
  now = 0;
  tried: Node | null = null;
  triedToo: Node | null = null;
  isProbe = false;
  /** Those that are over without having been answered. */
  attempts = NO_ATTEMPTS;
  /** How many of them were certainly not executed: they loaded nobody, so they do not count towards `attempts` of the policy. */
  unexecuted = 0;

  constructor(errand: Errand<Request>, terms: CallTerms) {
    super();
    this.errand = errand;
    this.terms = terms;
  }

  get method(): Method {
    return this.errand.method;
  }

  get trace(): CallTrace | null {
    return this.errand.trace;
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

  /** Called first: from now on its time counts. */
  open(now: number, deadlineAt: number): void {
    this.startedAt = now;
    this.deadlineAt = deadlineAt;
  }
}
