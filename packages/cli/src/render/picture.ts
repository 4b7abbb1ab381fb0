import type { Instance } from '@rollcall/core';
import { directionTexts } from '../registry/heartbeats.js';
import type { Direction, Heartbeats } from '../registry/heartbeats.js';
import type { Look, Span } from '../terminal/paint.js';

type Line = readonly Span[];
/**
 * The state of one direction: it works, it is refused, there is no answer, nothing has arrived yet, or its other end is
 * gone.
 */
type Wire = 'fine' | 'refused' | 'silent' | 'due' | 'gone';

/** The characters between the two blocks. */
const WIRE_WIDTH = 12;

/** The heading of the picture: which directions work. */
export function pictureHeading({ reason }: Pick<Instance, 'reason'>, beats: Heartbeats | null): string {
  if (reason.code === 'PROOF_OF_DEATH') return 'No process is there: proof of death.';
  if (reason.code === 'ADDRESS_SHARED') return 'Two processes share its address.';
  const [inbound, outbound] = wiresOf(reason.code, beats);
  if (inbound === 'due' || outbound === 'due') return dueText(inbound, outbound);
  if (inbound === 'fine')
    return outbound === 'fine' ? 'We reach it, and it reaches us.' : 'We reach it, but it does not call.';
  return outbound === 'fine' ? 'It reaches us, but we cannot reach it.' : 'Neither reaches the other.';
}

function dueText(inbound: Wire, outbound: Wire): string {
  if (inbound === 'fine') return 'We reach it; its first Heartbeat-2 is due.';
  return outbound === 'fine' ? 'It reaches us; the first Heartbeat-1 is due.' : 'Neither direction is proved yet.';
}

/** Two lines: registry left, service right; Heartbeat-1 on top, pointing right, Heartbeat-2 below, pointing left. */
export function heartbeatPicture(
  instance: Instance,
  name: string,
  beats: Heartbeats | null,
  now: number,
): readonly Line[] {
  const [inbound, outbound] = wiresOf(instance.reason.code, beats);
  const texts = directionTexts(instance, beats, now);
  return [
    renderLane(
      { wire: drawWire(inbound, 'right'), look: LOOKS[inbound], name, label: 'Heartbeat-1' },
      texts.inbound,
      beats?.heartbeat1,
    ),
    renderLane(
      { wire: drawWire(outbound, 'left'), look: LOOKS[outbound], name, label: 'Heartbeat-2' },
      texts.outbound,
      beats?.heartbeat2,
    ),
  ];
}

interface Lane {
  readonly wire: string;
  readonly look: Look;
  readonly name: string;
  readonly label: string;
}

function renderLane({ wire, look, name, label }: Lane, text: string, direction: Direction | undefined): Line {
  const misses = direction === undefined || direction.misses === 0 ? '' : `, ${direction.misses} missed`;
  const error = direction?.error ?? null;
  const why = error === null ? '' : `  ${error}`;
  return [
    { text: 'registry ' },
    { text: wire, look },
    { text: ` ${name}   ${label}  ${text}${misses}` },
    { text: why, look: 'faint' },
  ];
}

const LOOKS: Readonly<Record<Wire, Look>> = {
  fine: 'healthy',
  refused: 'critical',
  silent: 'unhealthy',
  due: 'registering',
  gone: 'critical',
};

/** A caller is a dot, a callee a door. The break is drawn where it happens. */
function drawWire(wire: Wire, to: 'left' | 'right'): string {
  const bodies: Readonly<Record<Wire, string>> = {
    fine: `${'─'.repeat(WIRE_WIDTH - 1)}▸`,
    refused: `${'─'.repeat(WIRE_WIDTH - 1)}✕`,
    silent: `${'─'.repeat(WIRE_WIDTH - 6)}╌╌╌   `,
    due: '·'.repeat(WIRE_WIDTH),
    gone: ' '.repeat(WIRE_WIDTH),
  };
  const line =
    to === 'right' ? `•${bodies[wire]}▌` : `▐${bodies[wire].split('').toReversed().join('').replace('▸', '◂')}•`;
  return wire === 'gone' ? line.replace('•', '·').replace(/[▌▐]/, '┆') : line;
}

function wiresOf(code: string, beats: Heartbeats | null): readonly [Wire, Wire] {
  if (code === 'PROOF_OF_DEATH') return ['refused', 'gone'];
  if (beats !== null) return [wireOf(beats.heartbeat1), wireOf(beats.heartbeat2)];
  const inbound =
    code === 'INBOUND_REFUSED' ? 'refused' : ['INBOUND_SILENT', 'SILENT'].includes(code) ? 'silent' : 'fine';
  const outbound = ['OUTBOUND_SILENT', 'SILENT'].includes(code) ? 'silent' : 'fine';
  return code === 'NEW' ? ['due', 'due'] : [inbound, outbound];
}

function wireOf({ lastSuccessAgoMs, misses, error }: Direction): Wire {
  if (error !== null && /ECONNREFUSED/.test(error)) return 'refused';
  if (misses > 0 || error !== null) return 'silent';
  return lastSuccessAgoMs === null ? 'due' : 'fine';
}
