import type { Forecast } from '../lifecycle/deadlines.js';
import type { Reason } from '../lifecycle/reason.js';
import { STATES } from '../lifecycle/vitals.js';
import type { State } from '../lifecycle/vitals.js';
import { decimal, goodOf, integer, nullable, oneOf } from '../options/kinds.js';
import type { Message } from '../options/schema.js';
import { message, optional, required, withDefault } from '../options/schema.js';
import { forecastMessage, ID, NAME, NONCE, reasonMessage, REVISION } from './protocol.js';

/** Heartbeat-2, `POST /api/v1/instances/{id}/heartbeat` */
export interface Beat {
  /** The newest nonce it was called with; null before the first call. */
  readonly nonce: string | null;
  /** Grows within a process; one not above the highest accepted changes nothing. */
  readonly seq: number;
  readonly load?: { readonly inFlight: number; readonly loopLagMs: number };
  /** At most 64; left out when there is nothing to tell. */
  readonly edges?: readonly Edge[];
}

/** A beat tells of so many services; what comes after them is not read. */
export const MOST_EDGES = 64;

/** What an instance, as a caller, saw of one service of its namespace in the last whole window. */
export interface Edge {
  readonly service: string;
  readonly windowMs: number;
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number;
  /** The number of the window: it grows, and the same number means the same counts, told once more. */
  readonly window?: number;
  /**
   * The instances that were called in the window, and those whose circuit is not closed; those that stand worst where not all of them
   * fit. At most 200 in all edges of a beat.
   */
  readonly targets?: readonly EdgeTarget[];
}

/** How a caller's circuit to one instance stands: `open`, it gets no ordinary calls; `half-open`, one call is to find out. */
export const CIRCUITS = ['closed', 'open', 'half-open'] as const;
export type Circuit = (typeof CIRCUITS)[number];

/** A beat tells of so many instances that were called, in all its edges. */
export const MOST_TARGETS = 200;

/** What an instance, as a caller, saw of one instance of a service: attempts, where the edge counts calls. */
export interface EdgeTarget {
  readonly instance: string;
  /** Attempts that ended in the window. */
  readonly calls: number;
  /** Those that failed, but for errors of the application itself. */
  readonly failures: number;
  readonly p99Ms: number | null;
  readonly circuit: Circuit;
}

const targetMessage = message<EdgeTarget>(
  'EdgeTarget',
  'What a caller saw of one instance of a service in the window.',
  {
    instance: required(ID, 'the instance that it called'),
    calls: required(integer(0), 'attempts that ended in the window'),
    failures: required(integer(0), 'those that failed, but for errors of the application itself'),
    p99Ms: withDefault(nullable(decimal(0)), null, '99 of 100 attempts took at most so long; `null`: too few to say'),
    circuit: withDefault(
      oneOf(CIRCUITS),
      'closed',
      'the caller’s circuit to it: `open`, no ordinary calls; `half-open`, one call is to find out',
    ),
  },
);

const edgeMessage = message<Edge>('Edge', 'What an instance, as a caller, saw of one service in one window.', {
  service: required(NAME, 'the service that it calls, of its own namespace'),
  windowMs: required(integer(1, 3_600_000), 'how long the window was'),
  calls: required(integer(0), 'calls that ended in it, however many attempts they took'),
  failures: required(integer(0), 'those that failed, but for errors of the application itself'),
  retries: required(integer(0), 'attempts after the first, without hedges'),
  p50Ms: withDefault(nullable(decimal(0)), null, 'half of the calls took at most so long; `null`: too few to say'),
  p99Ms: withDefault(nullable(decimal(0)), null, '99 of 100 calls took at most so long; `null`: too few to say'),
  inFlight: withDefault(integer(0), 0, 'calls under way now'),
  window: optional(integer(0), 'the number of the window, which grows: the same number means the same counts'),
  targets: optional(
    goodOf(targetMessage, MOST_TARGETS),
    'the instances that it called in the window, and those whose circuit is not closed',
  ),
});

const loadMessage = message<NonNullable<Beat['load']>>('Load', 'How busy an instance is.', {
  inFlight: required(integer(0), 'calls it is working on'),
  loopLagMs: required(decimal(0), 'how late its event loop runs'),
});

export const beatMessage: Message<Beat> = message<Beat>('Beat', 'Heartbeat-2, instance → registry.', {
  nonce: withDefault(nullable(NONCE), null, 'the newest nonce it was called with; `null` before the first call'),
  seq: required(integer(0), 'grows within a process; one not above the highest accepted changes nothing'),
  load: optional(loadMessage, 'for people and balancers'),
  edges: optional(
    goodOf(edgeMessage, MOST_EDGES),
    'what it saw of the services it calls; left out when nothing is new',
  ),
});

/** The state after the beat. */
export interface BeatAnswer {
  readonly state: State;
  readonly revision: number;
  /** Why, when it is not HEALTHY. */
  readonly reason?: Reason;
  /** What comes next, when it is not HEALTHY; its `afterMs` is counted from this answer. Null: nothing is known to come. */
  readonly next?: Forecast | null;
}

export const beatAnswerMessage: Message<BeatAnswer> = message<BeatAnswer>(
  'BeatAnswer',
  'The answer to a Heartbeat-2.',
  {
    state: required(oneOf(STATES), 'the state after the beat'),
    revision: required(REVISION, 'of the record'),
    reason: optional(reasonMessage, 'why, when it is not `HEALTHY`'),
    next: optional(
      nullable(forecastMessage),
      'what happens next if nothing else does, when it is not `HEALTHY`; here `afterMs` is counted from this answer',
    ),
  },
);
