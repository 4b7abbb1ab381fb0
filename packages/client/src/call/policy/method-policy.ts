import { methodNameOf, methodPolicyOf } from '@rollcall/core';
import type { Instance, MethodPolicy } from '@rollcall/core';
import { hedgeAfter } from './hedge.js';
import type { HedgeAfter, HedgeOption } from './hedge.js';

/** The policy that this process sets for a method; it takes precedence over the one published by the instances. */
export interface OwnMethodPolicy {
  readonly idempotent?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly hedge?: HedgeOption | undefined;
}

/** The default options for calls of one method. */
export interface MethodRules {
  /** Null: not declared. */
  readonly isIdempotent: boolean | null;
  /** Longest time of one attempt, ms; Infinity: not declared. */
  readonly timeoutMs: number;
  readonly hedge: HedgeAfter;
}

export const NO_RULES: MethodRules = { isIdempotent: null, timeoutMs: Infinity, hedge: 'never' };

/**
 * Our own policy, then that of the instances that publish the method. While old and new instances run side by side their policies may
 * differ; then the strictest applies, in any order: idempotent, or hedged, only if all declare it; the smallest timeout; the longest hedge
 * delay.
 */
export function methodRules(own: OwnMethodPolicy | undefined, published: readonly MethodPolicy[]): MethodRules {
  const publishedRules = published.length === 0 ? NO_RULES : strictest(published);
  if (own === undefined) return publishedRules;
  return {
    isIdempotent: own.idempotent ?? publishedRules.isIdempotent,
    timeoutMs: own.timeoutMs ?? publishedRules.timeoutMs,
    hedge: own.hedge === undefined ? publishedRules.hedge : hedgeAfter(own.hedge),
  };
}

/** The policies that these instances publish for the method. */
export function publishedFor(name: string, instances: readonly Instance[]): readonly MethodPolicy[] {
  const found: MethodPolicy[] = [];
  for (const instance of instances) {
    const policy = methodPolicyOf(instance, name);
    if (policy !== undefined) found.push(policy);
  }
  return found;
}

/** The names of all methods with a policy, set by this process or published by one of these instances. */
export function declaredMethods(
  own: Readonly<Record<string, OwnMethodPolicy>>,
  instances: readonly Instance[],
): ReadonlySet<string> {
  const names = new Set(Object.keys(own));
  for (const instance of instances) {
    for (const name of Object.keys(instance.methods ?? {})) names.add(name);
  }
  return names;
}

/** The name under which a method's statistics are kept and its policy is found, the same as `methodNameOf` gives. */
export function methodName(pattern: unknown): string {
  if (typeof pattern === 'string') return pattern;
  return isPlainPair(pattern) ? JSON.stringify(pattern) : methodNameOf(pattern);
}

function strictest(policies: readonly MethodPolicy[]): MethodRules {
  let timeoutMs = Infinity;
  let hedge: HedgeAfter = 1;
  for (const policy of policies) {
    timeoutMs = Math.min(timeoutMs, policy.timeoutMs ?? Infinity);
    hedge = later(hedge, hedgeAfter(policy.hedge ?? false));
  }
  return { isIdempotent: isAgreed(policies), timeoutMs, hedge };
}

/**
 * An instance that publishes a method without this property leaves it undeclared: then the HTTP verb decides, and other calls are not
 * idempotent.
 */
function isAgreed(policies: readonly MethodPolicy[]): boolean | null {
  if (policies.some(({ idempotent }) => idempotent === false)) return false;
  return policies.every(({ idempotent }) => idempotent === true) ? true : null;
}

function later(one: HedgeAfter, other: HedgeAfter): HedgeAfter {
  if (one === 'never' || other === 'never') return 'never';
  if (one === 'p95' || other === 'p95') return 'p95';
  return Math.max(one, other);
}

/** The usual pattern `{ cmd: 'find' }` needs no sorting. */
function isPlainPair(pattern: unknown): pattern is object {
  if (typeof pattern !== 'object' || pattern === null) return false;
  let count = 0;
  for (const key in pattern) {
    count += 1;
    if (count > 1 || typeof Reflect.get(pattern, key) !== 'string') return false;
  }
  return count === 1;
}
