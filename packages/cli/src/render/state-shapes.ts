import type { Instance, Reason, State } from '@rollcall/core';
import type { Look, Span } from '../terminal/paint.js';
import { isAway } from './outages.js';

/** Of a shape, the gap behind it, a word for the state and the gap behind that, columns. */
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

/** How an instance is marked that an operator drained, or put into maintenance. */
export const AWAY = { shape: '⊘', look: 'leaving' } as const satisfies { readonly shape: string; readonly look: Look };

/** Shape and word of an instance's state, or of what an operator wants of it, where that keeps callers away. */
export function headSpans(instance: Instance): readonly Span[] {
  if (isAway(instance)) return stateSpans(AWAY.shape, instance.admin, AWAY.look);
  return stateSpans(stateShape(instance), instance.state, LOOKS[instance.state]);
}

/** HEALTHY has a coloured disc and a plain word. */
export function stateSpans(mark: string, word: string, look: Look): readonly Span[] {
  const padding = { text: ' '.repeat(Math.max(1, STATE_WIDTH - 2 - word.length)) };
  return [{ text: mark, look }, { text: ' ' }, look === 'healthy' ? { text: word } : { text: word, look }, padding];
}

/**
 * The disc is the two heartbeats: its upper half stands for Heartbeat-1, its lower half for Heartbeat-2. By the reason alone, as on the
 * dashboard: what is measured meanwhile changes faster than the state, and is not asked for everywhere.
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
