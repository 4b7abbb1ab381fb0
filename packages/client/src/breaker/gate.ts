/**
 * The number of calls that an instance may have under way: `OPEN`, `SHUT`, or a limit. It is a number, so that the gates of several rules
 * combine as their minimum and a pick costs one comparison. Reading a gate computes it from `now` and changes no state. The design is that
 * of linkerd2-proxy: rules on one side, the balancer on the other, a gate between them.
 */
export type Gate = number;

export const OPEN: Gate = Infinity;
export const SHUT: Gate = 0;

/** Called when the gate of a rule may have changed. */
export interface GateListener {
  gateChanged(): void;
}

/** The gate as text for users: `open`, `shut`, `limited to 1`. */
export function gateText(gate: Gate): string {
  if (gate === OPEN) return 'open';
  return gate <= SHUT ? 'shut' : `limited to ${gate}`;
}
