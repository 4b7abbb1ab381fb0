import type {
  AdminState,
  Beat,
  BeatAnswer,
  Cursor,
  Drain,
  DrainAnswer,
  Frame,
  HeartbeatTerms,
  Instance,
  InstancePatch,
  Override,
  OwnWords,
  Policy,
  Problem,
  Registered,
  Registration,
  Result,
  State,
  Suspicion,
  Tombstone,
} from '@rollcall/core';
import type { Grant } from './access/permissions.js';
import type { EventQuery, EventsAnswer, TimelineAnswer } from './activity/events.js';
import type { BeatsAnswer } from './activity/heartbeat-log.js';
import type { TopologyAnswer } from './activity/topology.js';
import type { TrafficAnswer, TrafficQuery } from './activity/traffic.js';
import type { Limits } from './instances/limits.js';
import type { ScopeReport } from './lifecycle/self-preservation.js';
import type { InstanceQuery } from './queries/instance-query.js';
import type { StoreTrouble } from './store/write-behind.js';

export type { BeatsAnswer } from './activity/heartbeat-log.js';
export type { NotListening } from './activity/listening-gaps.js';
export type { TopologyAnswer } from './activity/topology.js';
export type { EventQuery, EventsAnswer, TimelineAnswer } from './activity/events.js';
export type { InstanceQuery } from './queries/instance-query.js';
export type { TrafficAnswer, TrafficQuery } from './activity/traffic.js';

export type Outcome<Value> = Result<Value, Problem>;

/** The origin of a request: the source address of the peer (IPv4-mapped addresses normalised). */
export interface Peer {
  readonly address: string;
  /** The id of its access token or certificate, if those are required. */
  readonly token?: string;
}

/**
 * The credentials of a request on behalf of an instance: its secret, or null; and the rights of its client certificate,
 * if there is one.
 */
export type Proof = string | null | { readonly secret: string | null; readonly grant: Grant };

/** A frame that is encoded once for all watchers. */
export interface SharedFrame {
  readonly frame: Frame;
  /** The frame as Server-Sent Event text, encoded at the first call. */
  bytes(): Uint8Array;
}

/** The receiving end of a watcher. */
export interface WatcherSink {
  /** Receives all frames of a flush and its cursor: everything up to there has been sent. */
  flush(frames: readonly SharedFrame[], cursor: Cursor): void;
  /** Called after `beatMs` of its order without a flush, so that a dead line is detected. */
  beat(cursor: Cursor): void;
  /** Bytes accepted by `flush` but not yet read by the peer; a watcher with more than 1 MiB for 10 s is cut. */
  backlog(): number;
  /** The registry ends it (slow, closing, superseded line). */
  end(): void;
}

export interface WatchOrder {
  readonly namespace: string;
  readonly services: readonly string[];
  readonly resume: readonly string[];
  readonly cursor: Cursor | null;
  readonly line: { readonly id: string; readonly secret: Proof } | null;
  /** The source address, whose streams are limited. */
  readonly peer?: string;
  /** The longest silence of the stream, 1,000 … 10,000 ms. Default: 10,000. */
  readonly beatMs?: number;
}

export interface Watcher {
  /** The peer closed the stream, or it broke. For a line: the registry calls the instance at once. */
  closed(): void;
  /** The registry has ended it, which is not a loss of the peer. Omitted: as `closed`. */
  dropped?(): void;
  /** For a line: the id of the access token or certificate of the last registration of its instance; null: none. */
  readonly token?: string | null;
  /** The number of services with which the stream begins, whole or resumed. Omitted: not known. */
  readonly services?: number;
}

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

export interface ServicesAnswer {
  readonly revision: number;
  readonly services: readonly ServiceSummary[];
}

export interface ServiceAnswer {
  readonly service: string;
  readonly namespace: string;
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  /** `override`: what an operator set of it; missing: nothing. */
  readonly instances: readonly (Instance & {
    readonly override?: Override;
    readonly heartbeats?: HeartbeatsAnswer;
  })[];
  readonly removed: readonly Tombstone[];
}

/** One direction of an instance's heartbeats, with ages in ms (null: never). */
export interface DirectionAnswer {
  readonly lastSuccessAgoMs: number | null;
  /** Round trip of the last Heartbeat-1; null for Heartbeat-2. */
  readonly roundTripMs: number | null;
  /** Rounds in a row without success. */
  readonly misses: number;
  /** The last error, verbatim; null when the last one succeeded. */
  readonly error: string | null;
}

export interface HeartbeatsAnswer {
  readonly heartbeat1: DirectionAnswer;
  readonly heartbeat2: DirectionAnswer;
}

/**
 * Losses of an instance's line that the registry did not cause, within ten minutes, and how long the streams had
 * lasted, ms.
 */
export interface LineLosses {
  readonly times: number;
  readonly shortestMs: number;
  readonly longestMs: number;
}

export type InstanceAnswer = Instance & {
  /** The instance's own values, which the record may show overridden. */
  readonly own: OwnWords;
  readonly override: Override | null;
  readonly heartbeats: HeartbeatsAnswer;
  readonly falls: number;
  /** True if it holds its line, the stream by which it also receives changes. */
  readonly line: boolean;
  /** Null if its line was not lost within ten minutes. */
  readonly lineLosses: LineLosses | null;
};

/** A page of a list of instances. */
export interface InstancesAnswer {
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  /** Number of matching instances on all pages. */
  readonly total: number;
  /** The `after` of the next page; null: this is the last page. */
  readonly next: string | null;
  /** `override`: what an operator set of it; missing: nothing. */
  readonly instances: readonly (Instance & {
    readonly override?: Override;
    readonly heartbeats?: HeartbeatsAnswer;
  })[];
}

export interface RegistryAnswer {
  readonly replica: string;
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  readonly startedAt: number;
  /** `trouble`: why the store does not accept writes; null: it does. */
  readonly store: { readonly name: string; readonly durable: boolean; readonly trouble: StoreTrouble | null };
  readonly heartbeat: HeartbeatTerms;
  readonly watchers: number;
  readonly instances: number;
  /** Number of tombstones. */
  readonly tombstones: number;
  /** The hash of the newest revision; its computation: docs/PROTOCOL.md. */
  readonly view: { readonly revision: number; readonly hash: string };
  /**
   * How late Heartbeat-1 is: 99 % of the calls of the last one to two intervals began at most this many ms late; and
   * the number of queued calls.
   */
  readonly calls: { readonly p99LateMs: number; readonly waiting: number };
  readonly preservation: PreservationAnswer;
  readonly policy: Policy;
  readonly limits: Limits;
  /** The options with which it was started, as far as they were passed. */
  readonly options: Readonly<Record<string, DescribedOption>>;
}

/** The value of an option and its source. */
export interface DescribedOption {
  readonly value: unknown;
  readonly source: 'default' | 'preset' | 'option';
}

/** The state of self-preservation. Durations in ms. */
export interface PreservationAnswer {
  readonly active: boolean;
  /** A sentence for operators. */
  readonly text: string;
  /** For how long it holds, ms; null: nothing is held. */
  readonly sinceMs: number | null;
  readonly registry: ScopeAnswer;
  /** Services whose own gate holds an instance, longest first, at most 50. */
  readonly services: readonly (ScopeAnswer & { readonly namespace: string; readonly service: string })[];
  /** The number of those services. */
  readonly servicesHolding: number;
}

/** A scope of self-preservation. */
export type ScopeAnswer = Omit<ScopeReport, 'since'> & {
  /** For how long the rule holds, ms. */
  readonly sinceMs: number | null;
};

/** How an instance is removed: by itself, with its secret, or by an operator. */
export type Ender = { readonly secret: Proof } | NonNullable<Operator>;

/** The operator behind a request; null: it is not an operator. `who`: its description, if known. */
export type Operator = { readonly operator: true; readonly who?: string } | null;

/** The interface of the engine for the HTTP layer and the simulation. All input has been validated for shape. */
export interface RegistryApi {
  /**
   * False until the store is loaded: until then every request is refused with NOT_READY, never answered with an empty
   * list.
   */
  readonly ready: boolean;
  register(registration: Registration, peer: Peer): Promise<Outcome<Registered>>;
  /**
   * True if a heartbeat with this secret may bypass the queue now, at most once in a quarter of an interval: each true
   * uses that up.
   */
  admits(id: string, secret: Proof): boolean;
  beat(id: string, secret: Proof, beat: Beat): Outcome<BeatAnswer>;
  /** `peer`: the reporter, whose calls are limited; omitted: no limit. */
  suspect(id: string, suspicion: Suspicion, peer?: Peer): Outcome<null>;
  /** Takes effect at once; answered once it is stored, or with `stored: false` if that takes longer than a second. */
  drain(id: string, secret: Proof, drain: Drain): Promise<Outcome<DrainAnswer>>;
  /**
   * Takes effect at once; answered once it is stored, or with NOT_READY if the store refuses. `why`: the reason of an
   * operator, for people; empty or omitted: none.
   */
  leave(id: string, ender: Ender | null, why?: string): Promise<Outcome<null>>;
  /**
   * Applies a change by an operator, stored before it is answered. Refused: FORBIDDEN, INVALID, LEAVING, as `instance`.
   */
  amend(id: string, patch: InstancePatch, operator: Operator): Promise<Outcome<InstanceAnswer>>;
  services(namespace: string): Outcome<ServicesAnswer>;
  /** `withHeartbeats`: adds `heartbeats` to each instance, which are not part of any revision. */
  service(namespace: string, name: string, withHeartbeats?: boolean): Outcome<ServiceAnswer>;
  /** The matching instances of all services, page by page. */
  instances(query: InstanceQuery): Outcome<InstancesAnswer>;
  instance(id: string): Outcome<InstanceAnswer>;
  /** The events of an instance, also of a removed one while its tombstone is kept. */
  timeline(id: string): Outcome<TimelineAnswer>;
  events(query: EventQuery): Outcome<EventsAnswer>;
  /** Which service calls which, as reported by the callers; of a namespace, or of all (`*`). */
  topology(namespace: string): Outcome<TopologyAnswer>;
  /** Calls between services, as reported by the callers, in the last quarter of an hour or the last day. */
  traffic(query: TrafficQuery): Outcome<TrafficAnswer>;
  /** The last heartbeats of an instance in both directions. */
  beats(id: string): Outcome<BeatsAnswer>;
  /** Calls an instance with Heartbeat-1 now, for an operator. Refused: FORBIDDEN, as `instance`. */
  call(id: string, operator: Operator): Outcome<null>;
  describe(): Outcome<RegistryAnswer>;
  watch(order: WatchOrder, sink: WatcherSink): Outcome<Watcher>;
}
