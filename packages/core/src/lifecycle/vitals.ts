import type { Policy } from './policy.js';
import { reasonFor } from './reason.js';
import type { Reason } from './reason.js';

/** The states of an instance, best first. */
export const STATES = ['HEALTHY', 'REGISTERING', 'UNHEALTHY', 'CRITICAL', 'DEREGISTERING'] as const;
export type State = (typeof STATES)[number];

/** LEAVING is DEREGISTERING on purpose: nothing saves from it. On the wire it is DEREGISTERING with the reason LEAVING. */
export type Phase = State | 'LEAVING';

/** Why an instance is CRITICAL; kept on the way out. */
export type Cause = 'proof' | 'silence' | 'one-way' | 'unproved';

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
  /** When something was last heard again after both directions had been silent for `unhealthyAfter`. */
  readonly returnedAt: number;
  /** Null: it was heard by this registry process, or registered with it. */
  readonly unheard: Unheard | null;
  readonly proofsInARow: number;
  readonly lastFailure: { readonly text: string; readonly refused: boolean } | null;
  readonly falls: { readonly score: number; readonly at: number };
  /** Does another process answer at its address in turns with it? */
  readonly shared: boolean;
  /** Of a leaving instance: how long it may take, from `since`. */
  readonly leaveMs: number;
}

/** What is known of an instance that a store brought back, until anything is heard of it: a heartbeat, a line, a registration. */
export interface Unheard {
  /** Calls in a row that were refused on every endpoint while its hosts were proved; another outcome begins the row anew. */
  readonly refusals: number;
  /** Of the first and of the last one in the row, monotonic ms. */
  readonly firstAt: number;
  readonly lastAt: number;
}

/** What the fleet as a whole says and allows, about one instance at one moment. */
export interface Fleet {
  /** Is another instance of its service HEALTHY; is another one callable and proved (HEALTHY or UNHEALTHY, and ENABLED)? */
  readonly otherHealthy: boolean;
  readonly otherCallable: boolean;
  readonly permit: {
    /** Why silence may make no more instance CRITICAL now, in plain words; null: it may. (self-preservation) */
    readonly held: string | null;
    /** Are so many refused that a refusal is no proof? */
    readonly mass: boolean;
    /**
     * Is another instance on each of its hosts proved both ways by this registry process, and HEALTHY? Then the way to these hosts works
     * in both directions, and a refusal there is the host's own word.
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

/** What is known of an instance when a store has just brought it back. */
export const notHeardSince = (now: number): Unheard => ({ refusals: 0, firstAt: now, lastAt: now });

/**
 * In intervals: from the first refusal that counts to the last. Between them every instance is called, so whoever proves the host is
 * called, too, and whoever lives there beats.
 */
const REFUSALS_APART = 1.5;

/**
 * Was it gone before this registry process started? Nobody has heard it since, and the calls in a row were refused on every endpoint,
 * for a while in which the refusals were its hosts' own word. This is no silence of now.
 */
export function wasGoneBefore({ unheard }: Pick<Vitals, 'unheard'>, policy: Policy, { permit }: Fleet): boolean {
  if (unheard === null || unheard.refusals < 2 || permit.mass || !permit.hostProved) return false;
  return unheard.lastAt - unheard.firstAt >= REFUSALS_APART * policy.intervalMs;
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

/**
 * Is one direction silent for `criticalAfter` while the other one works? While both are silent they are judged together. When one of
 * them comes back, the other one gets an interval + the timeout to do the same: a process that was frozen is heard again by its timer
 * at once, and by the registry's next call.
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
    returnedAt: later(vitals.returnedAt),
  };
}

/**
 * The same vitals, the clocks that only a Heartbeat-1 can stop later by `ms` but not later than now: for a call that was due and that
 * the registry did not make.
 */
export function excuse(vitals: Vitals, ms: number, now: number): Vitals {
  const later = (at: number): number => Math.min(now, at + ms);
  const isGoing = vitals.phase === 'CRITICAL' || vitals.phase === 'DEREGISTERING';
  return {
    ...vitals,
    since: isGoing ? later(vitals.since) : vitals.since,
    causeSince: isGoing ? later(vitals.causeSince) : vitals.causeSince,
    bornAt: later(vitals.bornAt),
    inboundAt: later(vitals.inboundAt),
    anyInboundAt: later(vitals.anyInboundAt),
  };
}
