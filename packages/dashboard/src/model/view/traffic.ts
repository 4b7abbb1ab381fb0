/** Calls over some time. */
import type { TrafficPoint } from '../live/answers.js';

/** The share of calls that succeeded; null: no calls. */
export function successIn(points: readonly Pick<TrafficPoint, 'calls' | 'failures'>[]): number | null {
  const calls = points.reduce((sum, point) => sum + point.calls, 0);
  const failures = points.reduce((sum, point) => sum + point.failures, 0);
  return calls === 0 ? null : 1 - failures / calls;
}

/**
 * Callers report a step only when it is over, and the newest one may still be empty; older steps than this are not
 * current.
 */
const NEWEST_STEPS = 3;

/** The p99 of the newest step with a value; null: none. */
export const newestP99 = (points: readonly Pick<TrafficPoint, 'p99Ms'>[]): number | null =>
  points.slice(-NEWEST_STEPS).findLast(({ p99Ms }) => p99Ms !== null)?.p99Ms ?? null;
