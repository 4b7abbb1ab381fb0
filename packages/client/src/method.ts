import { LatencyProfile } from './latency.js';
import type { MethodRules } from './method-rules.js';
import { NO_RULES } from './method-rules.js';
import { RetryBudget } from './retry.js';

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
  readonly #source: RulesSource;
  #rules = NO_RULES;
  #readAt = -1;
  #hedges: RetryBudget | null = null;

  constructor(name: string, source: RulesSource) {
    this.name = name;
    this.#source = source;
  }

  /** What its instances and this process say of it: read again only after a change. */
  get rules(): MethodRules {
    const { revision } = this.#source;
    if (this.#readAt !== revision) {
      this.#rules = this.#source.rulesOf(this.name);
      this.#readAt = revision;
    }
    return this.#rules;
  }

  /** What hedges of this method are taken from, `ratio` for each of its requests; made when first needed. */
  hedges(ratio: number): RetryBudget {
    return (this.#hedges ??= new RetryBudget({ ratio, perSecond: 0 }));
  }
}
