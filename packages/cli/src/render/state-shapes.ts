import type { Instance, Reason, State } from '@rollcall/core';
import type { Look, Span } from '../terminal/paint.js';
import { isAway } from './outages.js';

/** The width of a shape, a gap, the label of the state and another gap, in columns. */
export const STATE_WIDTH = 17;
const LOOKS: Readonly<Record<State, Look>> = {
  HEALTHY: 'healthy',
  UNHEALTHY: 'unhealthy',
  CRITICAL: 'critical',
  REGISTERING: 'registering',
  DEREGISTERING: 'leaving',
};

const SHAPES: Readonly<Record<State, string>> = {
  HEALTHY: '●',
  UNHEALTHY: '⊖',
  CRITICAL: '▲',
  REGISTERING: '◌',
  DEREGISTERING: '⇥',
};

/** The shape of an instance's state, one column wide. */
export const stateShape = ({ state, reason }: Pick<Instance, 'state' | 'reason'>): string => shapeOf(state, reason);

export const stateLook = (state: State): Look => LOOKS[state];

/** The mark of an instance that an operator drained, or put into maintenance. */
export const AWAY = { shape: '⊘', look: 'leaving' } as const satisfies { readonly shape: string; readonly look: Look };

/** The shape and label of an instance's state, or of an operator's setting that keeps callers away. */
export function headSpans(instance: Instance): readonly Span[] {
  if (isAway(instance)) return stateSpans(AWAY.shape, instance.admin, AWAY.look);
  return stateSpans(stateShape(instance), instance.state, LOOKS[instance.state]);
}

/** HEALTHY has a coloured disc and a plain label. */
export function stateSpans(mark: string, label: string, look: Look): readonly Span[] {
  const padding = { text: ' '.repeat(Math.max(1, STATE_WIDTH - 2 - label.length)) };
  return [{ text: mark, look }, { text: ' ' }, look === 'healthy' ? { text: label } : { text: label, look }, padding];
}

/**
 * The disc shows the two heartbeats: its upper half is Heartbeat-1, its lower half Heartbeat-2. It depends on the
 * reason alone, as on the dashboard: measurements change faster than the state, and are not requested everywhere.
 */
export function shapeOf(state: State, reason: Reason | null = null): string {
  if (state !== 'UNHEALTHY' || reason === null) return SHAPES[state];
  switch (reason.code) {
    case 'INBOUND_SILENT':
    case 'INBOUND_REFUSED':
    case 'ADDRESS_SHARED':
    case 'ADDRESS_TAKEN':
      return '◒';
    case 'OUTBOUND_SILENT':
      return '◓';
    default:
      return SHAPES[state];
  }
}
