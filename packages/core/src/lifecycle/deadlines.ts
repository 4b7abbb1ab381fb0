/**
 * Transitions by time alone: the one that is due now (`due`), and the one that comes next if nothing else happens
 * (`forecast`).
 */
import type { Policy } from './policy.js';
import { bothSilentAt, isOneWay, silence, spanOf } from './vitals.js';
import type { Fleet, State, Vitals } from './vitals.js';

/** An event that time alone causes. */
export interface ClockEvent {
  readonly type: 'unproved' | 'one-silent' | 'one-silent-long' | 'both-silent' | 'step' | 'last' | 'remove';
}

/** The next transition if nothing else happens; `afterMs` counts from the record's `since`. */
export interface Forecast {
  readonly state: State | 'REMOVED';
  readonly afterMs: number;
  /** The heartbeat that prevents the transition, or both of them (`PROOF`); null if no heartbeat prevents it. */
  readonly unless: 'HEARTBEAT_1' | 'HEARTBEAT_2' | 'PROOF' | null;
}

// The deadlines if no heartbeat arrives, monotonic ms. `due` and `forecast` share them.

const after = (since: number, intervals: number, { intervalMs }: Policy): number => since + intervals * intervalMs;

/** REGISTERING → CRITICAL. */
const unprovedAt = ({ bornAt }: Vitals, policy: Policy): number => after(bornAt, policy.unprovedAfter, policy);

/** UNHEALTHY → CRITICAL by silence in both directions; the last callable instance of a service gets more time. */
const criticalAt = (vitals: Vitals, policy: Policy, { otherCallable }: Fleet): number =>
  bothSilentAt(vitals, policy, otherCallable ? policy.criticalAfter : policy.lastCriticalAfter);

/** CRITICAL → DEREGISTERING, by the cause alone. */
const stepAt = ({ cause, causeSince }: Vitals, policy: Policy): number =>
  after(causeSince, cause === 'proof' ? policy.proofStepAfter : policy.silenceStepAfter, policy);

/** DEREGISTERING or LEAVING → removed. */
const removeAt = ({ phase, since, leaveMs }: Vitals, policy: Policy): number =>
  phase === 'LEAVING' ? since + leaveMs : after(since, policy.removeAfter, policy);

/** The event that is due at `now` by time alone, or null. Call it again after each transition that changed something. */
export function due(vitals: Vitals, now: number, policy: Policy, fleet: Fleet): ClockEvent | null {
  switch (vitals.phase) {
    case 'REGISTERING':
      return now >= unprovedAt(vitals, policy) ? { type: 'unproved' } : null;
    case 'HEALTHY': {
      const silent = silence(vitals, now, policy, policy.unhealthyAfter);
      return silent.inbound || silent.outbound ? { type: 'one-silent' } : null;
    }
    case 'UNHEALTHY':
      if (now >= criticalAt(vitals, policy, fleet)) return { type: 'both-silent' };
      if (!vitals.shared && fleet.otherHealthy && isOneWay(vitals, now, policy)) return { type: 'one-silent-long' };
      return { type: 'one-silent' };
    case 'CRITICAL': {
      if (vitals.cause === 'proof')
        return now >= stepAt(vitals, policy) && !fleet.permit.mass ? { type: 'step' } : null;
      if (!fleet.otherCallable && !silence(vitals, now, policy, policy.unhealthyAfter).both) return { type: 'last' };
      const isSilent = silence(vitals, now, policy, policy.criticalAfter).both;
      return isSilent && now >= stepAt(vitals, policy) ? { type: 'step' } : null;
    }
    case 'DEREGISTERING':
    case 'LEAVING':
      return now >= removeAt(vitals, policy) ? { type: 'remove' } : null;
  }
}

/**
 * The transition that comes next if nothing else happens, as far as it is known at the moment of a transition; else
 * null.
 */
export function forecast(vitals: Vitals, policy: Policy, fleet: Fleet): Forecast | null {
  const until = (state: Forecast['state'], at: number, unless: Forecast['unless']): Forecast => ({
    state,
    afterMs: Math.max(0, Math.round(at - vitals.since)),
    unless,
  });
  switch (vitals.phase) {
    case 'REGISTERING':
      return until('CRITICAL', unprovedAt(vitals, policy), 'PROOF');
    case 'HEALTHY':
      return null;
    case 'UNHEALTHY': {
      const next = silenceOf(vitals, policy, fleet);
      return next === null ? null : until('CRITICAL', next.at, next.unless);
    }
    case 'CRITICAL': {
      const { cause } = vitals;
      const isCertain = cause === 'proof' || cause === 'silence';
      if (isCertain) return until('DEREGISTERING', stepAt(vitals, policy), 'HEARTBEAT_2');
      // an instance that is CRITICAL in one direction, or was never proved, continues only once both directions are silent
      if (!silence(vitals, vitals.causeSince, policy, policy.unhealthyAfter).both) return null;
      const silentAt = bothSilentAt(vitals, policy, policy.criticalAfter);
      return until('DEREGISTERING', Math.max(stepAt(vitals, policy), silentAt), 'HEARTBEAT_2');
    }
    case 'DEREGISTERING':
      return until('REMOVED', removeAt(vitals, policy), 'HEARTBEAT_2');
    case 'LEAVING':
      return until('REMOVED', removeAt(vitals, policy), null);
  }
}

/** When the silence of an UNHEALTHY instance makes it CRITICAL, and which heartbeat prevents that. */
function silenceOf(
  vitals: Vitals,
  policy: Policy,
  fleet: Fleet,
): { readonly at: number; readonly unless: 'HEARTBEAT_1' | 'HEARTBEAT_2' } | null {
  const spanMs = spanOf(policy, policy.criticalAfter);
  switch (vitals.reason.code) {
    case 'INBOUND_SILENT':
    case 'INBOUND_REFUSED':
      return fleet.otherHealthy ? { at: vitals.inboundAt + spanMs, unless: 'HEARTBEAT_1' } : null;
    case 'OUTBOUND_SILENT':
      return fleet.otherHealthy ? { at: vitals.outboundAt + spanMs, unless: 'HEARTBEAT_2' } : null;
    case 'SILENT':
    case 'RESCUED':
      return { at: criticalAt(vitals, policy, fleet), unless: 'HEARTBEAT_2' };
    default:
      return null; // held, shared or the last instance: no deadline applies
  }
}
