import type { VNode } from 'preact';
import type { Circuits } from '../../model/live/answers.js';

/** The maximum number of marks; more are shown as a number. */
const MAX_MARKS = 12;

/**
 * One mark for each caller process: filled while its circuit is closed, dashed when it is open, outlined when
 * half-open.
 */
export function CircuitMarks({ circuits }: { readonly circuits: Circuits | null }): VNode {
  if (circuits === null || circuits.closed + circuits.open + circuits.halfOpen === 0)
    return <span class="faint">–</span>;
  const { closed, open, halfOpen } = circuits;
  const label = circuitText(circuits);
  if (closed + open + halfOpen > MAX_MARKS) return <span>{label}</span>;
  const marks = [...marksOf('open', open), ...marksOf('half-open', halfOpen), ...marksOf('closed', closed)];
  return (
    <span class="circuits" role="img" aria-label={label} title={label}>
      {marks.map((kind, at) => (
        <i key={at} class={kind} />
      ))}
    </span>
  );
}

const marksOf = (kind: string, count: number): string[] => Array.from({ length: count }, () => kind);

/**
 * `all closed`, `3 of 20 open`. `isOut`: no instance is callable. Callers that report none of a service that they could
 * call: `–`.
 */
export function circuitText({ closed, open, halfOpen }: Circuits, isOut = false): string {
  const all = closed + open + halfOpen;
  if (all === 0) return isOut ? 'no instance to call' : '–';
  if (open === 0 && halfOpen === 0) return 'all closed';
  const counts = [...(open > 0 ? [`${open} of ${all} open`] : []), ...(halfOpen > 0 ? [`${halfOpen} half-open`] : [])];
  return counts.join(', ');
}

/** The summary for a service with this number of callers: `OPEN`, `DEGRADED`, `CLOSED`. */
export function circuitWord({ closed, open, halfOpen }: Circuits, callers: number): string {
  if (callers === 0 || closed + open + halfOpen === 0) return '–';
  if (closed === 0) return 'OPEN';
  return open + halfOpen === 0 ? 'CLOSED' : 'DEGRADED';
}

export function sumOfCircuits(all: readonly Circuits[]): Circuits {
  const sum = { closed: 0, open: 0, halfOpen: 0 };
  for (const { closed, open, halfOpen } of all) {
    sum.closed += closed;
    sum.open += open;
    sum.halfOpen += halfOpen;
  }
  return sum;
}
