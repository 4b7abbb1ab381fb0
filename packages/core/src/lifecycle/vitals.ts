import type { Policy } from './policy.js';
import { reasonFor } from './reason.js';
import type { Reason } from './reason.js';

/** The states of an instance, from best to worst. */
export const STATES = ['HEALTHY', 'REGISTERING', 'UNHEALTHY', 'CRITICAL', 'DEREGISTERING'] as const;
export type State = (typeof STATES)[number];

/** LEAVING is an intended DEREGISTERING that nothing reverts. On the wire it is DEREGISTERING with the reason LEAVING. */
export type Phase = State | 'LEAVING';

/** Why an instance is CRITICAL; kept while it is DEREGISTERING. */
export type Cause = 'proof' | 'silence' | 'one-way' | 'unproved';

/** The data that the lifecycle keeps for one instance. Times are monotonic ms. */
export interface Vitals {
  readonly phase: Phase;
  readonly reason: Reason;
  /** When the phase last changed. */
  readonly since: number;
  /** When the current cause of CRITICAL began; the next step counts from here. */
  readonly causeSince: number;
  readonly cause: Cause | null;
  /** True once proved both ways since it registered this address. */
  readonly proved: boolean;
  /** When it registered this address (or the registry became ready); `unprovedAfter` counts from here. */
  readonly bornAt: number;
  /** When every endpoint last answered, when any of them did, and when the instance last sent Heartbeat-2. */
  readonly inboundAt: number;
  readonly anyInboundAt: number;
  readonly outboundAt: number;
  /** When a heartbeat last arrived after both directions had been silent for `unhealthyAfter`. */
  readonly returnedAt: number;
  /** Null once this registry process has received a sign of life from it or accepted its registration. */
  readonly unheard: Unheard | null;
  readonly proofsInARow: number;
  readonly lastFailure: { readonly text: string; readonly refused: boolean } | null;
  readonly falls: { readonly score: number; readonly at: number };
  /** True if another process answers at its address alternately with it. */
  readonly shared: boolean;
  /** How long a leaving instance may take, in ms from `since`. */
  readonly leaveMs: number;
}

/** The state of an instance restored from a store, until its first sign of life: a heartbeat, a line, a registration. */
export interface Unheard {
  /** Consecutive probes that every endpoint refused while its hosts were proved; any other outcome resets the count. */
  readonly refusals: number;
  /** Times of the first and the last of these refusals, monotonic ms. */
  readonly firstAt: number;
  readonly lastAt: number;
}

/** The state of the whole fleet and its permits, for one instance at one moment. */
export interface Fleet {
  /**
   * True if another instance of its service is HEALTHY; if another one is callable and proved (HEALTHY or UNHEALTHY,
   * and ENABLED).
   */
  readonly otherHealthy: boolean;
  readonly otherCallable: boolean;
  readonly permit: {
    /** Why self-preservation forbids that silence makes another instance CRITICAL now, as text; null if it does not. */
    readonly held: string | null;
    /** True if so many instances refuse that a refusal is not a proof of death. */
    readonly mass: boolean;
    /**
     * True if on each of its hosts another instance is HEALTHY and proved both ways by this registry process. Then the network path to
     * these hosts works in both directions, and a refusal comes from the host itself.
     */
    readonly hostProved: boolean;
  };
}

/** A newly registered instance. */
export function newborn(now: number): Vitals {
  return {
    phase: 'REGISTERING',
    reason: reasonFor('NEW'),
    since: now,
    causeSince: now,
    cause: null,
    proved: false,
    bornAt: now,
    inboundAt: now,
    anyInboundAt: now,
    outboundAt: now,
    returnedAt: now,
    unheard: null,
    proofsInARow: 0,
    lastFailure: null,
    falls: { score: 0, at: now },
    shared: false,
    leaveMs: 0,
  };
}

/** The `unheard` state of an instance that was just restored from a store. */
export const notHeardSince = (now: number): Unheard => ({ refusals: 0, firstAt: now, lastAt: now });

/**
 * The minimum time from the first to the last refusal that counts, in intervals. Within this time the registry probes every instance,
 * including the one that proves the host, and a live instance sends a heartbeat.
 */
const REFUSAL_SPAN_INTERVALS = 1.5;

/**
 * True if the instance had ended before this registry process started: the registry has received no sign of life since, and consecutive
 * probes were refused on every endpoint while its hosts were proved. Its silence began before this registry process started.
 */
export function wasGoneBefore({ unheard }: Pick<Vitals, 'unheard'>, policy: Policy, { permit }: Fleet): boolean {
  if (unheard === null || unheard.refusals < 2 || permit.mass || !permit.hostProved) return false;
  return unheard.lastAt - unheard.firstAt >= REFUSAL_SPAN_INTERVALS * policy.intervalMs;
}

/** The state on the wire. */
export const stateOf = (vitals: Pick<Vitals, 'phase'>): State =>
  vitals.phase === 'LEAVING' ? 'DEREGISTERING' : vitals.phase;

/** The decayed score of recent falls; above `policy.flappingLimit` the instance is flapping. */
export function fallsNow(vitals: Pick<Vitals, 'falls'>, now: number, policy: Policy): number {
  return vitals.falls.score * 2 ** (-(now - vitals.falls.at) / policy.flappingHalfLifeMs);
}

/** The silence that a threshold in intervals allows, ms: a heartbeat at its end may take the timeout. */
export const spanOf = ({ intervalMs, timeoutMs }: Policy, intervals: number): number =>
  intervals * intervalMs + timeoutMs;

/** The time at which both directions will have been silent for `intervals` + the timeout if no heartbeat arrives, monotonic ms. */
export function bothSilentAt(
  { anyInboundAt, outboundAt }: Pick<Vitals, 'anyInboundAt' | 'outboundAt'>,
  policy: Policy,
  intervals: number,
): number {
  return Math.max(anyInboundAt, outboundAt) + spanOf(policy, intervals);
}

/**
 * The directions that have been silent for `intervals` + the timeout. Heartbeat-1 counts only if every endpoint
 * answered.
 */
export function silence(
  vitals: Pick<Vitals, 'inboundAt' | 'anyInboundAt' | 'outboundAt'>,
  now: number,
  policy: Policy,
  intervals: number,
): { readonly inbound: boolean; readonly outbound: boolean; readonly both: boolean } {
  const spanMs = spanOf(policy, intervals);
  return {
    inbound: now >= vitals.inboundAt + spanMs,
    outbound: now >= vitals.outboundAt + spanMs,
    both: now >= bothSilentAt(vitals, policy, intervals),
  };
}

/**
 * True if one direction has been silent for `criticalAfter` while the other works. While both are silent they count together. When one of
 * them returns, the other has an interval + the timeout to return: a process that was frozen sends a heartbeat at once by its own timer,
 * and answers the registry's next probe.
 */
export function isOneWay(
  vitals: Pick<Vitals, 'inboundAt' | 'anyInboundAt' | 'outboundAt' | 'returnedAt'>,
  now: number,
  policy: Policy,
): boolean {
  const long = silence(vitals, now, policy, policy.criticalAfter);
  if (!long.inbound && !long.outbound) return false;
  if (silence(vitals, now, policy, policy.unhealthyAfter).both) return false;
  return now >= vitals.returnedAt + policy.intervalMs + policy.timeoutMs;
}

/** The monotonic time since which the longest-silent direction has been silent; decisions are made in this order. */
export const silentSince = (vitals: Pick<Vitals, 'inboundAt' | 'outboundAt'>): number =>
  Math.min(vitals.inboundAt, vitals.outboundAt);

/**
 * The vitals with all clocks `ms` later, but not later than now: the registry was not listening during that time, so it does not count as
 * silence.
 */
export function forgive(vitals: Vitals, ms: number, now: number): Vitals {
  const later = (at: number): number => Math.min(now, at + ms);
  return {
    ...vitals,
    since: later(vitals.since),
    causeSince: later(vitals.causeSince),
    bornAt: later(vitals.bornAt),
    inboundAt: later(vitals.inboundAt),
    anyInboundAt: later(vitals.anyInboundAt),
    outboundAt: later(vitals.outboundAt),
    returnedAt: later(vitals.returnedAt),
  };
}

/**
 * The vitals with the clocks that only a Heartbeat-1 stops `ms` later, but not later than now: for a probe that was due
 * and that the registry did not make.
 */
export function excuse(vitals: Vitals, ms: number, now: number): Vitals {
  const later = (at: number): number => Math.min(now, at + ms);
  const isBeingRemoved = vitals.phase === 'CRITICAL' || vitals.phase === 'DEREGISTERING';
  return {
    ...vitals,
    since: isBeingRemoved ? later(vitals.since) : vitals.since,
    causeSince: isBeingRemoved ? later(vitals.causeSince) : vitals.causeSince,
    bornAt: later(vitals.bornAt),
    inboundAt: later(vitals.inboundAt),
    anyInboundAt: later(vitals.anyInboundAt),
  };
}
