import type { Forecast } from '../lifecycle/deadlines.js';
import type { Reason } from '../lifecycle/reason.js';
import { STATES } from '../lifecycle/vitals.js';
import type { State } from '../lifecycle/vitals.js';
import { decimal, validItemsOf, integer, nullable, oneOf } from '../options/kinds.js';
import type { Message } from '../options/schema.js';
import { message, optional, required, withDefault } from '../options/schema.js';
import { forecastMessage, ID, NAME, NONCE, reasonMessage, REVISION } from './protocol.js';

/** Heartbeat-2, `POST /api/v1/instances/{id}/heartbeat` */
export interface Beat {
  /** The latest nonce of a Heartbeat-1; null before the first one. */
  readonly nonce: string | null;
  /** Increases within a process; a number not above the highest accepted one has no effect. */
  readonly seq: number;
  readonly load?: { readonly inFlight: number; readonly loopLagMs: number };
  /** At most 64; omitted if there is no new data. */
  readonly edges?: readonly Edge[];
}

/** The maximum number of services that a beat reports; further ones are not read. */
export const MAX_EDGES = 64;

/** The observations of an instance, as a caller, of one service of its namespace in the last complete window. */
export interface Edge {
  readonly service: string;
  readonly windowMs: number;
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number;
  /** The number of the window, which increases; the same number means the same counts, sent again. */
  readonly window?: number;
  /**
   * The instances that were called in the window, and those whose circuit is not closed; those with the most failures if not all of them
   * fit. At most 200 in all edges of a beat.
   */
  readonly targets?: readonly EdgeTarget[];
}

/**
 * State of a caller's circuit to one instance: `open`, it gets no ordinary calls; `half-open`, one trial call decides.
 */
export const CIRCUITS = ['closed', 'open', 'half-open'] as const;
export type Circuit = (typeof CIRCUITS)[number];

/** The maximum number of called instances that a beat reports, in all its edges. */
export const MAX_TARGETS = 200;

/** The observations of an instance, as a caller, of one instance of a service. It counts attempts; the edge counts calls. */
export interface EdgeTarget {
  readonly instance: string;
  /** Attempts that ended in the window. */
  readonly calls: number;
  /** Failed attempts, without errors of the application itself. */
  readonly failures: number;
  readonly p99Ms: number | null;
  readonly circuit: Circuit;
}

const targetMessage = message<EdgeTarget>(
  'EdgeTarget',
  'What a caller observed of one instance of a service in the window.',
  {
    instance: required(ID, 'the instance that it called'),
    calls: required(integer(0), 'attempts that ended in the window'),
    failures: required(integer(0), 'failed attempts, without errors of the application itself'),
    p99Ms: withDefault(
      nullable(decimal(0)),
      null,
      '99 of 100 attempts took at most this long; `null`: too few samples',
    ),
    circuit: withDefault(
      oneOf(CIRCUITS),
      'closed',
      'the caller’s circuit to it: `open`, no ordinary calls; `half-open`, one trial call decides',
    ),
  },
);

const edgeMessage = message<Edge>('Edge', 'What an instance, as a caller, observed of one service in one window.', {
  service: required(NAME, 'the service that it calls, of its own namespace'),
  windowMs: required(integer(1, 3_600_000), 'the length of the window'),
  calls: required(integer(0), 'calls that ended in it, regardless of their number of attempts'),
  failures: required(integer(0), 'failed calls, without errors of the application itself'),
  retries: required(integer(0), 'attempts after the first, without hedges'),
  p50Ms: withDefault(nullable(decimal(0)), null, 'half of the calls took at most this long; `null`: too few samples'),
  p99Ms: withDefault(nullable(decimal(0)), null, '99 of 100 calls took at most this long; `null`: too few samples'),
  inFlight: withDefault(integer(0), 0, 'calls in flight now'),
  window: optional(integer(0), 'the number of the window, which grows: the same number means the same counts'),
  targets: optional(
    validItemsOf(targetMessage, MAX_TARGETS),
    'the instances that it called in the window, and those whose circuit is not closed',
  ),
});

const loadMessage = message<NonNullable<Beat['load']>>('Load', 'The load of an instance.', {
  inFlight: required(integer(0), 'calls in progress'),
  loopLagMs: required(decimal(0), 'the lag of its event loop'),
});

export const beatMessage: Message<Beat> = message<Beat>('Beat', 'Heartbeat-2, instance → registry.', {
  nonce: withDefault(nullable(NONCE), null, 'the newest nonce of a Heartbeat-1; `null` before the first one'),
  seq: required(integer(0), 'grows within a process; a number not above the highest accepted one has no effect'),
  load: optional(loadMessage, 'for display and balancers'),
  edges: optional(
    validItemsOf(edgeMessage, MAX_EDGES),
    'what it observed of the services it calls; omitted without new data',
  ),
});

/** The state after the beat. */
export interface BeatAnswer {
  readonly state: State;
  readonly revision: number;
  /** The reason of the state, if it is not HEALTHY. */
  readonly reason?: Reason;
  /** The next transition, if the instance is not HEALTHY; `afterMs` counts from this answer. Null if none is known. */
  readonly next?: Forecast | null;
}

export const beatAnswerMessage: Message<BeatAnswer> = message<BeatAnswer>(
  'BeatAnswer',
  'The answer to a Heartbeat-2.',
  {
    state: required(oneOf(STATES), 'the state after the beat'),
    revision: required(REVISION, 'of the record'),
    reason: optional(reasonMessage, 'the reason of the state, if it is not `HEALTHY`'),
    next: optional(
      nullable(forecastMessage),
      'the next transition if nothing else happens, if it is not `HEALTHY`; here `afterMs` counts from this answer',
    ),
  },
);
