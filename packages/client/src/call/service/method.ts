import { LatencyProfile } from '../../balance/nodes/latency.js';
import type { ResolvedCallOptions, CallKind } from '../policy/call-kind.js';
import type { MethodRules } from '../policy/method-policy.js';
import { NO_RULES } from '../policy/method-policy.js';
import { RetryBudget } from '../policy/retry.js';

/** The source of the rules of methods. */
export interface RulesSource {
  /** Incremented by each change after which the rules have to be read again. */
  readonly revision: number;
  rulesOf(method: string): MethodRules;
}

/** The rules and statistics of one method, over all instances. */
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

  /** Its rules from this process and its instances; read again only after a change. */
  get rules(): MethodRules {
    const { revision } = this.#source;
    if (this.#readAt !== revision) {
      this.#rules = this.#source.rulesOf(this.name);
      this.#readAt = revision;
      this.#terms = null;
    }
    return this.#rules;
  }

  /** A string pattern as JSON, cached; undefined for other patterns. The name of the method equals the pattern. */
  jsonOf(pattern: unknown): string | undefined {
    return pattern === this.name ? this.#nameJson : undefined;
  }

  /** The cached options for calls of this kind; null if there are none, or the rules may have changed since. */
  termsFor(callKind: CallKind): ResolvedCallOptions | null {
    return this.#callKind === callKind && this.#readAt === this.#source.revision ? this.#terms : null;
  }

  /** Caches the options of calls without own options, for one kind at a time: a method is rarely called in two ways. */
  keepTerms(callKind: CallKind, terms: ResolvedCallOptions): void {
    this.#callKind = callKind;
    this.#terms = terms;
  }

  /** The hedge budget of this method, `ratio` per request; created on first use. */
  hedges(ratio: number): RetryBudget {
    return (this.#hedges ??= new RetryBudget({ ratio, perSecond: 0 }));
  }
}
