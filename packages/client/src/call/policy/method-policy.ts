import { methodNameOf, methodPolicyOf } from '@rollcall/core';
import type { Instance, MethodPolicy } from '@rollcall/core';
import { hedgeAfter } from './hedge.js';
import type { HedgeAfter, HedgeOption } from './hedge.js';

/** What this process says itself of a method that it calls; it beats what the instances say. */
export interface OwnMethodPolicy {
  readonly idempotent?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly hedge?: HedgeOption | undefined;
}

/** What holds for the calls of one method, if they do not say themselves. */
export interface MethodRules {
  /** Null: nobody says. */
  readonly isIdempotent: boolean | null;
  /** The most that an answer takes; Infinity: nobody says. */
  readonly timeoutMs: number;
  readonly hedge: HedgeAfter;
}

export const NO_RULES: MethodRules = { isIdempotent: null, timeoutMs: Infinity, hedge: 'never' };

/**
 * Our own words, then those of the instances that publish the method. While old and new ones run side by side these may differ, so
 * the careful reading counts, whatever their order: idempotent, or hedged, only if all say so; of the timeouts the smallest; of the
 * delays of hedges the longest.
 */
export function methodRules(own: OwnMethodPolicy | undefined, published: readonly MethodPolicy[]): MethodRules {
  const theirs = published.length === 0 ? NO_RULES : agreed(published);
  if (own === undefined) return theirs;
  return {
    isIdempotent: own.idempotent ?? theirs.isIdempotent,
    timeoutMs: own.timeoutMs ?? theirs.timeoutMs,
    hedge: own.hedge === undefined ? theirs.hedge : hedgeAfter(own.hedge),
  };
}

/** What these instances say of the method with this name. */
export function publishedFor(name: string, instances: readonly Instance[]): readonly MethodPolicy[] {
  const found: MethodPolicy[] = [];
  for (const instance of instances) {
    const policy = methodPolicyOf(instance, name);
    if (policy !== undefined) found.push(policy);
  }
  return found;
}

/** Every method that somebody says something of: this process, or one of these instances. */
export function namesSaid(
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

function agreed(policies: readonly MethodPolicy[]): MethodRules {
  let timeoutMs = Infinity;
  let hedge: HedgeAfter = 1;
  for (const policy of policies) {
    timeoutMs = Math.min(timeoutMs, policy.timeoutMs ?? Infinity);
    hedge = later(hedge, hedgeAfter(policy.hedge ?? false));
  }
  return { isIdempotent: isAgreed(policies), timeoutMs, hedge };
}

/** One that does not say so of a method it publishes leaves it open: then the HTTP verb decides, else it counts as no. */
function isAgreed(policies: readonly MethodPolicy[]): boolean | null {
  if (policies.some(({ idempotent }) => idempotent === false)) return false;
  return policies.every(({ idempotent }) => idempotent === true) ? true : null;
}

function later(one: HedgeAfter, other: HedgeAfter): HedgeAfter {
  if (one === 'never' || other === 'never') return 'never';
  if (one === 'p95' || other === 'p95') return 'p95';
  return Math.max(one, other);
}

/** `{ cmd: 'find' }`, the usual one: there is nothing to sort. */
function isPlainPair(pattern: unknown): pattern is object {
  if (typeof pattern !== 'object' || pattern === null) return false;
  let count = 0;
  for (const key in pattern) {
    count += 1;
    if (count > 1 || typeof Reflect.get(pattern, key) !== 'string') return false;
  }
  return count === 1;
}
