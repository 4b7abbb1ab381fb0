import type { Attempt } from '@rollcall/core';
import type { Node } from './balance/node.js';
import type { Selector } from './balance/selector.js';
import type { Errand } from './errand.js';
import type { Method } from './method.js';
import type { CallTrace } from './tracing.js';
import type { CallTerms } from './verbs.js';
import { Alarm } from './wheel.js';

const NO_ATTEMPTS: readonly Attempt[] = [];

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

  /** Called first: from now on its time counts. */
  open(now: number, deadlineAt: number): void {
    this.startedAt = now;
    this.deadlineAt = deadlineAt;
  }
}
