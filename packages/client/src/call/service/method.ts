import { LatencyProfile } from '../../balance/nodes/latency.js';
import type { ResolvedCallOptions, CallKind } from '../policy/call-kind.js';
import type { MethodRules } from '../policy/method-policy.js';
import { NO_RULES } from '../policy/method-policy.js';
import { RetryBudget } from '../policy/retry.js';

/** Whoever knows what holds for methods. */
export interface RulesSource {
  /** Grows with each change after which the rules have to be read anew. */
  readonly revision: number;
  rulesOf(method: string): MethodRules;
}

/** What the callers of one method see of it, whichever instance answers. */
export class Method {
  readonly name: string;
  readonly latency = new LatencyProfile();
  readonly #nameJson: string;
  readonly #source: RulesSource;
  #rules = NO_RULES;
  #readAt = -1;
  #callKind: CallKind | null = null;
  #terms: ResolvedCallOptions | null = null;
  #hedges: RetryBudget | null = null;

  constructor(name: string, source: RulesSource) {
    this.name = name;
    this.#nameJson = JSON.stringify(name);
    this.#source = source;
  }

  /** What its instances and this process say of it: read again only after a change. */
  get rules(): MethodRules {
    const { revision } = this.#source;
    if (this.#readAt !== revision) {
      this.#rules = this.#source.rulesOf(this.name);
      this.#readAt = revision;
      this.#terms = null;
    }
    return this.#rules;
  }

  /** A Nest pattern in JSON, if that is at hand: a text is the name of its method. */
  jsonOf(pattern: unknown): string | undefined {
    return pattern === this.name ? this.#nameJson : undefined;
  }

  /** What was kept for calls by this verb; null: nothing, or what is said of the method may have changed since. */
  termsFor(callKind: CallKind): ResolvedCallOptions | null {
    return this.#callKind === callKind && this.#readAt === this.#source.revision ? this.#terms : null;
  }

  /** For the calls by one verb that wish nothing of their own; one verb at a time, as a method is hardly called by two. */
  keepTerms(callKind: CallKind, terms: ResolvedCallOptions): void {
    this.#callKind = callKind;
    this.#terms = terms;
  }

  /** What hedges of this method are taken from, `ratio` for each of its requests; made when first needed. */
  hedges(ratio: number): RetryBudget {
    return (this.#hedges ??= new RetryBudget({ ratio, perSecond: 0 }));
  }
}
