import type { AdminState, State } from '@rollcall/core';

/** The sort keys of a list of instances. Ties are sorted by id. */
export const INSTANCE_SORTS = ['service', 'state', 'since', 'version', 'zone', 'id'] as const;
export type InstanceSort = (typeof INSTANCE_SORTS)[number];

/** A query for a list of instances. An empty filter matches everything. */
export interface InstanceQuery {
  /** `*`: all namespaces. */
  readonly namespace: string;
  readonly services: readonly string[];
  readonly states: readonly State[];
  readonly admins: readonly AdminState[];
  /** Null: both. */
  readonly callable: boolean | null;
  readonly zones: readonly string[];
  readonly versions: readonly string[];
  /** A case-insensitive part of the id, the service, the version, the zone or an address; empty: anything. */
  readonly search: string;
  readonly sort: InstanceSort;
  readonly isReversed: boolean;
  /** Page size, at least 1. */
  readonly limit: number;
  /** The place after which the page starts; null: the first page. */
  readonly after: InstancePlace | null;
  readonly withHeartbeats: boolean;
}

/** A place in the order: the sort key and the id. It stays valid when its instance is removed. */
export interface InstancePlace {
  readonly key: string | number;
  readonly id: string;
}
