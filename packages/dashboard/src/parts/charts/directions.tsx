import type { DirectionAnswer, HeartbeatsAnswer, Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import { ageText, latencyText } from '../../model/text/age.js';
import { directionsOf } from '../../model/text/instance-text.js';
import { isRefused, worksOf } from '../../model/view/picture.js';

interface ArrowProps {
  readonly direction: 'out' | 'in';
  /** Null: nothing is known of it yet. */
  readonly works: boolean | null;
  readonly isDead: boolean;
  readonly text: string;
}

/** A small symbol of one heartbeat: `•→` the registry calls it, `←•` it calls the registry; a cross for a refusal. */
function Arrow({ direction, works, isDead, text }: ArrowProps): VNode {
  const tone = works === true ? 'works' : works === null ? 'unknown' : isDead ? 'dead' : 'fails';
  return (
    <span class={`direction ${tone}`}>
      <svg viewBox="0 0 22 8" aria-hidden="true" class={direction === 'in' ? 'mirrored' : ''}>
        <circle cx="2" cy="4" r="1.8" fill="currentColor" />
        <path
          d="M4 4h14"
          stroke="currentColor"
          stroke-width="1.5"
          stroke-dasharray={works === true ? undefined : '2.5 2'}
        />
        <path
          d={works === false ? 'M17 1.5l4 5M21 1.5l-4 5' : 'M17 1l4 3-4 3'}
          fill="none"
          stroke="currentColor"
          stroke-width="1.5"
          stroke-linecap="round"
          stroke-linejoin="round"
        />
      </svg>
      <span>{text}</span>
    </span>
  );
}

interface DirectionsProps {
  readonly instance: Instance;
  readonly heartbeats: HeartbeatsAnswer | null;
}

export function Heartbeat1({ instance, heartbeats }: DirectionsProps): VNode {
  const facts = heartbeats?.heartbeat1 ?? null;
  const works = worksOf(facts, directionsOf(instance).heartbeat1, instance.state);
  return (
    <Arrow
      direction="out"
      works={works}
      isDead={instance.state === 'CRITICAL'}
      text={inboundText(instance, facts, works)}
    />
  );
}

export function Heartbeat2({ instance, heartbeats }: DirectionsProps): VNode {
  const facts = heartbeats?.heartbeat2 ?? null;
  const works = worksOf(facts, directionsOf(instance).heartbeat2, instance.state);
  return (
    <Arrow direction="in" works={works} isDead={instance.state === 'CRITICAL'} text={outboundText(facts, works)} />
  );
}

function inboundText(instance: Instance, facts: DirectionAnswer | null, works: boolean | null): string {
  if (works === false) return isRefused(instance, facts?.error ?? null) ? 'refused' : 'no answer';
  if (facts === null) return '–';
  return facts.roundTripMs === null ? 'due' : latencyText(facts.roundTripMs);
}

function outboundText(facts: DirectionAnswer | null, works: boolean | null): string {
  if (facts === null || facts.lastSuccessAgoMs === null) {
    if (works === false) return 'silent';
    return facts === null ? '–' : 'due';
  }
  return `${ageText(facts.lastSuccessAgoMs)} ago`;
}
