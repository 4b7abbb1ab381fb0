import type { Endpoint, Instance, Override, OwnSettings } from '@rollcall/core';

/**
 * The part of an instance that survives a restart of the registry. Heartbeat times are never stored: after a restart
 * the silence clocks start at readiness.
 */
export interface StoredInstance {
  /** The published record. */
  readonly record: Instance;
  /** The instance's own values of overridden fields; missing: those of the record. */
  readonly own?: OwnSettings;
  /** The current override of an operator. */
  readonly override?: Override;
  /** The endpoints of the record with hosts resolved once and for all, which are called. */
  readonly targets: readonly Endpoint[];
  /** The source of its first registration, as quotas count it. Missing in what older versions stored. */
  readonly source?: string;
  /**
   * The id of the access token, or of the client certificate (`cert:…`), of its last registration; not a secret.
   * Missing: neither.
   */
  readonly token?: string;
  /** SHA-256 of the secret, lower-case hex, which verifies the instance. */
  readonly secretHash: string;
  /** Lower-case hex of the 32 bytes that sign Heartbeat-1. */
  readonly callKey: string;
  /** The cause of CRITICAL; null in another state. */
  readonly cause: 'proof' | 'silence' | 'one-way' | 'unproved' | null;
  /** True if it was ever proved in both directions at this address. */
  readonly proved: boolean;
}

/** The stored part of a removed instance, kept for at least 10 minutes. */
export interface StoredTombstone {
  readonly id: string;
  readonly service: string;
  readonly namespace: string;
  readonly revision: number;
  readonly reason: Instance['reason'];
  readonly secretHash: string;
  /** True after a goodbye, a removal by an operator or a supersession: the id never comes back (410). */
  readonly ended: boolean;
  /** The override of an operator, which still applies if it comes back. */
  readonly override?: Override;
  /** Wall clock, ms since 1970. */
  readonly removedAt: number;
}

/**
 * The state of self-preservation over a restart, so that it refills no allowance. Ages in ms at the time of saving,
 * oldest first.
 */
export interface SavedPreservation {
  readonly registry: SavedScope;
  readonly services: Readonly<Record<string, SavedScope>>;
}

/** The state of one scope: the whole registry, or one service. */
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
  /** The used allowance of self-preservation; null if it was never used. */
  readonly preservation: SavedPreservation | null;
}

/** A fault that a store has detected itself. */
export interface StoreFault {
  /** The fault for operators: its cause, possible losses, and the fix. */
  readonly text: string;
  /** Duration, ms. */
  readonly sinceMs: number;
}

/**
 * The persistent state of the registry. Guarantees:
 * - writes are applied in the order of the calls; `write` resolves once they are as durable as this store can make
 *   them, and rejects with a RollcallError if they are not: then nothing of that call is applied;
 * - `put` replaces the instance of the same id and clears its tombstone; `bury` removes the instance of that id;
 *   `forget` drops a tombstone; `preserve` replaces the state of self-preservation; each is idempotent;
 * - `load` returns everything that was acknowledged, and is called once, before any write; after a `close` a store may
 *   be loaded again.
 */
export interface Store {
  /** For display: `memory`, `disk /data`. */
  readonly name: string;
  /** True if it survives this process. */
  readonly durable: boolean;
  load(): Promise<Contents>;
  write(writes: readonly Write[]): Promise<void>;
  /**
   * The fault that would refuse a write now; null: none is known. Omitted by stores that detect faults only by a write.
   */
  fault?(): StoreFault | null;
  /** Waits for writes under way. Idempotent. */
  close(): Promise<void>;
}
