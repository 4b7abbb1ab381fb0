import type { State } from '@rollcall/core';
import type { Node } from './nodes/node.js';

interface TierRow {
  /** The tier of an instance with a recent success. */
  readonly recent: number;
  /** Without a recent call of ours. */
  readonly unknown: number;
  /** Ejected by us. */
  readonly ejected: number;
}

/** The tier by the registry's state and our own experience. The lowest one with an instance is used. */
const TIERS: Readonly<Record<State, TierRow>> = {
  HEALTHY: { recent: 0, unknown: 0, ejected: 2 },
  REGISTERING: { recent: 1, unknown: 1, ejected: 2 },
  UNHEALTHY: { recent: 1, unknown: 2, ejected: 3 },
  // only for calls that name the state in allowedStates
  CRITICAL: { recent: 4, unknown: 4, ejected: 4 },
  DEREGISTERING: { recent: 5, unknown: 5, ejected: 5 },
};
export const TIER_COUNT = 6;
/** Tiers beyond it are used only by calls that ask for such instances. */
const LAST_CALLABLE = 3;

/** A success within this time speaks for an instance that the registry doubts. */
const RECENT_SUCCESS_MS = 10_000;

/** The time of the decision, and the age of the copy. */
export interface TierContext {
  readonly now: number;
  /** True if the copy of the registry may be old: our own experience then counts for more. */
  readonly isStale: boolean;
}

/**
 * The tier of a node. The registry's doubt does not count for one that registers again after being HEALTHY, for a
 * while, nor for those that are doubted in the mass; and with a stale copy, not for one that answered us recently.
 */
export function tierOf(node: Node, context: TierContext): number {
  const row = rowOf(node, context);
  if (node.breaker.cause !== null) return row.ejected;
  if (!hasRecentSuccess(node, context.now)) return row.unknown;
  return context.isStale && row.recent <= LAST_CALLABLE ? TIERS.HEALTHY.recent : row.recent;
}

/** When time alone may change the tier, or whether it counts as tried; Infinity: never. */
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

/** True if a success now would change its tier. */
export function isLifted(node: Node, now: number): boolean {
  return node.instance.state !== 'HEALTHY' && !hasRecentSuccess(node, now);
}

function rowOf(node: Node, context: TierContext): TierRow {
  return node.isTrusted || isKept(node, context) ? TIERS.HEALTHY : TIERS[node.instance.state];
}

/** While the copy is stale, the registry cannot report that it is HEALTHY again. */
function isKept(node: Node, { now, isStale }: TierContext): boolean {
  if (node.instance.state !== 'REGISTERING') return false;
  return now < node.keptUntil || (isStale && node.keptUntil !== -Infinity);
}
