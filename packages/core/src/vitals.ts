import { reasonFor } from './reason.js';
import type { Reason } from './reason.js';

/** The states of an instance, best first. */
export const STATES = ['HEALTHY', 'REGISTERING', 'UNHEALTHY', 'CRITICAL', 'DEREGISTERING'] as const;
export type State = (typeof STATES)[number];

/** LEAVING is DEREGISTERING on purpose: nothing saves from it. On the wire it is DEREGISTERING with the reason LEAVING. */
export type Phase = State | 'LEAVING';

/** Why an instance is CRITICAL; kept on the way out. */
export type Cause = 'proof' | 'silence' | 'one-way' | 'unproved';

/** Thresholds; those without a unit are counts of `intervalMs`. */
export interface Policy {
  /** Between two calls of one instance, in ms. */
  readonly intervalMs: number;
  /** For one call, in ms; at most 0.4 intervals. Added to every silence threshold. */
  readonly timeoutMs: number;
  readonly unprovedAfter: number;
  readonly unhealthyAfter: number;
  readonly criticalAfter: number;
  /** As `criticalAfter`, for the last callable instance of its service. */
  readonly lastCriticalAfter: number;
  /** From CRITICAL by silence to DEREGISTERING. */
  readonly silenceStepAfter: number;
  /** From CRITICAL by proof to DEREGISTERING. */
  readonly proofStepAfter: number;
  readonly removeAfter: number;
  /** Proofs in a row that lead back to HEALTHY, and how many when flapping. */
  readonly proofs: number;
  readonly flappingProofs: number;
  /** Falls (decaying by half each `flappingHalfLifeMs`) above which an instance is flapping. */
  readonly flappingLimit: number;
  readonly flappingHalfLifeMs: number;
}

export const DEFAULT_POLICY: Policy = {
  intervalMs: 5_000,
  timeoutMs: 2_000,
  unprovedAfter: 6,
  unhealthyAfter: 2,
  criticalAfter: 3,
  lastCriticalAfter: 6,
  silenceStepAfter: 2,
  proofStepAfter: 1,
  removeAfter: 1,
  proofs: 2,
  flappingProofs: 5,
  flappingLimit: 3,
  flappingHalfLifeMs: 600_000,
};

/** Everything the lifecycle knows of one instance. Times are monotonic ms. */
export interface Vitals {
  readonly phase: Phase;
  readonly reason: Reason;
  /** Of the last change of phase. */
  readonly since: number;
  /** Of the cause of a CRITICAL: from here the next step is counted. */
  readonly causeSince: number;
  readonly cause: Cause | null;
  /** Proved both ways since it registered this address? */
  readonly proved: boolean;
  /** When it registered this address (or the registry became ready): the clock of the unproved. */
  readonly bornAt: number;
  /** When every endpoint last answered, when any did, and when it last sent Heartbeat-2. */
  readonly inboundAt: number;
  readonly anyInboundAt: number;
  readonly outboundAt: number;
  readonly proofsInARow: number;
  readonly lastFailure: { readonly text: string; readonly refused: boolean } | null;
  readonly falls: { readonly score: number; readonly at: number };
  /** Does another process answer at its address in turns with it? */
  readonly shared: boolean;
  /** Of a leaving instance: how long it may take, from `since`. */
  readonly leaveMs: number;
}

/** What the fleet as a whole says and allows, about one instance at one moment. */
export interface Fleet {
  /** Is another instance of its service HEALTHY; is another one callable (HEALTHY or UNHEALTHY, and ENABLED)? */
  readonly otherHealthy: boolean;
  readonly otherCallable: boolean;
  readonly permit: {
    /** May silence make one more instance CRITICAL? (self-preservation) */
    readonly silence: boolean;
    /** Are so many refused that a refusal is no proof? */
    readonly mass: boolean;
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
    proofsInARow: 0,
    lastFailure: null,
    falls: { score: 0, at: now },
    shared: false,
    leaveMs: 0,
  };
}

/** The state on the wire. */
export const stateOf = (vitals: Pick<Vitals, 'phase'>): State =>
  vitals.phase === 'LEAVING' ? 'DEREGISTERING' : vitals.phase;

/** How often it fell lately; above `policy.flappingLimit` it is flapping. */
export function fallsNow(vitals: Pick<Vitals, 'falls'>, now: number, policy: Policy): number {
  return vitals.falls.score * 2 ** (-(now - vitals.falls.at) / policy.flappingHalfLifeMs);
}

/** Which directions have been silent for `intervals` (+ the timeout)? Heartbeat-1 counts only when every endpoint answered. */
export function silence(
  vitals: Pick<Vitals, 'inboundAt' | 'anyInboundAt' | 'outboundAt'>,
  now: number,
  policy: Policy,
  intervals: number,
): { readonly inbound: boolean; readonly outbound: boolean; readonly both: boolean } {
  const from = now - (intervals * policy.intervalMs + policy.timeoutMs);
  const outbound = vitals.outboundAt <= from;
  return { inbound: vitals.inboundAt <= from, outbound, both: outbound && vitals.anyInboundAt <= from };
}

/** Monotonic time since when it has been silent in the direction that is silent longest: the order of decisions. */
export const silentSince = (vitals: Pick<Vitals, 'inboundAt' | 'outboundAt'>): number =>
  Math.min(vitals.inboundAt, vitals.outboundAt);

/** The same vitals, all clocks later by `ms` but not later than now: time in which nobody listened counts against nobody. */
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
  };
}
