import { addressOf, isCallable } from '@rollcall/core';
import type { Endpoint, Instance, Vitals } from '@rollcall/core';
import type { Credential } from './credential.js';
import type { StoredInstance, StoredTombstone } from './store/store.js';

/** One round of Heartbeat-1: proved when it is answered on every endpoint and its nonce comes back in a Heartbeat-2. */
export interface Round {
  readonly nonce: string;
  answered: boolean;
  quoted: boolean;
}

/** What one direction of the heartbeats did last, for people. */
export interface DirectionLog {
  /** Monotonic ms, null before the first. */
  lastAt: number | null;
  roundTripMs: number | null;
  misses: number;
  error: string | null;
}

/** One registered instance: its published record, what the lifecycle knows, and the bookkeeping of its heartbeats. */
export interface Entry {
  readonly id: string;
  readonly serviceKey: string;
  record: Instance;
  vitals: Vitals;
  credential: Credential;
  /** The record's endpoints with their hosts resolved: what is called. */
  targets: readonly Endpoint[];
  /** Still registered? False once removed: whoever awaited something about it must look. */
  present: boolean;
  /** The newest three rounds, oldest first. */
  rounds: Round[];
  /** The highest sequence number of an accepted Heartbeat-2. */
  seq: number;
  /** Its line, while it holds one; only the newest counts. */
  line: { ping(): void } | null;
  /** When the peer closed its line; null while it holds one, and after a later Heartbeat-2. */
  lineClosedAt: number | null;
  readonly heartbeat1: DirectionLog;
  readonly heartbeat2: DirectionLog;
}

/** What a store keeps of an entry. */
export const storedOf = ({ record, targets, vitals, credential }: Entry): StoredInstance => ({
  record,
  targets,
  ...credential,
  cause: vitals.cause,
  proved: vitals.proved,
});

export const serviceKeyOf = (namespace: string, service: string): string => `${namespace}/${service}`;

/** A service with its members and the tombstones of those that were. */
export interface ServiceEntry {
  readonly namespace: string;
  readonly service: string;
  readonly members: Map<string, Entry>;
  readonly tombstones: Map<string, StoredTombstone>;
  healthy: number;
  callable: number;
}

/** Everyone who is registered, and the tombstones of those who were; by id, by service, by address. */
export class Roster {
  readonly #entries = new Map<string, Entry>();
  readonly #services = new Map<string, ServiceEntry>();
  /** In the order of their burial, with its monotonic time. */
  readonly #tombstones = new Map<string, { readonly tombstone: StoredTombstone; readonly buriedAt: number }>();
  readonly #addresses = new Map<string, Set<Entry>>();

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  all(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  tombstone(id: string): StoredTombstone | undefined {
    return this.#tombstones.get(id)?.tombstone;
  }

  /** Those that were buried before `at`. */
  tombstonesBefore(at: number): StoredTombstone[] {
    const old: StoredTombstone[] = [];
    for (const { tombstone, buriedAt } of this.#tombstones.values()) {
      if (buriedAt >= at) break;
      old.push(tombstone);
    }
    return old;
  }

  /** Services that have members or tombstones. */
  allServices(): IterableIterator<Readonly<ServiceEntry>> {
    return this.#services.values();
  }

  service(key: string): Readonly<ServiceEntry> | undefined {
    return this.#services.get(key);
  }

  add(entry: Entry): void {
    this.#entries.set(entry.id, entry);
    const service = this.#serviceOf(entry);
    service.members.set(entry.id, entry);
    this.#count(service, entry, 1);
    this.forget(entry.id);
    this.#index(entry);
  }

  /** Replaces what may change of a member; counts and addresses follow. */
  update(entry: Entry, change: Partial<Pick<Entry, 'record' | 'vitals' | 'targets'>>): void {
    const service = this.#serviceOf(entry);
    this.#count(service, entry, -1);
    if (change.targets !== undefined) this.#unindex(entry);
    Object.assign(entry, change);
    if (change.targets !== undefined) this.#index(entry);
    this.#count(service, entry, 1);
  }

  bury(entry: Entry, tombstone: StoredTombstone, now: number): void {
    const service = this.#serviceOf(entry);
    this.#count(service, entry, -1);
    this.#unindex(entry);
    service.members.delete(entry.id);
    this.#entries.delete(entry.id);
    entry.present = false;
    this.remember(tombstone, now);
  }

  /** Keeps a tombstone; `now` is monotonic, so that a jump of the wall clock drops none. */
  remember(tombstone: StoredTombstone, now: number): void {
    this.#tombstones.delete(tombstone.id);
    this.#tombstones.set(tombstone.id, { tombstone, buriedAt: now });
    this.#serviceOf(tombstone).tombstones.set(tombstone.id, tombstone);
  }

  /** Drops a tombstone, and the service with its last trace. */
  forget(id: string): void {
    const tombstone = this.tombstone(id);
    if (tombstone === undefined) return;
    this.#tombstones.delete(id);
    const service = this.#serviceOf(tombstone);
    service.tombstones.delete(id);
    if (service.members.size === 0 && service.tombstones.size === 0) {
      this.#services.delete(serviceKeyOf(service.namespace, service.service));
    }
  }

  /** Is another instance of its service HEALTHY, is another one callable? */
  others(entry: Entry): { readonly healthy: boolean; readonly callable: boolean } {
    const service = this.#services.get(entry.serviceKey);
    const self = isCallable(entry.record);
    return {
      healthy: (service?.healthy ?? 0) > (self && entry.record.state === 'HEALTHY' ? 1 : 0),
      callable: (service?.callable ?? 0) > (self ? 1 : 0),
    };
  }

  /** Who else holds one of its addresses, and at which endpoint. */
  holders(entry: Entry): { readonly holder: Entry; readonly target: Endpoint }[] {
    const found: { holder: Entry; target: Endpoint }[] = [];
    for (const target of entry.targets) {
      for (const holder of this.#addresses.get(addressOf(target)) ?? []) {
        if (holder !== entry) found.push({ holder, target });
      }
    }
    return found;
  }

  #serviceOf(
    of: { readonly record: Instance } | { readonly namespace: string; readonly service: string },
  ): ServiceEntry {
    const { namespace, service } = 'record' in of ? of.record : of;
    const key = serviceKeyOf(namespace, service);
    const known = this.#services.get(key);
    if (known !== undefined) return known;
    const added = { namespace, service, members: new Map(), tombstones: new Map(), healthy: 0, callable: 0 };
    this.#services.set(key, added);
    return added;
  }

  #count(service: ServiceEntry, entry: Entry, by: 1 | -1): void {
    if (!isCallable(entry.record)) return;
    service.callable += by;
    if (entry.record.state === 'HEALTHY') service.healthy += by;
  }

  #index(entry: Entry): void {
    for (const target of entry.targets) {
      const address = addressOf(target);
      const holders = this.#addresses.get(address);
      if (holders === undefined) this.#addresses.set(address, new Set([entry]));
      else holders.add(entry);
    }
  }

  #unindex(entry: Entry): void {
    for (const target of entry.targets) {
      const address = addressOf(target);
      const holders = this.#addresses.get(address);
      holders?.delete(entry);
      if (holders?.size === 0) this.#addresses.delete(address);
    }
  }
}
