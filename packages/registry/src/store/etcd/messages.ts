import type { Guard, GuardedWrite, Item, WriteAnswer, WriteOutcome } from '../cluster/cluster-store.js';
import { Malformed, MessageWriter, readFields } from './codec.js';

// The messages of etcd's API v3 that this client uses (api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto): requests are
// written, and answers read, with all names of keys below one prefix.

/** The paths of the methods. */
export const METHODS = {
  range: '/etcdserverpb.KV/Range',
  txn: '/etcdserverpb.KV/Txn',
  watch: '/etcdserverpb.Watch/Watch',
  grant: '/etcdserverpb.Lease/LeaseGrant',
  keepAlive: '/etcdserverpb.Lease/LeaseKeepAlive',
  revoke: '/etcdserverpb.Lease/LeaseRevoke',
  authenticate: '/etcdserverpb.Auth/Authenticate',
  status: '/etcdserverpb.Maintenance/Status',
} as const;

const message = (): MessageWriter => new MessageWriter();

/** The end of the range of all keys with this prefix, as etcd expects it: the prefix with its last byte raised. */
export function endOfPrefix(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at -= 1) {
    const byte = end[at] ?? 0;
    if (byte === 255) continue;
    end[at] = byte + 1;
    return end.subarray(0, at + 1);
  }
  return Buffer.from([0]);
}

// ---- KV -------------------------------------------------------------------------------------------------------------

export interface RangePage {
  readonly prefix: string;
  /** The first key, with the prefix. */
  readonly from: Buffer;
  readonly limit: number;
  /** 0: the current one. */
  readonly revision: number;
}

export function rangeRequest({ prefix, from, limit, revision }: RangePage): Buffer {
  return message().bytes(1, from).bytes(2, endOfPrefix(prefix)).integer(3, limit).integer(4, revision).finish();
}

export interface RangeAnswer {
  readonly revision: number;
  readonly items: readonly Item[];
  readonly isLast: boolean;
}

/** Throws Malformed, also for a key without the prefix. */
export function readRange(bytes: Buffer, prefix: string): RangeAnswer {
  const items: Item[] = [];
  let [revision, isLast] = [0, true];
  for (const { field, integer, bytes: inner } of readFields(bytes)) {
    if (field === 1) revision = readHeader(inner);
    else if (field === 2) items.push(itemOf(readKeyValue(inner), prefix));
    else if (field === 3) isLast = integer === 0;
  }
  return { revision, items, isLast };
}

const CREATED = 1;
const MODIFIED = 2;

function compareOf(guard: Guard, prefix: string): Buffer {
  const isRevision = 'revision' in guard;
  return message()
    .integer(1, 0)
    .integer(2, isRevision ? MODIFIED : CREATED)
    .text(3, prefix + guard.key)
    .integer(isRevision ? 6 : 5, isRevision ? guard.revision : guard.createdAt)
    .finish();
}

const op = (kind: number, request: Buffer): Buffer => message().bytes(kind, request).finish();
const opRange = (key: string): Buffer => op(1, message().text(1, key).finish());
const opDelete = (key: string): Buffer => op(3, message().text(1, key).finish());

/** One request with a nested transaction for each write: they succeed or fail independently, in one revision. */
export function writeRequest(writes: readonly GuardedWrite[], prefix: string): Buffer {
  const outer = message();
  for (const { guards, puts, deletes, read } of writes) {
    const inner = message();
    for (const guard of guards) inner.bytes(1, compareOf(guard, prefix));
    for (const { key, value } of puts) {
      inner.bytes(
        2,
        op(
          2,
          message()
            .text(1, prefix + key)
            .text(2, value)
            .finish(),
        ),
      );
    }
    for (const key of deletes) inner.bytes(2, opDelete(prefix + key));
    if (read !== undefined) inner.bytes(3, opRange(prefix + read));
    outer.bytes(2, op(4, inner.finish()));
  }
  return outer.finish();
}

/** The answer to `writeRequest`. Throws Malformed, also if it has not one outcome for each of `count` writes. */
export function readWrite(bytes: Buffer, prefix: string, count: number): WriteAnswer {
  const { revision, responses } = readTxn(bytes);
  if (responses.length !== count) throw new Malformed(`${responses.length} outcomes for ${count} writes`);
  const outcomes = responses.map((response): WriteOutcome => {
    const inner = bytesOf(response, 4);
    const { succeeded, responses: reads } = readTxn(inner);
    if (succeeded) return { taken: true };
    const range = reads[0] === undefined ? null : readRange(bytesOf(reads[0], 1), prefix);
    return { taken: false, found: range?.items[0] ?? null };
  });
  return { revision, outcomes };
}

/** The answer to any transaction. Throws Malformed. */
export function readTxn(bytes: Buffer): {
  readonly revision: number;
  readonly succeeded: boolean;
  readonly responses: Buffer[];
} {
  const responses: Buffer[] = [];
  let [revision, succeeded] = [0, false];
  for (const { field, integer, bytes: inner } of readFields(bytes)) {
    if (field === 1) revision = readHeader(inner);
    else if (field === 2) succeeded = integer !== 0;
    else if (field === 3) responses.push(inner);
  }
  return { revision, succeeded, responses };
}

/** Puts the key with a lease if its `createdAt` is this one (0: it does not exist). */
export function leasedPut(key: string, value: string, lease: number, createdAt: number): Buffer {
  const put = message().text(1, key).text(2, value).integer(3, lease).finish();
  return message().bytes(1, compareOf({ key, createdAt }, '')).bytes(2, op(2, put)).finish();
}

/** Changes nothing; taken if the key was created at this revision. */
export const lifeCheck = (key: string, createdAt: number): Buffer =>
  message().bytes(1, compareOf({ key, createdAt }, '')).finish();

/** Deletes the key, whatever it is. */
export const deletion = (key: string): Buffer => message().bytes(2, opDelete(key)).finish();

// ---- Watch ----------------------------------------------------------------------------------------------------------

/** All changes below the prefix from this revision on. */
export function watchRequest(prefix: string, fromRevision: number): Buffer {
  const create = message()
    .text(1, prefix)
    .bytes(2, endOfPrefix(prefix))
    .integer(3, fromRevision)
    .boolean(8, true)
    .finish();
  return message().bytes(1, create).finish();
}

/** Asks a watch for a sign of life. */
export const progressRequest = (): Buffer => message().bytes(3, Buffer.alloc(0)).finish();

/** One event of a watch; `item` has an empty value for a deletion. */
export interface WatchEvent {
  readonly isDeletion: boolean;
  readonly item: Item;
}

export interface WatchAnswer {
  readonly revision: number;
  readonly isCancelled: boolean;
  /** The revision up to which changes are forgotten; 0: they are not the reason. */
  readonly compactedAt: number;
  readonly reason: string;
  /** More parts follow. */
  readonly isFragment: boolean;
  readonly events: readonly WatchEvent[];
}

/** Throws Malformed. */
export function readWatch(bytes: Buffer, prefix: string): WatchAnswer {
  const events: WatchEvent[] = [];
  let [revision, compactedAt, reason] = [0, 0, ''];
  let [isCancelled, isFragment] = [false, false];
  for (const { field, integer, bytes: inner } of readFields(bytes)) {
    if (field === 1) revision = readHeader(inner);
    else if (field === 4) isCancelled = integer !== 0;
    else if (field === 5) compactedAt = integer;
    else if (field === 6) reason = inner.toString('utf8');
    else if (field === 7) isFragment = integer !== 0;
    else if (field === 11) events.push(readEvent(inner, prefix));
  }
  return { revision, isCancelled, compactedAt, reason, isFragment, events };
}

function readEvent(bytes: Buffer, prefix: string): WatchEvent {
  let isDeletion = false;
  let keyValue: KeyValue | null = null;
  for (const { field, integer, bytes: inner } of readFields(bytes)) {
    if (field === 1) isDeletion = integer !== 0;
    else if (field === 2) keyValue = readKeyValue(inner);
  }
  if (keyValue === null) throw new Malformed('an event without a key');
  return { isDeletion, item: itemOf(keyValue, prefix) };
}

// ---- Lease, Auth, Maintenance ---------------------------------------------------------------------------------------

export function grantRequest(ttlS: number, lease: number): Buffer {
  return message().integer(1, ttlS).integer(2, lease).finish();
}

/** For `keepAlive` and `revoke`. */
export const leaseRequest = (lease: number): Buffer => message().integer(1, lease).finish();

/** Remaining time of the lease, s; 0 or less: it has ended. Throws Malformed. */
export const readTtl = (bytes: Buffer): number => integerOf(bytes, 3);

export const authenticateRequest = (name: string, password: string): Buffer =>
  message().text(1, name).text(2, password).finish();

/** The token. Throws Malformed. */
export const readToken = (bytes: Buffer): string => bytesOf(bytes, 2).toString('utf8');

/** The status that a member reports. */
export interface MemberStatus {
  readonly version: string;
  /** It knows a leader. */
  readonly hasLeader: boolean;
  readonly revision: number;
}

/** Throws Malformed. */
export function readStatus(bytes: Buffer): MemberStatus {
  return {
    version: bytesOf(bytes, 2).toString('utf8'),
    hasLeader: integerOf(bytes, 4) !== 0,
    revision: readHeader(bytesOf(bytes, 1)),
  };
}

// ---- parts ----------------------------------------------------------------------------------------------------------

const readHeader = (bytes: Buffer): number => integerOf(bytes, 3);

function integerOf(bytes: Buffer, wanted: number): number {
  let found = 0;
  for (const { field, integer } of readFields(bytes)) if (field === wanted) found = integer;
  return found;
}

function bytesOf(bytes: Buffer, wanted: number): Buffer {
  let found: Buffer | null = null;
  for (const { field, bytes: inner } of readFields(bytes)) if (field === wanted) found = inner;
  if (found === null) throw new Malformed(`field ${wanted} is missing`);
  return found;
}

interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
  readonly createdAt: number;
}

function readKeyValue(bytes: Buffer): KeyValue {
  let [key, value, revision, createdAt] = ['', '', 0, 0];
  for (const { field, integer, bytes: inner } of readFields(bytes)) {
    if (field === 1) key = inner.toString('utf8');
    else if (field === 2) createdAt = integer;
    else if (field === 3) revision = integer;
    else if (field === 5) value = inner.toString('utf8');
  }
  return { key, value, revision, createdAt };
}

function itemOf({ key, value, revision, createdAt }: KeyValue, prefix: string): Item {
  if (!key.startsWith(prefix)) throw new Malformed('a key without the prefix');
  return { key: key.slice(prefix.length), value, revision, createdAt };
}
