/**
 * Transitions by time alone: the one that is due now (`due`), and the one that comes next if nothing else happens
 * (`forecast`).
 */
import type { Policy } from './policy.js';
import { isOneWay, silence } from './vitals.js';
import type { Fleet, State, Vitals } from './vitals.js';

/** An event that time alone causes. */
export interface ClockEvent {
  readonly type: 'unproved' | 'one-silent' | 'one-silent-long' | 'both-silent' | 'step' | 'last' | 'remove';
}

/** The next transition if nothing else happens; `afterMs` counts from the record's `since`. */
export interface Forecast {
  readonly state: State | 'REMOVED';
  readonly afterMs: number;
  /** The heartbeat that prevents the transition, or both of them (`PROOF`); null if nothing prevents it. */
  readonly unless: 'HEARTBEAT_1' | 'HEARTBEAT_2' | 'PROOF' | null;
}

/** The event that is due at `now` by time alone, or null. Call it again after each transition that changed something. */
export function due(vitals: Vitals, now: number, policy: Policy, fleet: Fleet): ClockEvent | null {
  const passed = (since: number, intervals: number): boolean => now >= since + intervals * policy.intervalMs;
  switch (vitals.phase) {
    case 'REGISTERING':
      return passed(vitals.bornAt, policy.unprovedAfter) ? { type: 'unproved' } : null;
    case 'HEALTHY': {
      const silent = silence(vitals, now, policy, policy.unhealthyAfter);
      return silent.inbound || silent.outbound ? { type: 'one-silent' } : null;
    }
    case 'UNHEALTHY': {
      const last = !fleet.otherCallable;
      if (silence(vitals, now, policy, last ? policy.lastCriticalAfter : policy.criticalAfter).both) {
        return { type: 'both-silent' };
      }
      if (!vitals.shared && fleet.otherHealthy && isOneWay(vitals, now, policy)) return { type: 'one-silent-long' };
      return { type: 'one-silent' };
    }
    case 'CRITICAL': {
      if (vitals.cause === 'proof') {
        return passed(vitals.causeSince, policy.proofStepAfter) && !fleet.permit.mass ? { type: 'step' } : null;
      }
      if (!fleet.otherCallable && !silence(vitals, now, policy, policy.unhealthyAfter).both) return { type: 'last' };
      const both = silence(vitals, now, policy, policy.criticalAfter).both;
      return both && passed(vitals.causeSince, policy.silenceStepAfter) ? { type: 'step' } : null;
    }
    case 'DEREGISTERING':
      return passed(vitals.since, policy.removeAfter) ? { type: 'remove' } : null;
    case 'LEAVING':
      return now >= vitals.since + vitals.leaveMs ? { type: 'remove' } : null;
  }
}

/**
 * The transition that comes next if nothing else happens, as far as it is known at the moment of a transition; else
 * null.
 */
export function forecast(vitals: Vitals, policy: Policy, fleet: Fleet): Forecast | null {
  const within = (state: Forecast['state'], at: number, unless: Forecast['unless']): Forecast => ({
    state,
    afterMs: Math.max(0, Math.round(at - vitals.since)),
    unless,
  });
  const intervals = (count: number): number => count * policy.intervalMs;
  switch (vitals.phase) {
    case 'REGISTERING':
      return within('CRITICAL', vitals.bornAt + intervals(policy.unprovedAfter), 'PROOF');
    case 'HEALTHY':
      return null;
    case 'UNHEALTHY':
      return forecastUnhealthy(vitals, policy, fleet, within);
    case 'CRITICAL':
      return forecastCritical(vitals, policy, within);
    case 'DEREGISTERING':
      return within('REMOVED', vitals.since + intervals(policy.removeAfter), 'HEARTBEAT_2');
    case 'LEAVING':
      return within('REMOVED', vitals.since + vitals.leaveMs, null);
  }
}

function forecastUnhealthy(
  vitals: Vitals,
  policy: Policy,
  fleet: Fleet,
  within: (state: 'CRITICAL', at: number, unless: Forecast['unless']) => Forecast,
): Forecast | null {
  const span = (intervals: number): number => intervals * policy.intervalMs + policy.timeoutMs;
  switch (vitals.reason.code) {
    case 'INBOUND_SILENT':
    case 'INBOUND_REFUSED':
      return fleet.otherHealthy
        ? within('CRITICAL', vitals.inboundAt + span(policy.criticalAfter), 'HEARTBEAT_1')
        : null;
    case 'OUTBOUND_SILENT':
      return fleet.otherHealthy
        ? within('CRITICAL', vitals.outboundAt + span(policy.criticalAfter), 'HEARTBEAT_2')
        : null;
    case 'SILENT':
    case 'RESCUED': {
      const after = fleet.otherCallable ? policy.criticalAfter : policy.lastCriticalAfter;
      return within('CRITICAL', Math.max(vitals.anyInboundAt, vitals.outboundAt) + span(after), 'HEARTBEAT_2');
    }
    default:
      return null; // held, shared or the last instance: no clock runs
  }
}

function forecastCritical(
  vitals: Vitals,
  policy: Policy,
  within: (state: 'DEREGISTERING', at: number, unless: Forecast['unless']) => Forecast,
): Forecast | null {
  const stepAfter = vitals.cause === 'proof' ? policy.proofStepAfter : policy.silenceStepAfter;
  const stepAt = vitals.causeSince + stepAfter * policy.intervalMs;
  if (vitals.cause === 'proof' || vitals.cause === 'silence') return within('DEREGISTERING', stepAt, 'HEARTBEAT_2');
  // an instance that is CRITICAL one way, or was never proved, goes on only once it is silent both ways
  if (!silence(vitals, vitals.causeSince, policy, policy.unhealthyAfter).both) return null;
  const heardAt = Math.max(vitals.anyInboundAt, vitals.outboundAt);
  const silentAt = heardAt + policy.criticalAfter * policy.intervalMs + policy.timeoutMs;
  return within('DEREGISTERING', Math.max(stepAt, silentAt), 'HEARTBEAT_2');
}
