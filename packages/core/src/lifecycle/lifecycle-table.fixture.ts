/** The table of docs/STATES.md: every state and every event. */
import { transition } from './lifecycle.js';
import type { Event, Transition } from './lifecycle.js';
import { DEFAULT_POLICY } from './policy.js';
import { reasonFor } from './reason.js';
import type { ReasonCode } from './reason.js';
import { newborn } from './vitals.js';
import type { Cause, Fleet, Phase, Vitals } from './vitals.js';

export const NOW = 1_000_000;
export const policy = DEFAULT_POLICY;

export const steadyFleet: Fleet = {
  otherHealthy: true,
  otherCallable: true,
  permit: { held: null, mass: false, hostProved: false },
};
const held: Fleet = { ...steadyFleet, permit: { ...steadyFleet.permit, held: 'too many are silent' } };
const heldAtProvedHost: Fleet = { ...held, permit: { ...held.permit, hostProved: true } };
export const alone: Fleet = { ...steadyFleet, otherHealthy: false, otherCallable: false };
const mass: Fleet = { ...steadyFleet, permit: { ...steadyFleet.permit, mass: true } };

export interface Column {
  readonly title: string;
  readonly phase: Phase;
  readonly reason: ReasonCode;
  readonly cause?: Cause;
  readonly proved?: boolean;
}

export const COLUMNS: readonly Column[] = [
  { title: 'REGISTERING', phase: 'REGISTERING', reason: 'NEW', proved: false },
  { title: 'HEALTHY', phase: 'HEALTHY', reason: 'BOTH_WAYS_OK' },
  { title: 'UNHEALTHY', phase: 'UNHEALTHY', reason: 'INBOUND_SILENT' },
  { title: 'CRITICAL by proof', phase: 'CRITICAL', reason: 'PROOF_OF_DEATH', cause: 'proof' },
  { title: 'CRITICAL otherwise', phase: 'CRITICAL', reason: 'SILENT', cause: 'silence' },
  { title: 'DEREGISTERING by proof', phase: 'DEREGISTERING', reason: 'PROOF_OF_DEATH', cause: 'proof' },
  { title: 'DEREGISTERING otherwise', phase: 'DEREGISTERING', reason: 'SILENT', cause: 'silence' },
  { title: 'LEAVING', phase: 'LEAVING', reason: 'LEAVING' },
];

/** Other variants of a column, on which no cell of the table may depend. */
export const VARIANTS: readonly Column[] = [
  { title: 'CRITICAL otherwise', phase: 'CRITICAL', reason: 'INBOUND_SILENT', cause: 'one-way' },
  { title: 'CRITICAL otherwise', phase: 'CRITICAL', reason: 'UNPROVED', cause: 'unproved', proved: false },
];

export interface Row {
  readonly title: string;
  readonly event: Event;
  readonly fleet?: Fleet;
  readonly vitals?: Partial<Vitals>;
}

const silentFor = (intervals: number): number => NOW - intervals * policy.intervalMs - policy.timeoutMs;
const bothSilent = { inboundAt: silentFor(6), anyInboundAt: silentFor(6), outboundAt: silentFor(6) };
const inboundSilent = { inboundAt: silentFor(3), anyInboundAt: silentFor(3) };
const outboundSilent = { outboundAt: silentFor(3) };
/** Restored from a store, without a heartbeat since, and refused twice. */
const refusing = {
  ...bothSilent,
  unheard: { refusals: 2, firstAt: silentFor(3), lastAt: silentFor(1) },
  lastFailure: { text: 'E', refused: true },
};
const failed = { type: 'call-failed', text: 'E', refused: false, partly: false, confirmed: false } as const;

export const ROWS: readonly Row[] = [
  { title: 'proved both ways, the first in a row', event: { type: 'proved' } },
  { title: 'proved both ways, the second in a row', event: { type: 'proved' }, vitals: { proofsInARow: 1 } },
  {
    title: 'the same, while flapping',
    event: { type: 'proved' },
    vitals: { proofsInARow: 1, falls: { score: 4, at: NOW } },
  },
  {
    title: 'the fifth in a row, while flapping',
    event: { type: 'proved' },
    vitals: { proofsInARow: 4, falls: { score: 4, at: NOW } },
  },
  {
    title: 'the second in a row, while the address is shared',
    event: { type: 'proved' },
    vitals: { proofsInARow: 1, shared: true },
  },
  { title: 'any Heartbeat-2', event: { type: 'heartbeat-2' } },
  { title: 'Heartbeat-1 answered on every endpoint', event: { type: 'heartbeat-1' } },
  { title: 'its line opens', event: { type: 'line' }, vitals: { unheard: refusing.unheard } },
  { title: 'a call timed out', event: failed },
  { title: 'a call timed out, and an ordinary call confirms it', event: { ...failed, confirmed: true } },
  { title: 'a call refused, without proof', event: { ...failed, refused: true } },
  { title: 'one endpoint of several failed', event: { ...failed, partly: true } },
  { title: 'proof of death', event: { type: 'proof', text: 'E' } },
  { title: 'proof of death, in the mass', event: { type: 'proof', text: 'E' }, fleet: mass },
  { title: 'the registry doubts its own network', event: { type: 'doubt' } },
  { title: 'never proved for 6 intervals, silent both ways', event: { type: 'unproved' }, vitals: bothSilent },
  { title: '… but it beats, permitted', event: { type: 'unproved' }, vitals: inboundSilent },
  { title: '… but it beats, not permitted', event: { type: 'unproved' }, vitals: inboundSilent, fleet: held },
  { title: '… but it beats and is the only one', event: { type: 'unproved' }, vitals: inboundSilent, fleet: alone },
  { title: 'no Heartbeat-1 answered for 2 intervals + timeout', event: { type: 'one-silent' }, vitals: inboundSilent },
  {
    title: '… refused at the last call',
    event: { type: 'one-silent' },
    vitals: { ...inboundSilent, lastFailure: { text: 'E', refused: true } },
  },
  { title: 'no Heartbeat-2 for 2 intervals + timeout', event: { type: 'one-silent' }, vitals: outboundSilent },
  { title: 'neither for 2 intervals + timeout', event: { type: 'one-silent' }, vitals: bothSilent },
  {
    title: 'a direction silent for 3, another is HEALTHY, permitted',
    event: { type: 'one-silent-long' },
    vitals: inboundSilent,
  },
  {
    title: '… for 3, refused at the last call',
    event: { type: 'one-silent-long' },
    vitals: { ...inboundSilent, lastFailure: { text: 'E', refused: true } },
  },
  { title: '… for 3, not permitted', event: { type: 'one-silent-long' }, vitals: inboundSilent, fleet: held },
  { title: '… for 3, none other is HEALTHY', event: { type: 'one-silent-long' }, vitals: inboundSilent, fleet: alone },
  { title: 'both silent for 3 (the last: 6), permitted', event: { type: 'both-silent' }, vitals: bothSilent },
  { title: 'both silent, not permitted', event: { type: 'both-silent' }, vitals: bothSilent, fleet: held },
  {
    title: '… not heard since the restart, refused, its host proved',
    event: { type: 'both-silent' },
    vitals: refusing,
    fleet: heldAtProvedHost,
  },
  {
    title: '… the same, but its host has no proved instance',
    event: { type: 'both-silent' },
    vitals: refusing,
    fleet: held,
  },
  { title: 'its step is due (below)', event: { type: 'step' }, vitals: bothSilent },
  {
    title: 'none other is callable, one direction alive',
    event: { type: 'last' },
    vitals: inboundSilent,
    fleet: alone,
  },
  { title: 'its removal is due (below)', event: { type: 'remove' } },
  { title: 'drain', event: { type: 'drain', deadlineMs: 30_000 } },
  { title: 'DELETE by itself', event: { type: 'end', code: 'GOODBYE', text: 'E' } },
  { title: 'DELETE by an operator', event: { type: 'end', code: 'OPERATOR', text: 'E' } },
  { title: 'superseded at its address', event: { type: 'end', code: 'SUPERSEDED', text: 'E' } },
  { title: 'registers again, same endpoints', event: { type: 'register', moved: false } },
  { title: 'registers again, other endpoints', event: { type: 'register', moved: true } },
  { title: 'the registry restarted', event: { type: 'restart' } },
  { title: 'another process answers in turns', event: { type: 'shared', text: 'E' } },
  { title: 'no longer', event: { type: 'unshared' }, vitals: { shared: true } },
];

export function vitalsOf(column: Column, changes: Partial<Vitals> = {}): Vitals {
  return {
    ...newborn(NOW - 30_000),
    inboundAt: NOW - 1_000,
    anyInboundAt: NOW - 1_000,
    outboundAt: NOW - 1_000,
    proved: column.proved ?? true,
    phase: column.phase,
    reason: reasonFor(column.reason),
    cause: column.cause ?? null,
    ...changes,
  };
}

function cell(vitals: Vitals, result: Transition): string {
  if (result.removed !== null) {
    return `removed \`${result.removed.reason.code}\`${result.removed.ended ? ', for good' : ''}`;
  }
  if (result.changed) {
    const { phase, reason, cause } = result.vitals;
    const by = phase === 'CRITICAL' && cause !== null ? ` *${cause}*` : '';
    const permit = result.usesPermit ? ', uses a permit' : '';
    return `${phase}${by} \`${reason.code}\`${permit}`;
  }
  return JSON.stringify(result.vitals) === JSON.stringify(vitals) ? '–' : 'noted';
}

/** The cell of this row and column, and the reasons that occur in it, each with its phase. */
export function meet(
  row: Row,
  column: Column,
): { readonly text: string; readonly given: readonly (readonly [ReasonCode, string])[] } {
  const vitals = vitalsOf(column, row.vitals);
  const result = transition(vitals, row.event, { now: NOW, policy, fleet: row.fleet ?? steadyFleet });
  const { removed, changed } = result;
  if (removed !== null) return { text: cell(vitals, result), given: [[removed.reason.code, 'removed']] };
  const given = changed ? [[result.vitals.reason.code, result.vitals.phase] as const] : [];
  return { text: cell(vitals, result), given };
}
