import { RollcallError } from '@rollcall/core';

/** One key with its value. */
export interface Item {
  /** Without the prefix of the store. */
  readonly key: string;
  readonly value: string;
  /** The revision that wrote this value. */
  readonly revision: number;
  /** The revision that created the key. A key that is deleted and written again gets a new one. */
  readonly createdAt: number;
}

/** The effect of one revision on one key: it wrote an item, or it deleted the key. */
export type Change = { readonly put: Item } | { readonly deleted: string };

/**
 * What must be true of a key for a write to be applied: its value is of this `revision`, or it was created at
 * `createdAt`. 0: the key does not exist.
 */
export type Guard =
  | { readonly key: string; readonly revision: number }
  | { readonly key: string; readonly createdAt: number };

/** One write: all its puts and deletions are applied in one revision if all guards hold, else none of them. */
export interface GuardedWrite {
  readonly guards: readonly Guard[];
  readonly puts: readonly { readonly key: string; readonly value: string }[];
  readonly deletes: readonly string[];
  /** The key that is read if a guard does not hold. Default: nothing is read. */
  readonly read?: string;
}

/** The result of one write. `found`: the item of `read` where a guard did not hold; null: no such key, or no `read`. */
export type WriteOutcome = { readonly taken: true } | { readonly taken: false; readonly found: Item | null };

/** Receives what happens to the keys of the store. Must not throw. */
export interface FollowSink {
  /**
   * All changes of one revision, called once for each revision that changed something, in ascending order, without
   * gaps: a reader that applies them to a list has what a list at `revision` returns.
   */
  changes(revision: number, changes: readonly Change[]): void;
  /**
   * The store has answered just now. Called about every 500 ms; a pause means that the store is out of reach.
   * `revision` is that of the answering member. It does not promise that all changes up to it were delivered.
   */
  alive(revision: number): void;
  /**
   * The store no longer has the changes after the last delivered one: list again, and follow from there. The last call.
   */
  lost(): void;
}

export interface Following {
  /** Ends it: the sink is not called any more. Idempotent. */
  stop(): void;
}

/** The end of a membership: `left` by its owner, or `lost` because its lease has ended in the store. */
export type MembershipEnd = 'left' | 'lost';

/** A key with a lease that is kept alive. */
export interface Membership {
  /** The revision that created the key, for guards: a write guarded by it fails once this membership is over. */
  readonly createdAt: number;
  /**
   * Resolves once the store has reported that the lease is gone, or after `leave`. Never rejects. While the store is
   * unreachable the state is unknown and is not reported: guards decide.
   */
  readonly ended: Promise<MembershipEnd>;
  /**
   * Replaces the value and keeps the lease. Rejects with STORE_UNREACHABLE (outcome unknown), and with STORE_REFUSED
   * once the membership is over.
   */
  update(value: string): Promise<void>;
  /**
   * Ends the lease, which deletes the key. Where the store is out of reach the key stays until its lease ends.
   * Idempotent.
   */
  leave(): Promise<void>;
}

/**
 * A linearizable store of keys and values that several registries share. Every change gets a revision, one higher than
 * the one before. All methods reject with CLOSED after `close`, with STORE_UNREACHABLE if no member answers in time (a
 * write may then have been applied: repeat it unchanged, its guards decide), and with STORE_REFUSED if the store
 * refuses the request itself, of which nothing is then applied.
 */
export interface ClusterStore {
  /** For display, without secrets: `memory`, `etcd e1:2379, e2:2379`. */
  readonly name: string;
  /** All items, sorted by key in the order of their UTF-8 bytes, as they were at `revision`. */
  list(): Promise<{ readonly revision: number; readonly items: readonly Item[] }>;
  /**
   * Applies each write by itself: one outcome for each, in their order. All guards are checked before anything is
   * applied, and all that is applied is one revision. At most MAX_WRITES writes and MAX_WRITE_BYTES of keys and
   * values, and no key put or deleted twice: else STORE_REFUSED.
   */
  write(writes: readonly GuardedWrite[]): Promise<WriteAnswer>;
  /** Follows all changes after the revision `after`, over failures of members, until `lost` or `stop`. */
  follow(after: number, sink: FollowSink): Following;
  /**
   * Writes the key with a lease of `ttlMs` (2,000 ms or more, in whole seconds) and keeps it alive. A key that is there
   * is deleted first, which ends the life of its owner. The store ends the lease at the earliest `ttlMs` after the last
   * sign of life.
   */
  join(key: string, value: string, ttlMs: number): Promise<Membership>;
  /**
   * Ends what it follows, without a call of `lost`. Its leases are not kept alive any more, so call `leave` first.
   * Idempotent.
   */
  close(): Promise<void>;
}

export interface WriteAnswer {
  /** The revision of what was applied; of the store as it is, if nothing was. */
  readonly revision: number;
  readonly outcomes: readonly WriteOutcome[];
}

/** Writes in one request, at most. */
export const MAX_WRITES = 100;
/** Bytes of the keys and values in one request, at most. */
export const MAX_WRITE_BYTES = 1_048_576;
const MIN_TTL_MS = 2_000;

const encoder = new TextEncoder();
const sizeOf = (text: string): number => encoder.encode(text).length;

/** Throws STORE_REFUSED for writes that no store takes. */
export function checkWrites(writes: readonly GuardedWrite[]): void {
  if (writes.length === 0 || writes.length > MAX_WRITES) {
    throw refused(`A request takes 1 … ${MAX_WRITES} writes; received ${writes.length}. Divide them.`);
  }
  const written = new Set<string>();
  let bytes = 0;
  for (const { guards, puts, deletes, read } of writes) {
    for (const key of [...puts.map((put) => put.key), ...deletes]) {
      if (written.has(key)) throw refused(`The key ${key} is written twice in one request. Divide the writes.`);
      written.add(key);
    }
    for (const { key } of guards) bytes += sizeOf(key);
    for (const { key, value } of puts) bytes += sizeOf(key) + sizeOf(value);
    for (const key of read === undefined ? deletes : [...deletes, read]) bytes += sizeOf(key);
  }
  if (bytes > MAX_WRITE_BYTES) {
    throw refused(`A request takes ${MAX_WRITE_BYTES} bytes of keys and values; received ${bytes}. Divide the writes.`);
  }
}

/** Throws STORE_REFUSED for a lease that no store grants. */
export function checkTtl(ttlMs: number): void {
  if (ttlMs < MIN_TTL_MS || ttlMs % 1_000 !== 0 || ttlMs > 3_600_000) {
    throw refused(`A lease takes ${MIN_TTL_MS} … 3600000 ms in whole seconds; received ${ttlMs}.`);
  }
}

/** The store refuses a request. */
export const refused = (text: string): RollcallError => new RollcallError('STORE_REFUSED', text);

/** The store was closed. */
export const closed = (): RollcallError =>
  new RollcallError('CLOSED', 'The shared store is closed: this process has ended its connection to it.');
