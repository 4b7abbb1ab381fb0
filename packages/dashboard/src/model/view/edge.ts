/** The state of an edge of the topology. */
import type { ServiceEdge } from '../live/answers.js';

/** The share of attempts that succeeded. */
export const successOf = ({ calls, failures, retries }: ServiceEdge): number | null =>
  calls + retries === 0 ? null : Math.max(0, 1 - (failures + retries) / (calls + retries));

export type Tone = '' | 'unhealthy' | 'critical';

/** 99.9 % or better is plain, 99 % or better amber, below red. */
export function toneOf(edge: ServiceEdge): Tone {
  const success = successOf(edge);
  if (success === null || success >= 0.999) return '';
  return success >= 0.99 ? 'unhealthy' : 'critical';
}

/** True if it has an open circuit. */
export const isCut = ({ circuits }: ServiceEdge): boolean => circuits.open > 0;

export const isIdle = ({ calls, inFlight }: ServiceEdge): boolean => calls === 0 && inFlight === 0;

/** The higher one; null: both are unknown. */
export function maxOf(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.max(a, b);
}

/** Its appearance: an open circuit impairs it, too. */
export const lookOf = (edge: ServiceEdge): Tone => toneOf(edge) || (isCut(edge) ? 'unhealthy' : '');

const WORST: readonly Tone[] = ['critical', 'unhealthy', ''];

/** Impaired ones first, the worse before the others, then by the number of calls. */
export const byImpairment = (a: ServiceEdge, b: ServiceEdge): number =>
  WORST.indexOf(lookOf(a)) - WORST.indexOf(lookOf(b)) || b.callsPerSecond - a.callsPerSecond;

export const isImpaired = (edge: ServiceEdge): boolean => lookOf(edge) !== '';
