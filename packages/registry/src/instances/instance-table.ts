import { addressOf, isSubstitute } from '@rollcall/core';
import type { Endpoint, Instance, Override, OwnSettings, Vitals } from '@rollcall/core';
import type { StoredInstance, StoredTombstone } from '../store/store.js';
import type { Credential } from './credential.js';
import { Tally } from './quotas.js';

/** A round of Heartbeat-1: proved once every endpoint has answered and its nonce has come back in a Heartbeat-2. */
export interface Round {
  readonly nonce: string;
  answered: boolean;
  quoted: boolean;
}

/** The last results of one direction of the heartbeats, for display. */
export interface DirectionLog {
  /** Monotonic ms, null before the first. */
  lastAt: number | null;
  roundTripMs: number | null;
  misses: number;
  error: string | null;
}

/** A registered instance: its record, its lifecycle state, and the bookkeeping of its heartbeats. */
export interface Entry {
  readonly id: string;
  readonly serviceKey: string;
  /** The record as decided: the instance's own values, overridden by those of the operator. */
  record: Instance;
  /** The record as watchers and readers see it. Only the commit log replaces it. */
  published: Instance;
  /** Its own values of the fields that an operator may override. */
  own: OwnSettings;
  override: Override | null;
  vitals: Vitals;
  credential: Credential;
  /** The endpoints of the record with resolved hosts, which are called. */
  targets: readonly Endpoint[];
  /** The source of its first registration, as quotas count it. */
  readonly source: string;
  /**
   * The id of the access token of its last registration; null: none. Only `InstanceTable.setToken` changes it, which
   * keeps the counts.
   */
  token: string | null;
  /** False once it is removed: check it after every await. */
  present: boolean;
  /** The last three rounds, oldest first. */
  rounds: Round[];
  /** The highest sequence number of an accepted Heartbeat-2. */
  seq: number;
  /** Its line while it holds one; only the newest counts. */
  line: { ping(): void } | null;
  /** The time at which the peer closed its line; null while it holds one, and after a later Heartbeat-2. */
  lineClosedAt: number | null;
  readonly heartbeat1: DirectionLog;
  readonly heartbeat2: DirectionLog;
  /** Its slot in the log of heartbeats; null: none yet. */
  beatSlot: number | null;
  /** The time from which its next Heartbeat-2 may bypass the queue, monotonic ms. */
  beatDueAt: number;
}

/** The part of an entry that a store keeps. */
export const storedOf = ({
  record,
  own,
  override,
  targets,
  vitals,
  credential,
  source,
  token,
}: Entry): StoredInstance => ({
  record,
  ...(override === null ? {} : { own, override }),
  targets,
  ...credential,
  source,
  ...(token === null ? {} : { token }),
  cause: vitals.cause,
  proved: vitals.proved,
});

/** The instances of this token, and of this source if it is given. */
export type Party = Partial<Pick<Entry, 'source' | 'token'>>;

const isOf = ({ source, token }: Party, entry: Entry): boolean =>
  (source === undefined || entry.source === source) && (token === undefined || entry.token === token);

/** `token` null: with any token, or none. */
const hostKey = (host: string, token: string | null): string => (token === null ? host : `${host} ${token}`);

export const serviceKeyOf = (namespace: string, service: string): string => `${namespace}/${service}`;

/** A service with its members and the tombstones of former ones. */
export interface ServiceEntry {
  readonly namespace: string;
  readonly service: string;
  readonly members: Map<string, Entry>;
  readonly tombstones: Map<string, StoredTombstone>;
  healthy: number;
  callable: number;
}

/** All registered instances, and the tombstones of removed ones; by id, by service, by address. */
export class InstanceTable {
  readonly #entries = new Map<string, Entry>();
  readonly #services = new Map<string, ServiceEntry>();
  /** In the order of removal, with its monotonic time. */
  readonly #tombstones = new Map<string, { readonly tombstone: StoredTombstone; readonly buriedAt: number }>();
  readonly #addresses = new Map<string, Set<Entry>>();
  readonly #hosts = new Tally();
  readonly #sources = new Tally();
  readonly #tokens = new Tally();
  readonly #onForgotten: (id: string) => void;
  /** Sorted by id; null: to be sorted again. */
  #sorted: readonly Entry[] | null = null;

  /** `onForgotten` is called when the last trace of an id is gone. */
  constructor(onForgotten: (id: string) => void = () => {}) {
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The number of instances from a source. */
  sizeOf(source: string): number {
    return this.#sources.of(source);
  }

  /** The number of instances whose last registration had the token of this id. */
  countByToken(token: string): number {
    return this.#tokens.of(token);
  }

  /** Sets the token of a member that registered with another one. */
  setToken(entry: Entry, token: string | null): void {
    this.#countToken(entry, -1);
    this.#countHosts(entry, -1);
    entry.token = token;
    this.#countToken(entry, 1);
    this.#countHosts(entry, 1);
  }

  /** The number of instances of a party, without `id`, that hold an address. */
  countAt(address: string, id: string, party: Party): number {
    let count = 0;
    for (const holder of this.#addresses.get(address) ?? []) {
      if (holder.id !== id && isOf(party, holder)) count += 1;
    }
    return count;
  }

  /** The number of endpoints on a host that were registered with this token (null: any), without those of `id`. */
  countOn(host: string, id: string, token: string | null): number {
    const entry = this.get(id);
    const isCounted = entry !== undefined && (token === null || entry.token === token);
    const own = isCounted ? entry.targets.filter((target) => target.host === host) : [];
    return this.#hosts.of(hostKey(host, token)) - own.length;
  }

  /** The number of tombstones. */
  get tombstoneCount(): number {
    return this.#tombstones.size;
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  all(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  /** All instances by id, in code point order. */
  sorted(): readonly Entry[] {
    // ids are ASCII, so the order of UTF-16 units is that of code points
    this.#sorted ??= [...this.#entries.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    return this.#sorted;
  }

  tombstone(id: string): StoredTombstone | undefined {
    return this.#tombstones.get(id)?.tombstone;
  }

  /** The tombstones of instances removed before `at`. */
  tombstonesBefore(at: number): StoredTombstone[] {
    const old: StoredTombstone[] = [];
    for (const { tombstone, buriedAt } of this.#tombstones.values()) {
      if (buriedAt >= at) break;
      old.push(tombstone);
    }
    return old;
  }

  /** All services with members or tombstones. */
  allServices(): IterableIterator<Readonly<ServiceEntry>> {
    return this.#services.values();
  }

  service(key: string): Readonly<ServiceEntry> | undefined {
    return this.#services.get(key);
  }

  add(entry: Entry): void {
    this.#entries.set(entry.id, entry);
    this.#sources.add(entry.source, 1);
    this.#countToken(entry, 1);
    const service = this.#serviceOf(entry);
    service.members.set(entry.id, entry);
    this.#sorted = null;
    this.#count(service, entry, 1);
    this.#unbury(entry.id);
    this.#index(entry);
  }

  /** Replaces changeable parts of a member, and updates counts and addresses. */
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
    this.#sources.add(entry.source, -1);
    this.#countToken(entry, -1);
    this.#sorted = null;
    entry.present = false;
    this.remember(tombstone, now);
  }

  /** Stores a tombstone; `now` is monotonic, so that a jump of the wall clock drops none. */
  remember(tombstone: StoredTombstone, now: number): void {
    this.#tombstones.delete(tombstone.id);
    this.#tombstones.set(tombstone.id, { tombstone, buriedAt: now });
    this.#serviceOf(tombstone).tombstones.set(tombstone.id, tombstone);
  }

  /**
   * Replaces the override of a tombstone by what is still valid: expired parts do not return when the instance
   * registers again. Null: nothing is left.
   */
  replaceTombstoneOverride(id: string, override: Override | null): void {
    const known = this.#tombstones.get(id);
    if (known === undefined) return;
    const { override: _, ...rest } = known.tombstone;
    const tombstone = override === null ? rest : { ...rest, override };
    this.#tombstones.set(id, { ...known, tombstone });
    this.#serviceOf(tombstone).tombstones.set(id, tombstone);
  }

  /** Drops a tombstone, and its service with the last trace. */
  forget(id: string): void {
    if (this.#unbury(id)) this.#onForgotten(id);
  }

  /** Removes a tombstone; false if there is none. */
  #unbury(id: string): boolean {
    const tombstone = this.tombstone(id);
    if (tombstone === undefined) return false;
    this.#tombstones.delete(id);
    const service = this.#serviceOf(tombstone);
    service.tombstones.delete(id);
    if (service.members.size === 0 && service.tombstones.size === 0) {
      this.#services.delete(serviceKeyOf(service.namespace, service.service));
    }
    return true;
  }

  /**
   * `healthy`: another instance of its service is HEALTHY. `callable`: another one can stand in for it
   * (`isSubstitute`).
   */
  substitutes(entry: Entry): { readonly healthy: boolean; readonly callable: boolean } {
    const service = this.#services.get(entry.serviceKey);
    const self = isSubstitute(entry.record);
    return {
      healthy: (service?.healthy ?? 0) > (self && entry.record.state === 'HEALTHY' ? 1 : 0),
      callable: (service?.callable ?? 0) > (self ? 1 : 0),
    };
  }

  /** The other holders of its addresses, with the shared endpoint. */
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

  #countToken({ token }: Entry, by: 1 | -1): void {
    if (token !== null) this.#tokens.add(token, by);
  }

  #count(service: ServiceEntry, entry: Entry, by: 1 | -1): void {
    if (!isSubstitute(entry.record)) return;
    service.callable += by;
    if (entry.record.state === 'HEALTHY') service.healthy += by;
  }

  #countHosts({ targets, token }: Entry, by: 1 | -1): void {
    for (const { host } of targets) {
      this.#hosts.add(hostKey(host, null), by);
      if (token !== null) this.#hosts.add(hostKey(host, token), by);
    }
  }

  #index(entry: Entry): void {
    this.#countHosts(entry, 1);
    for (const target of entry.targets) {
      const address = addressOf(target);
      const holders = this.#addresses.get(address);
      if (holders === undefined) this.#addresses.set(address, new Set([entry]));
      else holders.add(entry);
    }
  }

  #unindex(entry: Entry): void {
    this.#countHosts(entry, -1);
    for (const target of entry.targets) {
      const address = addressOf(target);
      const holders = this.#addresses.get(address);
      holders?.delete(entry);
      if (holders?.size === 0) this.#addresses.delete(address);
    }
  }
}
