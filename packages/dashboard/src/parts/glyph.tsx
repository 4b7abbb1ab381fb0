import type { Instance, State } from '@rollcall/core';
import type { VNode } from 'preact';
import { directionsOf } from '../model/text/instance-text.js';

/**
 * The disc shows the two heartbeats: its upper half is Heartbeat-1, its lower half Heartbeat-2. Each element is created
 * again: an element that is drawn twice keeps a reference to its first place, and so to every earlier page.
 */
const SHAPES: Readonly<Record<string, () => VNode>> = {
  full: () => <circle cx="6" cy="6" r="5" fill="currentColor" />,
  lower: () => (
    <>
      <circle cx="6" cy="6" r="4.3" fill="none" stroke="currentColor" stroke-width="1.4" />
      <path d="M1.4 6h9.2a4.6 4.6 0 0 1-9.2 0z" fill="currentColor" />
    </>
  ),
  upper: () => (
    <>
      <circle cx="6" cy="6" r="4.3" fill="none" stroke="currentColor" stroke-width="1.4" />
      <path d="M1.4 6h9.2a4.6 4.6 0 0 0-9.2 0z" fill="currentColor" />
    </>
  ),
  barred: () => (
    <>
      <circle cx="6" cy="6" r="4.3" fill="none" stroke="currentColor" stroke-width="1.4" />
      <path d="M2.6 6h6.8" stroke="currentColor" stroke-width="1.6" />
    </>
  ),
  triangle: () => <path d="M6 .9 11.6 11H.4z" fill="currentColor" />,
  dashed: () => (
    <circle cx="6" cy="6" r="4.5" fill="none" stroke="currentColor" stroke-width="1.6" stroke-dasharray="2.3 1.23" />
  ),
  door: () => (
    <path
      d="M5.4 1.4H1.6v9.2h3.8M4.6 6h6.2M8.4 3.6 10.8 6 8.4 8.4"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
};

const OF_STATE: Readonly<Record<State, string>> = {
  HEALTHY: 'full',
  UNHEALTHY: 'barred',
  CRITICAL: 'triangle',
  REGISTERING: 'dashed',
  DEREGISTERING: 'door',
};

type Shown = Pick<Instance, 'state'> & Partial<Pick<Instance, 'reason'>>;

function shapeOf({ state, reason }: Shown): string {
  if (state !== 'UNHEALTHY' || reason === undefined) return OF_STATE[state];
  const { heartbeat1, heartbeat2 } = directionsOf({ state, reason });
  if (heartbeat1 === false && heartbeat2 === true) return 'lower';
  return heartbeat1 === true && heartbeat2 === false ? 'upper' : 'barred';
}

/** The shape of a state. It is drawn beside its label and hidden from screen readers. */
export function Glyph({ shape }: { readonly shape: Shown }): VNode {
  return (
    <svg class={`glyph ${shape.state}`} viewBox="0 0 12 12" aria-hidden="true">
      {SHAPES[shapeOf(shape)]?.()}
    </svg>
  );
}

/** The shape and the label of a state. */
export function StateWord({ instance }: { readonly instance: Shown }): VNode {
  return (
    <span class={`state ${instance.state}`}>
      <Glyph shape={instance} />
      {instance.state}
    </span>
  );
}

/** Replaces the state of a service without a callable instance, whatever the states of its instances. */
export function NotCallable(): VNode {
  return (
    <span class="state CRITICAL">
      <Glyph shape={{ state: 'CRITICAL' }} />
      NOT CALLABLE
    </span>
  );
}
