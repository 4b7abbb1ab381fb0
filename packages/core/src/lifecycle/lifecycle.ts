/**
 * `transition` is the only function that moves an instance between its states. `due` (deadlines.ts) returns the event that time alone
 * causes; every cause, time included, is an event. The function is pure: `now` and the permits of the fleet are arguments. docs/STATES.md
 * is generated from this file.
 */
import type { ClockEvent } from './deadlines.js';
import type { Policy } from './policy.js';
import { preservedReason, reasonFor } from './reason.js';
import type { Reason } from './reason.js';
import { fallsNow, notHeardSince, silence, wasGoneBefore } from './vitals.js';
import type { Cause, Fleet, Phase, Unheard, Vitals } from './vitals.js';

export type Event =
  /** An answered Heartbeat-1 on every endpoint. */
  | { readonly type: 'heartbeat-1' }
  | { readonly type: 'heartbeat-2' }
  /** The instance opened its line: a sign of life, but not a heartbeat. */
  | { readonly type: 'line' }
  /** Heartbeat-1 was answered and a Heartbeat-2 quoted its nonce; follows both of them. */
  | { readonly type: 'proved' }
  /**
   * A probe failed: on some endpoints only (`partly`), refused, or timed out; `confirmed`: the previous regular
   * probe failed, too.
   */
  | {
      readonly type: 'call-failed';
      readonly text: string;
      readonly refused: boolean;
      readonly partly: boolean;
      readonly confirmed: boolean;
    }
  /** Refused on all endpoints, its line closed by the peer, and no Heartbeat-2 since. */
  | { readonly type: 'proof'; readonly text: string }
  /** The registry distrusts its own network: refusals are reverted. */
  | { readonly type: 'doubt' }
  | { readonly type: 'drain'; readonly deadlineMs: number }
  | { readonly type: 'end'; readonly code: 'GOODBYE' | 'OPERATOR' | 'SUPERSEDED'; readonly text: string }
  | { readonly type: 'register'; readonly moved: boolean }
  | { readonly type: 'restart' }
  | { readonly type: 'shared'; readonly text: string }
  | { readonly type: 'unshared' }
  | ClockEvent;

export interface Transition {
  readonly vitals: Vitals;
  /** True if the phase or the reason changed, so the record must be published again. */
  readonly changed: boolean;
  /** True if the transition consumes one of self-preservation's permits. */
  readonly usesPermit: boolean;
  /** Set if the instance is removed; `ended`: its id is never accepted again. */
  readonly removed: { readonly reason: Reason; readonly ended: boolean } | null;
}

/** The inputs of a transition besides the instance. */
export interface Context {
  readonly now: number;
  readonly policy: Policy;
  readonly fleet: Fleet;
}

type Step =
  | Vitals
  | { readonly removed: Transition['removed'] }
  | { readonly vitals: Vitals; readonly usesPermit: true };

/** Applies one event to one instance: the only way a state changes. */
export function transition(vitals: Vitals, event: Event, at: Context): Transition {
  const step = apply(vitals, event, at);
  if ('removed' in step) return { vitals, changed: true, usesPermit: false, removed: step.removed };
  const next = 'vitals' in step ? step.vitals : step;
  return {
    vitals: next,
    changed: next.phase !== vitals.phase || next.reason !== vitals.reason,
    usesPermit: 'usesPermit' in step,
    removed: null,
  };
}

function apply(vitals: Vitals, event: Event, at: Context): Step {
  switch (event.type) {
    case 'heartbeat-1':
      return onHeartbeat1(vitals, at);
    case 'heartbeat-2':
      return onHeartbeat2(vitals, at);
    case 'line':
      return markHeard(vitals);
    case 'proved':
      return onProved(vitals, at);
    case 'call-failed':
      return onCallFailed(vitals, event, at);
    case 'proof':
      return onProof(vitals, event.text, at);
    case 'doubt':
      return vitals.cause === 'proof'
        ? to(vitals, 'UNHEALTHY', reasonFor('INBOUND_REFUSED', distrustText(vitals)), at)
        : vitals;
    case 'drain':
      return onDrain(vitals, event.deadlineMs, at);
    case 'end':
      return { removed: { reason: { code: event.code, text: event.text }, ended: true } };
    case 'register':
      return onRegister(vitals, event.moved, at);
    case 'restart':
      return { ...vitals, ...restartedClocks(at.now), ...restartedAt(at.now) };
    case 'shared':
      return onShared(vitals, event.text, at);
    case 'unshared':
      return { ...vitals, shared: false };
    default:
      return onClock(vitals, event, at);
  }
}

/** Restarts both silence clocks. */
const restartedClocks = (now: number): Pick<Vitals, 'inboundAt' | 'anyInboundAt' | 'outboundAt'> => ({
  inboundAt: now,
  anyInboundAt: now,
  outboundAt: now,
});

const restartedAt = (now: number): Pick<Vitals, 'bornAt' | 'since' | 'causeSince' | 'unheard'> => ({
  bornAt: now,
  since: now,
  causeSince: now,
  unheard: notHeardSince(now),
});

/** Records that this registry process has received a sign of life from the instance. */
const markHeard = (vitals: Vitals): Vitals => (vitals.unheard === null ? vitals : { ...vitals, unheard: null });

/** `returnedAt` for a heartbeat that arrives now. */
function returnedAt(vitals: Vitals, { now, policy }: Context): number {
  return silence(vitals, now, policy, policy.unhealthyAfter).both ? now : vitals.returnedAt;
}

/** Enters a phase: counts a fall, and restarts the count of proofs if the phase changes. */
function to(vitals: Vitals, phase: Phase, reason: Reason, at: Context): Vitals {
  const fell = vitals.phase === 'HEALTHY' && (phase === 'UNHEALTHY' || phase === 'CRITICAL');
  return {
    ...vitals,
    phase,
    reason,
    cause: null,
    since: phase === vitals.phase ? vitals.since : at.now,
    causeSince: at.now,
    proofsInARow: phase === vitals.phase ? vitals.proofsInARow : 0,
    falls: fell ? { score: fallsNow(vitals, at.now, at.policy) + 1, at: at.now } : vitals.falls,
  };
}

const critical = (vitals: Vitals, cause: Cause, reason: Reason, at: Context): Vitals => ({
  ...to(vitals, 'CRITICAL', reason, at),
  cause,
});

function onHeartbeat1(before: Vitals, at: Context): Vitals {
  const vitals: Vitals = { ...before, unheard: null, returnedAt: returnedAt(before, at) };
  const answered: Vitals = { ...vitals, inboundAt: at.now, anyInboundAt: at.now, lastFailure: null };
  if (vitals.phase === 'DEREGISTERING') return critical(answered, 'one-way', reasonFor('OUTBOUND_SILENT'), at);
  if (vitals.phase === 'CRITICAL' && vitals.cause === 'proof') {
    return { ...answered, cause: 'one-way', causeSince: at.now, reason: reasonFor('OUTBOUND_SILENT') };
  }
  return answered;
}

function onHeartbeat2(before: Vitals, at: Context): Vitals {
  const vitals: Vitals = { ...before, unheard: null, returnedAt: returnedAt(before, at) };
  if (vitals.phase === 'DEREGISTERING') {
    return to({ ...vitals, ...restartedClocks(at.now) }, 'UNHEALTHY', reasonFor('RESCUED'), at);
  }
  if (vitals.phase === 'CRITICAL' && vitals.cause === 'proof') {
    return to(
      { ...vitals, ...restartedClocks(at.now) },
      'UNHEALTHY',
      reasonFor('INBOUND_REFUSED', vitals.lastFailure?.text),
      at,
    );
  }
  return { ...vitals, outboundAt: at.now };
}

function onProved(vitals: Vitals, at: Context): Vitals {
  if (vitals.phase === 'LEAVING' || vitals.phase === 'DEREGISTERING') return vitals;
  const counted: Vitals = { ...vitals, proved: true, proofsInARow: vitals.proofsInARow + 1 };
  if (vitals.shared || vitals.phase === 'HEALTHY') return counted;
  const flapping = fallsNow(vitals, at.now, at.policy) > at.policy.flappingLimit;
  const needed = vitals.phase === 'REGISTERING' ? 1 : flapping ? at.policy.flappingProofs : at.policy.proofs;
  return counted.proofsInARow >= needed ? to(counted, 'HEALTHY', reasonFor('BOTH_WAYS_OK'), at) : counted;
}

function onCallFailed(vitals: Vitals, event: Extract<Event, { type: 'call-failed' }>, at: Context): Step {
  const failed: Vitals = {
    ...vitals,
    proofsInARow: 0,
    anyInboundAt: event.partly ? at.now : vitals.anyInboundAt,
    returnedAt: event.partly ? returnedAt(vitals, at) : vitals.returnedAt,
    unheard: nextUnheard(vitals.unheard, event, at),
    lastFailure: { text: event.text, refused: event.refused && !event.partly },
  };
  if (event.partly) return failed;
  if (vitals.phase === 'LEAVING' && event.refused) return gone('GOODBYE', event.text, true);
  if (vitals.phase === 'HEALTHY' && (event.refused || event.confirmed)) {
    return to(failed, 'UNHEALTHY', reasonFor(event.refused ? 'INBOUND_REFUSED' : 'INBOUND_SILENT', event.text), at);
  }
  return failed;
}

/** An answer from one endpoint of several counts as a sign of life. */
function nextUnheard(
  unheard: Unheard | null,
  { refused, partly }: Extract<Event, { type: 'call-failed' }>,
  { now, fleet }: Context,
): Unheard | null {
  if (unheard === null || partly) return null;
  if (!refused || !fleet.permit.hostProved) return notHeardSince(now);
  return { refusals: unheard.refusals + 1, firstAt: unheard.refusals === 0 ? now : unheard.firstAt, lastAt: now };
}

function onProof(vitals: Vitals, text: string, at: Context): Step {
  if (at.fleet.permit.mass) {
    return onCallFailed(vitals, { type: 'call-failed', text, refused: true, partly: false, confirmed: true }, at);
  }
  const failed: Vitals = { ...vitals, proofsInARow: 0, lastFailure: { text, refused: true } };
  if (vitals.phase === 'LEAVING') return gone('GOODBYE', text, true);
  if (vitals.phase === 'DEREGISTERING') return failed;
  if (vitals.phase === 'CRITICAL' && vitals.cause === 'proof') return failed;
  return critical(failed, 'proof', reasonFor('PROOF_OF_DEATH', text), at);
}

const distrustText = (vitals: Vitals): string =>
  `${vitals.lastFailure?.text ?? 'refused'}; but so many instances refuse that the registry doubts its own network`;

function onDrain(vitals: Vitals, deadlineMs: number, at: Context): Vitals {
  if (vitals.phase === 'LEAVING') return vitals;
  return { ...to(markHeard(vitals), 'LEAVING', reasonFor('LEAVING'), at), leaveMs: deadlineMs + at.policy.intervalMs };
}

function onRegister(before: Vitals, moved: boolean, at: Context): Vitals {
  if (before.phase === 'LEAVING') return before;
  const vitals = markHeard(before);
  const fresh: Vitals = moved
    ? { ...vitals, ...restartedClocks(at.now), proved: false, bornAt: at.now, shared: false }
    : vitals;
  if (vitals.phase === 'DEREGISTERING') {
    return to({ ...fresh, ...restartedClocks(at.now) }, 'UNHEALTHY', reasonFor('RESCUED'), at);
  }
  return moved ? to(fresh, 'REGISTERING', reasonFor('MOVED'), at) : vitals;
}

function onShared(vitals: Vitals, text: string, at: Context): Vitals {
  if (vitals.phase !== 'REGISTERING' && vitals.phase !== 'HEALTHY' && vitals.phase !== 'UNHEALTHY') return vitals;
  if (vitals.shared) return vitals;
  return { ...to(vitals, 'UNHEALTHY', reasonFor('ADDRESS_SHARED', text), at), shared: true };
}

function onClock(vitals: Vitals, event: ClockEvent, at: Context): Step {
  switch (event.type) {
    case 'unproved':
      return vitals.phase === 'REGISTERING' ? onUnproved(vitals, at) : vitals;
    case 'one-silent':
      return onOneSilent(vitals, at);
    case 'one-silent-long':
      if (vitals.phase !== 'UNHEALTHY' || !at.fleet.otherHealthy) return vitals;
      return permitted(vitals, oneWayReason(vitals, at) ?? vitals.reason, 'one-way', at);
    case 'both-silent':
      return vitals.phase === 'UNHEALTHY' ? permitted(vitals, reasonFor('SILENT'), 'silence', at) : vitals;
    case 'step':
      return vitals.phase === 'CRITICAL' ? onStep(vitals, at) : vitals;
    case 'last':
      return vitals.phase === 'CRITICAL' && vitals.cause !== 'proof' && !at.fleet.otherCallable
        ? to(vitals, 'UNHEALTHY', reasonFor('LAST', oneWayReason(vitals, at)?.text), at)
        : vitals;
    case 'remove':
      return onRemove(vitals);
  }
}

/** The last step: by proof, or because both directions are silent now, for any cause of CRITICAL. */
function onStep(vitals: Vitals, at: Context): Vitals {
  const proof = vitals.cause === 'proof';
  const keepsReason = proof || vitals.reason.code === 'SILENT';
  const out = to(vitals, 'DEREGISTERING', keepsReason ? vitals.reason : reasonFor('SILENT'), at);
  return { ...out, cause: proof ? 'proof' : 'silence' };
}

function onRemove(vitals: Vitals): Step {
  if (vitals.phase === 'LEAVING') return gone('GOODBYE', 'its time to finish ran out', true);
  return vitals.phase === 'DEREGISTERING' ? { removed: { reason: vitals.reason, ended: false } } : vitals;
}

const gone = (code: 'GOODBYE', detail: string, ended: boolean): Step => ({
  removed: { reason: reasonFor(code, detail), ended },
});

/** Never proved: if both directions are silent, it needs no permit; while it shows life, it is the only instance, or needs a permit. */
function onUnproved(vitals: Vitals, at: Context): Step {
  const reason = reasonFor('UNPROVED', vitals.lastFailure?.text ?? oneWayReason(vitals, at)?.text);
  if (silence(vitals, at.now, at.policy, at.policy.unhealthyAfter).both) {
    return critical(vitals, 'unproved', reason, at);
  }
  if (!at.fleet.otherCallable) return to(vitals, 'UNHEALTHY', reasonFor('LAST', reason.text), at);
  return permitted(vitals, reason, 'unproved', at);
}

/**
 * To CRITICAL by silence, as far as self-preservation permits; otherwise the instance is held. An instance that never passed both
 * heartbeats, or had ended before the registry started, is not protected once both are silent.
 */
function permitted(vitals: Vitals, reason: Reason, cause: Cause, at: Context): Step {
  if (cause === 'silence' && !vitals.proved) return critical(vitals, cause, reason, at);
  if (cause === 'silence' && wasGoneBefore(vitals, at.policy, at.fleet)) {
    return critical(vitals, cause, reasonFor('SILENT', endedBeforeText(vitals)), at);
  }
  const { held } = at.fleet.permit;
  if (held === null) return { vitals: critical(vitals, cause, reason, at), usesPermit: true };
  if (vitals.reason.code === 'PRESERVED') return vitals;
  return to(vitals, 'UNHEALTHY', preservedReason(held, reason), at);
}

const endedBeforeText = (vitals: Vitals): string =>
  `${vitals.lastFailure?.text ?? 'refused'}; not heard from since this registry started`;

/** Moves a HEALTHY instance to UNHEALTHY; keeps the reason of an UNHEALTHY instance up to date with the silent directions. */
function onOneSilent(vitals: Vitals, at: Context): Vitals {
  const reason = oneWayReason(vitals, at);
  if (reason === null) return vitals;
  if (vitals.phase === 'HEALTHY') return to(vitals, 'UNHEALTHY', reason, at);
  const observed = OBSERVED.has(vitals.reason.code);
  if (vitals.phase !== 'UNHEALTHY' || !observed || vitals.reason.code === reason.code) return vitals;
  return { ...vitals, reason };
}

const OBSERVED: ReadonlySet<string> = new Set([
  'INBOUND_SILENT',
  'INBOUND_REFUSED',
  'OUTBOUND_SILENT',
  'SILENT',
  'RESCUED',
]);

/** The directions that are currently silent, as a reason; null while neither is. */
function oneWayReason(vitals: Vitals, at: Context): Reason | null {
  const silent = silence(vitals, at.now, at.policy, at.policy.unhealthyAfter);
  if (silent.both) return reasonFor('SILENT');
  if (silent.inbound) {
    return reasonFor(
      vitals.lastFailure?.refused === true ? 'INBOUND_REFUSED' : 'INBOUND_SILENT',
      vitals.lastFailure?.text,
    );
  }
  if (!silent.outbound) return null;
  const isAnswering = vitals.lastFailure === null || vitals.anyInboundAt > vitals.inboundAt;
  return reasonFor(isAnswering ? 'OUTBOUND_SILENT' : 'SILENT');
}
