import type {
  Beat,
  BeatAnswer,
  BeatsAnswer,
  Cursor,
  Drain,
  DrainAnswer,
  EventsAnswer,
  Frame,
  InstanceAnswer,
  InstancePatch,
  InstancesAnswer,
  Problem,
  Registered,
  Registration,
  RegistryAnswer,
  Result,
  ServiceAnswer,
  ServicesAnswer,
  Suspicion,
  TimelineAnswer,
  TopologyAnswer,
  TrafficAnswer,
} from '@rollcall/core';
import type { Grant } from './access/permissions.js';
import type { EventQuery } from './activity/events.js';
import type { TrafficQuery } from './activity/traffic.js';
import type { InstanceQuery } from './queries/instance-query.js';

export type { EventQuery } from './activity/events.js';
export type { InstanceQuery } from './queries/instance-query.js';
export type { TrafficQuery } from './activity/traffic.js';

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

/** The origin of a removal: the instance itself, with its secret, or an operator. */
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
