/** How calls went, over some time. */
import type { TrafficPoint } from '../live/answers.js';

/** Of calls, the share that succeeded; null: there were none. */
export function successIn(points: readonly Pick<TrafficPoint, 'calls' | 'failures'>[]): number | null {
  const calls = points.reduce((sum, point) => sum + point.calls, 0);
  const failures = points.reduce((sum, point) => sum + point.failures, 0);
  return calls === 0 ? null : 1 - failures / calls;
}

/** Callers report a step only when it is over, and the newest one may still be empty; what is older than this is not of now. */
const NEWEST_STEPS = 3;

/** Of the newest step that has one; null: there is none. */
export const newestP99 = (points: readonly Pick<TrafficPoint, 'p99Ms'>[]): number | null =>
  points.slice(-NEWEST_STEPS).findLast(({ p99Ms }) => p99Ms !== null)?.p99Ms ?? null;
