import type { State } from '@rollcall/core';
import type { Node } from './nodes/node.js';

interface TierRow {
  /** The tier of an instance with a recent success. */
  readonly recent: number;
  /** The tier of an instance that did not answer this process recently. */
  readonly unknown: number;
  /** The tier of an instance that this process has ejected. */
  readonly ejected: number;
}

/** The tier by the state in the registry and by our own experience. Calls use the lowest tier with an instance. */
const TIERS: Readonly<Record<State, TierRow>> = {
  HEALTHY: { recent: 0, unknown: 0, ejected: 2 },
  REGISTERING: { recent: 1, unknown: 1, ejected: 2 },
  UNHEALTHY: { recent: 1, unknown: 2, ejected: 3 },
  // only for calls that name the state in allowedStates
  CRITICAL: { recent: 4, unknown: 4, ejected: 4 },
  DEREGISTERING: { recent: 5, unknown: 5, ejected: 5 },
};
export const TIER_COUNT = 6;
/** Only calls that name the state in allowedStates use tiers beyond this one. */
const LAST_CALLABLE = 3;

/** A success within this time counts as evidence for an instance that the registry doubts. */
const RECENT_SUCCESS_MS = 10_000;

/** The time of the decision, and the age of the copy. */
export interface TierContext {
  readonly now: number;
  /** True if the copy of the registry may be old: our own experience then counts for more. */
  readonly isStale: boolean;
}

/**
 * The tier of a node. A doubt of the registry does not count for an instance that registers again after being HEALTHY, for a while, nor for
 * instances that are doubted in large numbers, nor, with a stale copy, for an instance that answered us recently.
 */
export function tierOf(node: Node, context: TierContext): number {
  const row = rowOf(node, context);
  if (node.breaker.cause !== null) return row.ejected;
  if (!hasRecentSuccess(node, context.now)) return row.unknown;
  return context.isStale && row.recent <= LAST_CALLABLE ? TIERS.HEALTHY.recent : row.recent;
}

/** The time at which the tier, or the record of a recent success, changes without any event; Infinity: never. */
export function tierUntil(node: Node, context: TierContext): number {
  const { state } = node.instance;
  if (state === 'HEALTHY' || node.breaker.cause !== null) return Infinity;
  const until = hasRecentSuccess(node, context.now) ? node.lastSuccessAt + RECENT_SUCCESS_MS : Infinity;
  const keptUntil = isKept(node, context) && !context.isStale ? node.keptUntil : Infinity;
  return Math.min(until, keptUntil);
}

export function hasRecentSuccess(node: Node, now: number): boolean {
  return now < node.lastSuccessAt + RECENT_SUCCESS_MS;
}

/** True if a success now would change the tier of this node. */
export function isLifted(node: Node, now: number): boolean {
  return node.instance.state !== 'HEALTHY' && !hasRecentSuccess(node, now);
}

function rowOf(node: Node, context: TierContext): TierRow {
  return node.isTrusted || isKept(node, context) ? TIERS.HEALTHY : TIERS[node.instance.state];
}

/** While the copy is stale, the registry cannot report that the instance is HEALTHY again. */
function isKept(node: Node, { now, isStale }: TierContext): boolean {
  if (node.instance.state !== 'REGISTERING') return false;
  return now < node.keptUntil || (isStale && node.keptUntil !== -Infinity);
}
