import type { Forecast } from '../lifecycle/deadlines.js';
import type { Reason } from '../lifecycle/reason.js';
import type { State } from '../lifecycle/vitals.js';
import type { Methods } from './methods.js';

/** The name of a service: a DNS label, since it becomes a DNS name and a metric label. */
export type ServiceName = string;

/** Unique per process start, chosen by the instance: `<service>-<UUIDv7>`. A restarted process is a new instance. */
export type InstanceId = string;

/** The protocols for calls. The first endpoint of an instance is its primary. */
export const PROTOCOLS = ['tcp', 'http', 'grpc'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/**
 * The protocols of an endpoint. `heartbeat` takes no calls: an instance without a port for callers, such as one behind a broker, answers
 * only Heartbeat-1, over HTTP.
 */
export const ENDPOINT_PROTOCOLS = [...PROTOCOLS, 'heartbeat'] as const;
export type EndpointProtocol = (typeof ENDPOINT_PROTOCOLS)[number];

/** The address of one protocol of an instance. */
export interface Endpoint {
  readonly protocol: EndpointProtocol;
  /** An IP address or a host name. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
  readonly tls: boolean;
}

/** The settings of an operator for an instance. They never change the state. */
export const ADMIN_STATES = ['ENABLED', 'DRAINING', 'MAINTENANCE'] as const;
export type AdminState = (typeof ADMIN_STATES)[number];
/** The admin states that keep callers away. */
export type AwayState = Exclude<AdminState, 'ENABLED'>;
export const AWAY_STATES: readonly AwayState[] = ADMIN_STATES.filter((admin) => admin !== 'ENABLED');

/** The source of a registration, which decides which checks apply to the instance. */
export type Source = 'native' | 'eureka' | 'consul' | 'api';

/** Free-form metadata of an instance: at most 64 keys, 4 KiB in total. */
export type Metadata = Readonly<Record<string, string>>;

/**
 * One running process of a service, as the registry publishes it. All fields are fixed at its `revision`: two reads of one revision are
 * equal byte for byte.
 */
export interface Instance {
  readonly id: InstanceId;
  readonly service: ServiceName;
  readonly namespace: string;
  readonly endpoints: readonly Endpoint[];
  /** At most 64 characters; empty if unknown. */
  readonly version: string;
  /** A DNS label; empty if unknown. */
  readonly zone: string;
  /** 0 … 1,000; the share of calls relative to the other instances. */
  readonly weight: number;
  readonly metadata: Metadata;
  /** The policies of its methods, if it has declared any. */
  readonly methods?: Methods;
  readonly state: State;
  readonly reason: Reason;
  /** Wall clock of the last state change, ms since 1970: for display only. */
  readonly since: number;
  /** The next transition if nothing else happens, or null. */
  readonly next: Forecast | null;
  readonly admin: AdminState;
  readonly source: Source;
  /** Wall clock, ms since 1970. */
  readonly registeredAt: number;
  readonly revision: number;
}

/** The record of a removed instance. It never removes a newer incarnation, because ids are never reused. */
export interface Tombstone {
  readonly id: InstanceId;
  readonly revision: number;
  readonly reason: Reason;
}

/** The address as text, as in reasons: `10.0.0.5:3001`, `[::1]:3001`. */
export function addressOf(endpoint: Pick<Endpoint, 'host' | 'port'>): string {
  return endpoint.host.includes(':') ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`;
}

/** The short id for display: `orders…1e07`. */
export function shortId(instance: Pick<Instance, 'id' | 'service'>): string {
  return `${instance.service}…${instance.id.slice(-4)}`;
}
