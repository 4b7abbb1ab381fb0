import type { Time, Timer } from '@rollcall/core';
import { checkTtl, checkWrites, closed, refused } from './cluster-store.js';
import type {
  Change,
  Following,
  FollowSink,
  Guard,
  GuardedWrite,
  Item,
  Membership,
  MembershipEnd,
  ClusterStore,
  WriteAnswer,
  WriteOutcome,
} from './cluster-store.js';

/** Interval of the alive reports to a follower, ms. */
const ALIVE_EVERY_MS = 500;

interface Revision {
  readonly revision: number;
  readonly changes: readonly Change[];
}

interface Lease {
  readonly key: string;
  readonly ttlMs: number;
  expiry: Timer;
  readonly onEnd: () => void;
}

/**
 * The data of a shared store in memory, with revisions, leases and compaction as etcd has them. Each registry opens a
 * handle of its own. Deterministic: only its calls and the Time port cause events. Followers are called in the order
 * in which they subscribed, after the write is acknowledged.
 */
export class ClusterMemory {
  readonly #time: Time;
  readonly #items = new Map<string, Item>();
  readonly #log: Revision[] = [];
  readonly #followers = new Set<Follower>();
  readonly #leases = new Map<string, Lease>();
  #revision = 1;
  #compacted = 0;

  constructor(time: Time) {
    this.#time = time;
  }

  /** The current revision; 1: nothing was ever written. */
  get revision(): number {
    return this.#revision;
  }

  /** A handle with its own memberships and followers. */
  open(): MemoryHandle {
    return new MemoryHandle(this, this.#time);
  }

  /**
   * Discards the changes up to `revision`, inclusive: following from an earlier one ends with `lost`. Running followers
   * continue.
   */
  compact(revision: number): void {
    this.#compacted = Math.max(this.#compacted, Math.min(revision, this.#revision));
    while ((this.#log[0]?.revision ?? Infinity) <= this.#compacted) this.#log.shift();
  }

  /** Ends the lease of this key, as an operator or a fault of the store does. */
  revoke(key: string): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    this.#apply([], [key]);
    lease.onEnd();
  }

  list(): { readonly revision: number; readonly items: readonly Item[] } {
    const items = [...this.#items.values()].toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
    return { revision: this.#revision, items };
  }

  write(writes: readonly GuardedWrite[]): WriteAnswer {
    const hold = writes.map(({ guards }) => guards.every((guard) => this.#holds(guard)));
    const accepted = writes.filter((_, at) => hold[at]);
    this.#apply(
      accepted.flatMap(({ puts }) => puts),
      accepted.flatMap(({ deletes }) => deletes),
    );
    const outcomes = writes.map(({ read }, at): WriteOutcome => {
      if (hold[at] === true) return { taken: true };
      return { taken: false, found: read === undefined ? null : (this.#items.get(read) ?? null) };
    });
    return { revision: this.#revision, outcomes };
  }

  /**
   * Writes the key with a lease; returns the revision that created it. `onEnd` is called when the store ends the lease.
   */
  grant(item: { readonly key: string; readonly value: string }, ttlMs: number, onEnd: () => void): number {
    if (this.#items.has(item.key)) {
      const before = this.#leases.get(item.key);
      this.#apply([], [item.key]);
      before?.onEnd();
    }
    this.#apply([item], []);
    this.#leases.set(item.key, { key: item.key, ttlMs, onEnd, expiry: this.#expiry(item.key, ttlMs) });
    return this.#revision;
  }

  /** Keeps the lease of a key that was created at this revision; false: it is over. */
  renew(key: string, createdAt: number): boolean {
    const lease = this.#leases.get(key);
    if (lease === undefined || this.#items.get(key)?.createdAt !== createdAt) return false;
    lease.expiry.cancel();
    lease.expiry = this.#expiry(key, lease.ttlMs);
    return true;
  }

  /** Replaces the value of a key with a lease; false: that life is over. */
  replace(item: { readonly key: string; readonly value: string }, createdAt: number): boolean {
    if (this.#items.get(item.key)?.createdAt !== createdAt) return false;
    this.#apply([item], [], true);
    return true;
  }

  follow(after: number, sink: FollowSink): Following {
    const follower = new Follower(this, this.#time, { after, sink });
    this.#followers.add(follower);
    follower.wake();
    return {
      stop: () => {
        this.#followers.delete(follower);
        follower.stop();
      },
    };
  }

  /**
   * The first revision after this one that changed something; null: there is none yet; `compacted`: it is forgotten.
   */
  next(after: number): Revision | null | 'compacted' {
    if (after < this.#compacted) return 'compacted';
    return this.#log.find(({ revision }) => revision > after) ?? null;
  }

  #holds(guard: Guard): boolean {
    const item = this.#items.get(guard.key);
    if ('revision' in guard) return (item?.revision ?? 0) === guard.revision;
    return (item?.createdAt ?? 0) === guard.createdAt;
  }

  #apply(puts: GuardedWrite['puts'], deletes: readonly string[], keepsLease = false): void {
    const gone = deletes.filter((key) => this.#items.has(key));
    if (puts.length === 0 && gone.length === 0) return;
    this.#revision += 1;
    const changes: Change[] = [];
    for (const { key, value } of puts) {
      const item = {
        key,
        value,
        revision: this.#revision,
        createdAt: this.#items.get(key)?.createdAt ?? this.#revision,
      };
      this.#items.set(key, item);
      changes.push({ put: item });
      // as in etcd, a plain put takes the key off its lease
      if (!keepsLease) this.#dropLease(key);
    }
    for (const key of gone) {
      this.#items.delete(key);
      changes.push({ deleted: key });
      this.#dropLease(key);
    }
    this.#log.push({ revision: this.#revision, changes });
    for (const follower of this.#followers) follower.wake();
  }

  #dropLease(key: string): void {
    this.#leases.get(key)?.expiry.cancel();
    this.#leases.delete(key);
  }

  #expiry(key: string, ttlMs: number): Timer {
    return this.#time.setTimer(ttlMs, () => this.revoke(key), { background: true });
  }
}

/** Delivers revisions to one sink, each in a turn of its own. */
class Follower {
  readonly #memory: ClusterMemory;
  readonly #time: Time;
  readonly #sink: FollowSink;
  #delivered: number;
  #isOver = false;
  #isAwake = false;
  #timer: Timer;

  constructor(
    memory: ClusterMemory,
    time: Time,
    { after, sink }: { readonly after: number; readonly sink: FollowSink },
  ) {
    this.#memory = memory;
    this.#time = time;
    this.#sink = sink;
    this.#delivered = after;
    this.#timer = this.#scheduleAlive();
  }

  wake(): void {
    if (this.#isAwake || this.#isOver) return;
    this.#isAwake = true;
    void Promise.resolve().then(() => this.#deliver());
  }

  stop(): void {
    this.#isOver = true;
    this.#timer.cancel();
  }

  #deliver(): void {
    this.#isAwake = false;
    while (!this.#isOver) {
      const next = this.#memory.next(this.#delivered);
      if (next === null) return;
      if (next === 'compacted') {
        this.stop();
        return this.#sink.lost();
      }
      this.#delivered = next.revision;
      this.#sink.changes(next.revision, next.changes);
    }
  }

  #scheduleAlive(): Timer {
    const run = (): void => {
      this.#timer = this.#scheduleAlive();
      this.#sink.alive(this.#memory.revision);
    };
    return this.#time.setTimer(ALIVE_EVERY_MS, run, { background: true });
  }
}

/** One registry's connection to a `ClusterMemory`. */
export class MemoryHandle implements ClusterStore {
  readonly name = 'memory';
  readonly #memory: ClusterMemory;
  readonly #time: Time;
  readonly #open = new Set<{ stop(): void }>();
  #isClosed = false;

  constructor(memory: ClusterMemory, time: Time) {
    this.#memory = memory;
    this.#time = time;
  }

  async list(): ReturnType<ClusterStore['list']> {
    this.#check();
    return this.#memory.list();
  }

  async write(writes: readonly GuardedWrite[]): Promise<WriteAnswer> {
    this.#check();
    checkWrites(writes);
    return this.#memory.write(writes);
  }

  follow(after: number, sink: FollowSink): Following {
    this.#check();
    const following = this.#memory.follow(after, sink);
    this.#open.add(following);
    return following;
  }

  async join(key: string, value: string, ttlMs: number): Promise<Membership> {
    this.#check();
    checkTtl(ttlMs);
    const membership = new MemoryMembership(this.#memory, this.#time, { key, value, ttlMs });
    this.#open.add(membership);
    return membership;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const one of this.#open) one.stop();
    this.#open.clear();
  }

  #check(): void {
    if (this.#isClosed) throw closed();
  }
}

class MemoryMembership implements Membership {
  readonly createdAt: number;
  readonly ended: Promise<MembershipEnd>;
  readonly #memory: ClusterMemory;
  readonly #key: string;
  #end: (end: MembershipEnd) => void = () => {};
  #isOver = false;
  #timer: Timer | null = null;

  constructor(
    memory: ClusterMemory,
    time: Time,
    { key, value, ttlMs }: { readonly key: string; readonly value: string; readonly ttlMs: number },
  ) {
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#memory = memory;
    this.#key = key;
    this.createdAt = memory.grant({ key, value }, ttlMs, () => this.#finish('lost'));
    const keep = (): void => {
      if (this.#isOver) return;
      if (memory.renew(key, this.createdAt)) this.#timer = time.setTimer(ttlMs / 3, keep, { background: true });
      else this.#finish('lost');
    };
    keep();
  }

  async update(value: string): Promise<void> {
    if (this.#isOver || !this.#memory.replace({ key: this.#key, value }, this.createdAt)) throw overOf(this.#key);
  }

  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#finish('left');
    this.#memory.write([{ guards: [{ key: this.#key, createdAt: this.createdAt }], puts: [], deletes: [this.#key] }]);
  }

  /** No further signs of life, as if the process had died. */
  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #finish(end: MembershipEnd): void {
    this.stop();
    this.#end(end);
  }
}

/** The error of a membership that is over. */
export const overOf = (key: string) => refused(`The membership of ${key} is over: its lease has ended. Join again.`);
