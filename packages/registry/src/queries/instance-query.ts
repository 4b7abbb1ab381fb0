import type { AdminState, State } from '@rollcall/core';

/** By what a list of instances can be sorted. Equal ones are sorted by their id. */
export const INSTANCE_SORTS = ['service', 'state', 'since', 'version', 'zone', 'id'] as const;
export type InstanceSort = (typeof INSTANCE_SORTS)[number];

/** Which instances are listed, and in which order. An empty list of a filter lets everything through. */
export interface InstanceQuery {
  /** `*`: all of them. */
  readonly namespace: string;
  readonly services: readonly string[];
  readonly states: readonly State[];
  readonly admins: readonly AdminState[];
  /** Null: callable or not. */
  readonly callable: boolean | null;
  readonly zones: readonly string[];
  readonly versions: readonly string[];
  /** A part of the id, the service, the version, the zone or an address, in upper or lower case; empty: anything. */
  readonly search: string;
  readonly sort: InstanceSort;
  readonly isReversed: boolean;
  /** Instances in one answer, at least 1. */
  readonly limit: number;
  /** Where the page before ended; null: the first page. */
  readonly after: InstancePlace | null;
  readonly withHeartbeats: boolean;
}

/** A place in the order: the key by which it is sorted, and the id. It stays valid when its instance is removed. */
export interface InstancePlace {
  readonly key: string | number;
  readonly id: string;
}
