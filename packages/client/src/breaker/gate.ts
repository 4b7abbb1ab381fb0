/**
 * May an instance take one more call now, and how many at once? A number, so that gates of several judges combine as
 * the smallest and a pick costs one comparison: `OPEN`, `SHUT`, or the greatest number of calls in flight. What a gate
 * says is computed from
 * `now` and changes nothing. The idea is linkerd2-proxy's: judges on one side, the balancer on the other, a gate
 * between them.
 */
export type Gate = number;

export const OPEN: Gate = Infinity;
export const SHUT: Gate = 0;

/** Is notified when a judge may decide differently. */
export interface GateListener {
  gateChanged(): void;
}

/** For people: `open`, `shut`, `limited to 1`. */
export function gateText(gate: Gate): string {
  if (gate === OPEN) return 'open';
  return gate <= SHUT ? 'shut' : `limited to ${gate}`;
}
