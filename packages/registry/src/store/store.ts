import type { Endpoint, Instance, Override, OwnWords } from '@rollcall/core';

/**
 * What the registry remembers of one instance over its own restart. Heartbeat times are never stored: after a restart the
 * silence clocks start at readiness.
 */
export interface StoredInstance {
  /** As it is published. */
  readonly record: Instance;
  /** What the instance says itself, where an operator has said otherwise; missing: the record says it. */
  readonly own?: OwnWords;
  /** What an operator has said and not taken back. */
  readonly override?: Override;
  /** The record's endpoints with their hosts resolved, once and for all: what is called. */
  readonly targets: readonly Endpoint[];
  /** From where it was first registered, as quotas count it. Missing in what older versions stored. */
  readonly source?: string;
  /** The id of the access token, or of the client certificate (`cert:…`), with which it registered last, no secret. Missing: with neither. */
  readonly token?: string;
  /** SHA-256 of the secret, lower-case hex: proves the instance. */
  readonly secretHash: string;
  /** Lower-case hex of the 32 bytes that sign Heartbeat-1. */
  readonly callKey: string;
  /** Why it is CRITICAL, where it is. */
  readonly cause: 'proof' | 'silence' | 'one-way' | 'unproved' | null;
  /** Was it ever proved both ways at this address? */
  readonly proved: boolean;
}

/** What is kept of a removed instance, at least 10 minutes. */
export interface StoredTombstone {
  readonly id: string;
  readonly service: string;
  readonly namespace: string;
  readonly revision: number;
  readonly reason: Instance['reason'];
  readonly secretHash: string;
  /** By goodbye, operator or supersession: the id never comes back (410). */
  readonly ended: boolean;
  /** What an operator had said of it, and still says if it comes back. */
  readonly override?: Override;
  /** Wall clock, ms since 1970. */
  readonly removedAt: number;
}

/** What self-preservation keeps through a restart, so that it refills no allowance. Ages in ms at the moment of saving, oldest first. */
export interface SavedPreservation {
  readonly registry: SavedScope;
  readonly services: Readonly<Record<string, SavedScope>>;
}

/** One population of it: the whole registry, or one service. */
export interface SavedScope {
  readonly usedAgoMs: readonly number[];
  readonly peak: number;
}

/** One write: applied whole or not at all. */
export type Write =
  | { readonly put: StoredInstance }
  | { readonly bury: StoredTombstone }
  | { readonly forget: string }
  | { readonly preserve: SavedPreservation };

export interface Contents {
  readonly instances: readonly StoredInstance[];
  readonly tombstones: readonly StoredTombstone[];
  /** What self-preservation has used of its allowance; null where it never did. */
  readonly preservation: SavedPreservation | null;
}

/** What is wrong with a store, as it has found by itself. */
export interface StoreFault {
  /** What has happened, what is at stake, and what to do: for people. */
  readonly text: string;
  /** For how long, in ms. */
  readonly sinceMs: number;
}

/**
 * Where the registry keeps what must survive it. Guarantees:
 * - writes are applied in the order of the calls; `write` resolves when they are as durable as this store can make them,
 *   and rejects with a RollcallError when they are not: then nothing of that call is applied;
 * - `put` replaces the instance of the same id and clears its tombstone; `bury` removes the instance of that id;
 *   `forget` drops a tombstone; `preserve` replaces what self-preservation remembers; doing any of them twice is the same as
 *   once;
 * - `load` returns all that was acknowledged, and is called once, before any write; after a `close` a store may be loaded again.
 */
export interface Store {
  /** For people: `memory`, `disk /data`. */
  readonly name: string;
  /** Does it survive this process? */
  readonly durable: boolean;
  load(): Promise<Contents>;
  write(writes: readonly Write[]): Promise<void>;
  /** Why it would refuse a write now, where it knows; null: it knows of nothing. Left out by stores that only find out by a write. */
  fault?(): StoreFault | null;
  /** Waits for what is under way. May be called twice. */
  close(): Promise<void>;
}
