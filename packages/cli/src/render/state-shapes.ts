import type { Instance, State } from '@rollcall/core';
import type { Heartbeats } from '../registry/heartbeats.js';
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
export const stateShape = (instance: Instance, beats: Heartbeats | null = null): string =>
  shapeOf(instance.state, instance, beats);

export const stateLook = (state: State): Look => LOOKS[state];

/** How an instance is marked that an operator drained, or put into maintenance. */
export const AWAY = { shape: '⊘', look: 'leaving' } as const satisfies { readonly shape: string; readonly look: Look };

/** Shape and word of an instance's state, or of what an operator wants of it, where that keeps callers away. */
export function headSpans(instance: Instance, beats: Heartbeats | null): readonly Span[] {
  if (isAway(instance)) return stateSpans(AWAY.shape, instance.admin, AWAY.look);
  return stateSpans(shapeOf(instance.state, instance, beats), instance.state, LOOKS[instance.state]);
}

/** HEALTHY has a coloured disc and a plain word. */
export function stateSpans(mark: string, word: string, look: Look): readonly Span[] {
  const padding = { text: ' '.repeat(Math.max(1, STATE_WIDTH - 2 - word.length)) };
  return [{ text: mark, look }, { text: ' ' }, look === 'healthy' ? { text: word } : { text: word, look }, padding];
}

/** The disc is the two heartbeats: its upper half stands for Heartbeat-1, its lower half for Heartbeat-2. */
export function shapeOf(state: State, instance?: Instance, beats: Heartbeats | null = null): string {
  if (state !== 'UNHEALTHY' || instance === undefined) return SHAPES[state];
  switch (instance.reason.code) {
    case 'INBOUND_SILENT':
    case 'INBOUND_REFUSED':
      return '◒';
    case 'OUTBOUND_SILENT':
      return '◓';
    case 'SILENT':
      return '⊖';
    default:
      return beats === null ? '⊖' : discOf(beats);
  }
}

function discOf({ heartbeat1, heartbeat2 }: Heartbeats): string {
  if (heartbeat1.misses === 0) return heartbeat2.misses === 0 ? '●' : '◓';
  return heartbeat2.misses === 0 ? '◒' : '⊖';
}
