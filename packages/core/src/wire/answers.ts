/**
 * Answers of the registry for operators, dashboards and tools: one type for each route of docs/PROTOCOL.md, used by the
 * registry, its OpenAPI document, the dashboard and the command line. `registry-status.ts` has the route about the registry itself. Ages and durations in ms.
 */
import type { State } from '../lifecycle/vitals.js';
import type { AdminState, Instance, Tombstone } from './instance.js';
import type { Override, OwnSettings, RegistryEvent } from './operator.js';

// ---- services and instances -----------------------------------------------------------------------------------------

export interface ServiceSummary {
  readonly name: string;
  readonly namespace: string;
  readonly instances: number;
  readonly states: Readonly<Record<State, number>>;
  /** The number of callable instances: ENABLED, and in a state that callers allow by default. */
  readonly callable: number;
  /** Instances by admin state. */
  readonly admin: Readonly<Record<AdminState, number>>;
}

/** `GET /api/v1/services` */
export interface ServicesAnswer {
  readonly revision: number;
  readonly services: readonly ServiceSummary[];
}

/** An instance on a list. */
export type ListedInstance = Instance & {
  /** The settings of an operator; missing: none. */
  readonly override?: Override;
  /** Only with `heartbeats=true`. */
  readonly heartbeats?: HeartbeatsAnswer;
};

/** `GET /api/v1/services/{name}` */
export interface ServiceAnswer {
  readonly service: string;
  readonly namespace: string;
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  readonly instances: readonly ListedInstance[];
  readonly removed: readonly Tombstone[];
}

/** `GET /api/v1/instances`: a page of a list of instances. */
export interface InstancesAnswer {
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  /** Number of matching instances on all pages. */
  readonly total: number;
  /** The `after` of the next page; null: this is the last page. */
  readonly next: string | null;
  readonly instances: readonly ListedInstance[];
}

/** One direction of an instance's heartbeats, with ages in ms (null: never). */
export interface DirectionAnswer {
  readonly lastSuccessAgoMs: number | null;
  /** Round trip of the last Heartbeat-1; null for Heartbeat-2. */
  readonly roundTripMs: number | null;
  /** Consecutive rounds without success. */
  readonly misses: number;
  /** The last error, verbatim; null when the last one succeeded. */
  readonly error: string | null;
}

export interface HeartbeatsAnswer {
  readonly heartbeat1: DirectionAnswer;
  readonly heartbeat2: DirectionAnswer;
}

/** Losses of an instance's line that the registry did not cause, within ten minutes, and the durations of its streams, ms. */
export interface LineLosses {
  readonly times: number;
  readonly shortestMs: number;
  readonly longestMs: number;
}

/** `GET /api/v1/instances/{id}` */
export type InstanceAnswer = Instance & {
  /** The values that the instance registered, which the record may override. */
  readonly own: OwnSettings;
  readonly override: Override | null;
  readonly heartbeats: HeartbeatsAnswer;
  /** The decayed score of recent falls. */
  readonly falls: number;
  /** True if it holds its line, the stream by which it also receives changes. */
  readonly line: boolean;
  /** Null if its line was not lost within ten minutes. */
  readonly lineLosses: LineLosses | null;
};

// ---- events ---------------------------------------------------------------------------------------------------------

/** `GET /api/v1/instances/{id}/timeline` */
export interface TimelineAnswer {
  readonly id: string;
  /** Wall clock, ms since 1970: all data about the instance since then is kept. */
  readonly since: number;
  /** The newest event is last. */
  readonly events: readonly RegistryEvent[];
}

/** `GET /api/v1/events` */
export interface EventsAnswer {
  /** Sequence numbers are comparable only within one epoch. */
  readonly epoch: string;
  /**
   * Wall clock, ms since 1970, since when all events of the requested kinds are kept; of older events, only operator actions and the
   * registry's own events are kept.
   */
  readonly since: number;
  /** The value of `after` in the next request. */
  readonly last: number;
  /** True if there are already events after `last`. */
  readonly more: boolean;
  /** The number of events from the requested one up to `last` that are no longer kept. */
  readonly missed: number;
  /**
   * True if the registry keeps older events that match. To read them, send the first `seq` as `before`.
   */
  readonly older: boolean;
  /** How many events of this epoch are no longer kept, of all kinds and namespaces. */
  readonly dropped: number;
  /** The newest event is last. */
  readonly events: readonly RegistryEvent[];
}

/** A period in which the registry could not listen: from this many ms ago to this many ms ago. */
export interface NotListening {
  readonly fromAgoMs: number;
  readonly toAgoMs: number;
}

/** `GET /api/v1/instances/{id}/beats`: the heartbeats of the last five minutes, oldest first. */
export interface BeatsAnswer {
  readonly id: string;
  readonly intervalMs: number;
  /** Each round of Heartbeat-1; `roundTripMs` null: not every endpoint answered. */
  readonly heartbeat1: readonly { readonly agoMs: number; readonly roundTripMs: number | null }[];
  /** Each received Heartbeat-2. */
  readonly heartbeat2: readonly { readonly agoMs: number }[];
  /**
   * Periods in which the registry could not listen, oldest first: a heartbeat that did not arrive in one of them does not count as missed.
   * A round of Heartbeat-1 that was under way then may be among `heartbeat1` as unanswered.
   */
  readonly notListening: readonly NotListening[];
}

// ---- calls between services -----------------------------------------------------------------------------------------

/** The number of callers whose circuit is closed, open and half-open, of those that report it. */
export interface CircuitCounts {
  readonly closed: number;
  readonly open: number;
  readonly halfOpen: number;
}

/** Attempts from all instances of one service to one instance of another. */
export interface TargetEdge {
  readonly instance: string;
  /** The sum over all callers. */
  readonly callsPerSecond: number;
  readonly failures: number;
  /** The highest value of the callers; null: too few calls. */
  readonly p99Ms: number | null;
  readonly circuits: CircuitCounts;
}

/** Calls from all instances of one service to another, over the last window that each of the callers reported. */
export interface ServiceEdge {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  /** Instances of `from` that reported it. */
  readonly callers: number;
  readonly calls: number;
  /** The sum over all callers. */
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly retries: number;
  /** The callers' medians, weighted by their calls; null: too few calls. */
  readonly p50Ms: number | null;
  /** The highest value of the callers: for each of them, at least 99 of 100 calls took no longer. */
  readonly p99Ms: number | null;
  readonly inFlight: number;
  /** Age of the newest report of it, ms. */
  readonly ageMs: number;
  /** The sums of those of all reported targets. */
  readonly circuits: CircuitCounts;
  /** The called instances, as far as the callers report them; the worst first, at most 500. */
  readonly targets: readonly TargetEdge[];
}

/** `GET /api/v1/topology` */
export interface TopologyAnswer {
  /** The age up to which reports of callers count, ms; older ones are dropped. */
  readonly withinMs: number;
  /** By `namespace`, `from` and `to`. */
  readonly edges: readonly ServiceEdge[];
}

/** Calls to one service, of all its callers. */
export interface CalledService {
  readonly namespace: string;
  readonly service: string;
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
}

/** `GET /api/v1/topology?summary=true`: the sums of the edges, a few bytes for each service. */
export interface TopologySummary {
  readonly withinMs: number;
  /** The number of edges. */
  readonly edges: number;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly retries: number;
  /** The number of services with reported callers, by `namespace` and `service`. */
  readonly called: readonly CalledService[];
  /** The number of services whose own calls failed, by `namespace` and `service`. */
  readonly failing: readonly Pick<CalledService, 'namespace' | 'service' | 'failures'>[];
}

export interface TrafficPoint {
  /** Wall clock, ms since 1970, of the step's end: for display only. */
  readonly at: number;
  /** 0 if no caller reported any. */
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
  /** The highest value that a caller reported; null: none. */
  readonly p99Ms: number | null;
}

/** `GET /api/v1/traffic` */
export interface TrafficAnswer {
  readonly stepMs: number;
  /** Complete steps, oldest first, none from before the start of the registry. */
  readonly points: readonly TrafficPoint[];
}
