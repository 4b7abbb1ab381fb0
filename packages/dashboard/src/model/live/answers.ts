/** The answers of the registry, as far as this page reads them: docs/PROTOCOL.md has all fields. */
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
  /** True if more events follow `last` already. */
  readonly more: boolean;
  /** The number of events after the requested one that are no longer kept. */
  readonly missed: number;
  /** True if older events that match are kept. Missing from an older registry. */
  readonly older?: boolean;
  /** The number of all events that are no longer kept. */
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
  /** The identity of this page, if tokens are required. */
  readonly visitor?: { readonly role: string; readonly id: string } | null;
}

/** `GET /api/v1/instances/{id}` */
export type InstanceAnswer = Instance & {
  readonly own: Pick<Instance, 'weight' | 'metadata'>;
  readonly override: Override | null;
  readonly heartbeats: Heartbeats;
  readonly falls: number;
};

/** The circuit of one caller to one instance that it calls. */
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
  /** The numbers of callers that have it closed, open, half-open. */
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
  /** The called instances, as far as the callers report them; left out unless requested. */
  readonly targets?: readonly TargetEdge[];
}

/** `GET /api/v1/topology` */
export interface TopologyAnswer {
  /** Each of the callers’ last window, which is five seconds long. */
  readonly edges: readonly ServiceEdge[];
}

/** `GET /api/v1/topology?summary=true` */
export interface TopologySummary {
  /** The number of events. */
  readonly edges: number;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly retries: number;
  /** The services that are called, and their failures. */
  readonly called: readonly { readonly namespace: string; readonly service: string; readonly failures: number }[];
  /** The services whose own calls fail. */
  readonly failing: readonly { readonly namespace: string; readonly service: string; readonly failures: number }[];
}

/** `GET /api/v1/instances`, as far as this page reads it. */
export interface InstanceListAnswer {
  readonly instances: readonly { readonly id: string; readonly override?: Override }[];
}

/** The settings of operators, by the id of the instance. */
export type Overrides = ReadonlyMap<string, Override>;

/** Sums over one step; `calls` is 0 if none were reported. */
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
  /** Each received Heartbeat-2. */
  readonly heartbeat2: readonly { readonly agoMs: number }[];
  /** Spans in which the registry itself could not listen, oldest first. Missing from an older registry. */
  readonly notListening?: readonly NotListening[];
}

/** A span, in ms before now. */
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
