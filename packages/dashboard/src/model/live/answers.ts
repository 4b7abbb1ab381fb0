/** The answers of the registry that this page reads. A registry of an earlier version leaves some of the fields out. */
import type {
  BeatsAnswer as Beats,
  EventsAnswer as Events,
  InstancesAnswer,
  Override,
  RegistryStatus,
  ServiceEdge as Edge,
  TopologyAnswer as Topology,
} from '@rollcall/core';

export type {
  CircuitCounts as Circuits,
  InstanceAnswer,
  NotListening,
  RegistryEvent,
  ServiceAnswer as ServiceDetailAnswer,
  TargetEdge,
  TimelineAnswer,
  TopologySummary,
  TrafficAnswer,
  TrafficPoint,
} from '@rollcall/core';

/** The same with these fields optional. */
type WithOptional<Answer, Name extends keyof Answer> = Omit<Answer, Name> & Partial<Pick<Answer, Name>>;

export type EventsAnswer = WithOptional<Events, 'older' | 'dropped'>;
export type RegistryAnswer = WithOptional<RegistryStatus, 'version' | 'visitor'>;
export type BeatsAnswer = WithOptional<Beats, 'notListening'>;

/** An edge; `targets` are missing if the request excludes them. */
export type ServiceEdge = WithOptional<Edge, 'targets'>;
export type TopologyAnswer = Omit<Topology, 'edges'> & { readonly edges: readonly ServiceEdge[] };

/** `GET /api/v1/instances`, the part that this page reads. */
export interface InstanceListAnswer {
  readonly instances: readonly Pick<InstancesAnswer['instances'][number], 'id' | 'override'>[];
}

/** The settings of operators, by the id of the instance. */
export type Overrides = ReadonlyMap<string, Override>;
