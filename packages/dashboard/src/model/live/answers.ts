/** What the registry answers, as far as this page reads it: docs/PROTOCOL.md has all of it. */
import type { Instance, Override, Reason, State } from '@rollcall/core';
import type { Heartbeats } from '../view/picture.js';

export interface RegistryEvent {
  readonly seq: number;
  readonly at: number;
  readonly kind: string;
  readonly namespace: string | null;
  readonly service: string | null;
  readonly instance: string | null;
  readonly state: State | null;
  readonly reason: Reason | null;
  readonly revision: number | null;
  readonly by: string;
  readonly text: string;
}

/** `GET /api/v1/events` */
export interface EventsAnswer {
  readonly epoch: string;
  readonly since: number;
  readonly last: number;
  /** Is there more after `last` already? */
  readonly more: boolean;
  /** So many after the one that was asked for are no longer kept. */
  readonly missed: number;
  /** Are older ones kept that match? A registry that was not updated yet does not say. */
  readonly older?: boolean;
  /** So many of all are no longer kept. */
  readonly dropped?: number;
  readonly events: readonly RegistryEvent[];
}

export interface PreservationScope {
  readonly used: number;
  readonly allowed: number;
  readonly peak: number;
  readonly total: number;
  readonly silent: number;
  readonly rule: string | null;
  readonly text: string | null;
  readonly sinceMs: number | null;
}

/** `GET /api/v1/registry` */
export interface RegistryAnswer {
  readonly replica: string;
  readonly version?: string;
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  readonly startedAt: number;
  readonly store: { readonly name: string; readonly durable: boolean };
  readonly heartbeat: { readonly intervalMs: number };
  readonly watchers: number;
  readonly instances: number;
  readonly view: { readonly revision: number; readonly hash: string };
  readonly calls: { readonly p99LateMs: number; readonly waiting: number };
  readonly preservation: {
    readonly active: boolean;
    readonly text: string;
    readonly sinceMs: number | null;
    readonly registry: PreservationScope;
    readonly services: readonly (PreservationScope & { readonly namespace: string; readonly service: string })[];
  };
  readonly policy: Readonly<Record<string, unknown>>;
  readonly limits: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, { readonly value: unknown; readonly source: string }>>;
  readonly access: string;
  readonly insecure: boolean;
  /** As whom this page is here, where tokens are asked for. */
  readonly visitor?: { readonly role: string; readonly id: string } | null;
}

/** `GET /api/v1/instances/{id}` */
export type InstanceAnswer = Instance & {
  readonly own: Pick<Instance, 'weight' | 'metadata'>;
  readonly override: Override | null;
  readonly heartbeats: Heartbeats;
  readonly falls: number;
};

/** Of one caller, to one of the instances that it calls. */
export interface Circuits {
  readonly closed: number;
  readonly open: number;
  readonly halfOpen: number;
}

/** Calls from all instances of one service to one instance of another. */
export interface TargetEdge {
  readonly instance: string;
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly p99Ms: number | null;
  /** How many callers have it closed, open, half-open. */
  readonly circuits: Circuits;
}

export interface ServiceEdge {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  readonly callers: number;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly retries: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number;
  readonly ageMs: number;
  /** Of all its targets together. */
  readonly circuits: Circuits;
  /** Whom exactly, as far as the callers tell; left out where the question wants none. */
  readonly targets?: readonly TargetEdge[];
}

/** `GET /api/v1/topology` */
export interface TopologyAnswer {
  /** Each of the callers’ last window, which is five seconds long. */
  readonly edges: readonly ServiceEdge[];
}

/** `GET /api/v1/topology?summary=true` */
export interface TopologySummary {
  /** How many there are. */
  readonly edges: number;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly retries: number;
  /** The services that somebody calls, and what became of these calls. */
  readonly called: readonly { readonly namespace: string; readonly service: string; readonly failures: number }[];
  /** The services whose own calls fail. */
  readonly failing: readonly { readonly namespace: string; readonly service: string; readonly failures: number }[];
}

/** `GET /api/v1/instances`, as far as this page reads it. */
export interface InstanceListAnswer {
  readonly instances: readonly { readonly id: string; readonly override?: Override }[];
}

/** What operators set, by the id of the instance. */
export type Overrides = ReadonlyMap<string, Override>;

/** Sums over one step; `calls` 0 where nobody told of any. */
export interface TrafficPoint {
  /** Wall clock, ms since 1970, of its end. */
  readonly at: number;
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
  readonly p99Ms: number | null;
}

/** `GET /api/v1/traffic` */
export interface TrafficAnswer {
  readonly stepMs: number;
  readonly points: readonly TrafficPoint[];
}

/** `GET /api/v1/services/{name}?heartbeats=true` */
export interface ServiceDetailAnswer {
  readonly service: string;
  readonly namespace: string;
  readonly revision: number;
  readonly instances: readonly (Instance & { readonly heartbeats?: Heartbeats })[];
}

/** `GET /api/v1/instances/{id}/beats`: the last five minutes, oldest first. */
export interface BeatsAnswer {
  readonly id: string;
  readonly intervalMs: number;
  /** Each Heartbeat-1; `roundTripMs` null: it was not answered. */
  readonly heartbeat1: readonly { readonly agoMs: number; readonly roundTripMs: number | null }[];
  /** Each Heartbeat-2 that came. */
  readonly heartbeat2: readonly { readonly agoMs: number }[];
  /** Spans in which the registry itself could not listen, oldest first. A registry that was not updated yet does not tell. */
  readonly notListening?: readonly NotListening[];
}

/** From so many ms ago to so many ms ago. */
export interface NotListening {
  readonly fromAgoMs: number;
  readonly toAgoMs: number;
}

/** `GET /api/v1/instances/{id}/timeline` */
export interface TimelineAnswer {
  readonly id: string;
  readonly since: number;
  readonly events: readonly RegistryEvent[];
}
