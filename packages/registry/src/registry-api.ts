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
export type { TopologyAnswer } from './activity/topology.js';
export type { EventQuery, EventsAnswer, TimelineAnswer } from './activity/events.js';
export type { InstanceQuery } from './queries/instance-query.js';
export type { TrafficAnswer, TrafficQuery } from './activity/traffic.js';

export type Outcome<Value> = Result<Value, Problem>;

/** Where a request came from: the peer's source address (IPv4-mapped normalised). */
export interface Peer {
  readonly address: string;
  /** The id of the access token or certificate that it came with, where those are asked for. */
  readonly token?: string;
}

/**
 * What somebody shows who speaks for an instance: its secret, null where there is none; with it, what his client certificate allows him,
 * where he has one.
 */
export type Proof = string | null | { readonly secret: string | null; readonly grant: Grant };

/** A frame that is encoded once, however many watchers get it. */
export interface SharedFrame {
  readonly frame: Frame;
  /** The frame as Server-Sent Event text, encoded at the first call. */
  bytes(): Uint8Array;
}

/** One watcher's end of the feed. */
export interface WatcherSink {
  /** All frames of one flush, then its cursor: everything asked for has been sent up to there. */
  flush(frames: readonly SharedFrame[], cursor: Cursor): void;
  /** Each `beatMs` of its order without a flush, so that a silent line is known to be dead. */
  beat(cursor: Cursor): void;
  /** Bytes accepted by `flush` but not yet taken by the peer; more than 1 MiB for 10 s and the watcher is cut. */
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
  /** The address from which it comes: what comes from one source is limited. */
  readonly peer?: string;
  /** The longest silence of the stream, 1,000 … 10,000 ms. Default: 10,000. */
  readonly beatMs?: number;
}

export interface Watcher {
  /** The peer closed the stream, or it broke. For a line: the registry calls the instance at once. */
  closed(): void;
  /** We have ended it: no news of its peer. Left out: as `closed`. */
  dropped?(): void;
  /** Of a line: the id of the access token or certificate with which its instance registered last; null: with none. */
  readonly token?: string | null;
  /** How many services the stream begins with, whole or from where they were known. Left out: not known. */
  readonly services?: number;
}

export interface ServiceSummary {
  readonly name: string;
  readonly namespace: string;
  readonly instances: number;
  readonly states: Readonly<Record<State, number>>;
  /** How many callers may call: ENABLED, and in a state that callers allow by default. */
  readonly callable: number;
  /** By what an operator wants of them. */
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
  /** With `heartbeats` where they were asked for. */
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

/** Ends of an instance's line that were not the registry's, within ten minutes, and how long those streams had lasted. Durations in ms. */
export interface LineLosses {
  readonly times: number;
  readonly shortestMs: number;
  readonly longestMs: number;
}

export type InstanceAnswer = Instance & {
  /** What the instance says itself, where the record may show an operator's word instead. */
  readonly own: OwnWords;
  readonly override: Override | null;
  readonly heartbeats: HeartbeatsAnswer;
  readonly falls: number;
  /** Does it hold the stream that is its line? By that stream it hears of changes, too. */
  readonly line: boolean;
  /** Null: within ten minutes its line did not end, or was ended by the registry. */
  readonly lineLosses: LineLosses | null;
};

/** One page of a list of instances. */
export interface InstancesAnswer {
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  /** Instances that match, on all pages. */
  readonly total: number;
  /** The `after` of the next page; null: this is the last one. */
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
  /** `trouble`: why it does not keep what it is told; null: it does. */
  readonly store: { readonly name: string; readonly durable: boolean; readonly trouble: StoreTrouble | null };
  readonly heartbeat: HeartbeatTerms;
  readonly watchers: number;
  readonly instances: number;
  /** Removed instances that are remembered. */
  readonly tombstones: number;
  /** Of the newest revision; how it is computed: docs/PROTOCOL.md. */
  readonly view: { readonly revision: number; readonly hash: string };
  /** How punctual Heartbeat-1 is: 99 of 100 calls of the last interval or two began at most so many ms late; who waits for a call. */
  readonly calls: { readonly p99LateMs: number; readonly waiting: number };
  readonly preservation: PreservationAnswer;
  readonly policy: Policy;
  readonly limits: Limits;
  /** How it was started, as far as whoever started it told. */
  readonly options: Readonly<Record<string, DescribedOption>>;
}

/** What an option is, and why. */
export interface DescribedOption {
  readonly value: unknown;
  readonly source: 'default' | 'preset' | 'option';
}

/** Whom self-preservation holds. Durations in ms. */
export interface PreservationAnswer {
  readonly active: boolean;
  /** Plain words. */
  readonly text: string;
  /** For how long, in ms; null: nobody is held. */
  readonly sinceMs: number | null;
  readonly registry: ScopeAnswer;
  /** Those whose own gate holds somebody, the longest first, 50 at most. */
  readonly services: readonly (ScopeAnswer & { readonly namespace: string; readonly service: string })[];
  /** How many there are of those. */
  readonly servicesHolding: number;
}

/** One population as self-preservation sees it. */
export type ScopeAnswer = Omit<ScopeReport, 'since'> & {
  /** For how long the rule holds, in ms. */
  readonly sinceMs: number | null;
};

/** How an instance ends: by itself, with its secret, or by an operator. */
export type Ender = { readonly secret: Proof } | NonNullable<Operator>;

/** Who asks for what only an operator may do: null is anybody else. `who`: in words, for people, where it is known. */
export type Operator = { readonly operator: true; readonly who?: string } | null;

/** The registry's deep face: what the rim (HTTP) and the simulation call. Everything in it has been validated for shape. */
export interface RegistryApi {
  /** False until the store is loaded: until then every question is refused with NOT_READY, never answered with an empty list. */
  readonly ready: boolean;
  register(registration: Registration, peer: Peer): Promise<Outcome<Registered>>;
  /** May a beat by this secret pass ahead of others now? Says yes at most once in a quarter of an interval: each yes uses that up. */
  admits(id: string, secret: Proof): boolean;
  beat(id: string, secret: Proof, beat: Beat): Outcome<BeatAnswer>;
  /** `peer`: who reports, so that one reporter has not all the calls; left out: nobody counts. */
  suspect(id: string, suspicion: Suspicion, peer?: Peer): Outcome<null>;
  /** It counts at once, and is answered when it is stored, or with `stored: false` where it is not within a second. */
  drain(id: string, secret: Proof, drain: Drain): Promise<Outcome<DrainAnswer>>;
  /**
   * It counts at once, and is answered when it is stored; where the store refuses, with NOT_READY. `why`: an operator's own words, for
   * people; empty, or left out: none.
   */
  leave(id: string, ender: Ender | null, why?: string): Promise<Outcome<null>>;
  /** What an operator wants of an instance, stored before it is answered. Refused: FORBIDDEN, INVALID, LEAVING, as `instance`. */
  amend(id: string, patch: InstancePatch, operator: Operator): Promise<Outcome<InstanceAnswer>>;
  services(namespace: string): Outcome<ServicesAnswer>;
  /** `withHeartbeats`: each instance has its `heartbeats`, which are no part of any revision. */
  service(namespace: string, name: string, withHeartbeats?: boolean): Outcome<ServiceAnswer>;
  /** Instances of all services that match, a page at a time. */
  instances(query: InstanceQuery): Outcome<InstancesAnswer>;
  instance(id: string): Outcome<InstanceAnswer>;
  /** What happened to an instance, also of one that was removed, as long as its tombstone is kept. */
  timeline(id: string): Outcome<TimelineAnswer>;
  events(query: EventQuery): Outcome<EventsAnswer>;
  /** Who calls whom, as the callers tell; of a namespace, or of all (`*`). */
  topology(namespace: string): Outcome<TopologyAnswer>;
  /** How many calls went from service to service, as the callers tell: the last quarter of an hour, or the last day. */
  traffic(query: TrafficQuery): Outcome<TrafficAnswer>;
  /** The last heartbeats of an instance, both ways. */
  beats(id: string): Outcome<BeatsAnswer>;
  /** An operator wants it to be called with Heartbeat-1 now. Refused: FORBIDDEN, as `instance`. */
  call(id: string, operator: Operator): Outcome<null>;
  describe(): Outcome<RegistryAnswer>;
  watch(order: WatchOrder, sink: WatcherSink): Outcome<Watcher>;
}
