/** Circuits to single instances, as their callers report them. */
import type { Circuits, ServiceEdge } from '../live/answers.js';
import type { Filters } from './route.js';

export type CircuitsById = ReadonlyMap<string, Circuits>;

/** The sums over all callers, by the id of the called instance. */
export function circuitsById(edges: readonly ServiceEdge[]): CircuitsById {
  const sums = new Map<string, Circuits>();
  for (const { instance, circuits } of edges.flatMap(({ targets }) => targets ?? [])) {
    const { closed, open, halfOpen } = sums.get(instance) ?? { closed: 0, open: 0, halfOpen: 0 };
    sums.set(instance, {
      closed: closed + circuits.closed,
      open: open + circuits.open,
      halfOpen: halfOpen + circuits.halfOpen,
    });
  }
  return sums;
}

/** Values of the filter `circuit`: some caller has it open, or half-open. */
export const CIRCUIT_CHOICES = ['open', 'half-open'] as const;

/** True if the filter `circuit` selects an instance with these circuits. Undefined: no caller reports any. */
export function matchesCircuit({ circuit = '' }: Filters, circuits: Circuits | undefined): boolean {
  if (circuit === 'open') return (circuits?.open ?? 0) > 0;
  return circuit !== 'half-open' || (circuits?.halfOpen ?? 0) > 0;
}
