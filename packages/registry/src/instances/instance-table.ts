import { addressOf, isSubstitute } from '@rollcall/core';
import type { Endpoint, Instance, Override, OwnWords, Vitals } from '@rollcall/core';
import type { StoredInstance, StoredTombstone } from '../store/store.js';
import type { Credential } from './credential.js';
import { Tally } from './quotas.js';

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
  /** As it is published: its own words, and before them the operator's. */
  record: Instance;
  /** What it says itself of what an operator may override. */
  own: OwnWords;
  override: Override | null;
  vitals: Vitals;
  credential: Credential;
  /** The record's endpoints with their hosts resolved: what is called. */
  targets: readonly Endpoint[];
  /** From where it was first registered, as quotas count it. */
  readonly source: string;
  /** The id of the access token with which it registered last; null: with none. Changed by `Roster.entrust` alone, which counts. */
  token: string | null;
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
  /** Where the log of heartbeats keeps its last ones; null: it has none yet. */
  beatSlot: number | null;
  /** When its next Heartbeat-2 may come past those who wait. */
  beatDueAt: number;
}

/** What a store keeps of an entry. */
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

/** Those that came with this token, and from this source, where it is given. */
export type Party = Partial<Pick<Entry, 'source' | 'token'>>;

const isOf = ({ source, token }: Party, entry: Entry): boolean =>
  (source === undefined || entry.source === source) && (token === undefined || entry.token === token);

/** `token` null: with any, or none. */
const hostKey = (host: string, token: string | null): string => (token === null ? host : `${host} ${token}`);

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
export class InstanceTable {
  readonly #entries = new Map<string, Entry>();
  readonly #services = new Map<string, ServiceEntry>();
  /** In the order of their burial, with its monotonic time. */
  readonly #tombstones = new Map<string, { readonly tombstone: StoredTombstone; readonly buriedAt: number }>();
  readonly #addresses = new Map<string, Set<Entry>>();
  readonly #hosts = new Tally();
  readonly #sources = new Tally();
  readonly #tokens = new Tally();
  readonly #onForgotten: (id: string) => void;
  /** By id; null: to be sorted again. */
  #sorted: readonly Entry[] | null = null;

  /** `onForgotten`: the last trace of an id is gone. */
  constructor(onForgotten: (id: string) => void = () => {}) {
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many came from a source. */
  sizeOf(source: string): number {
    return this.#sources.of(source);
  }

  /** How many registered last with the token of this id. */
  heldBy(token: string): number {
    return this.#tokens.of(token);
  }

  /** A member registered with another token. */
  entrust(entry: Entry, token: string | null): void {
    this.#countToken(entry, -1);
    this.#countHosts(entry, -1);
    entry.token = token;
    this.#countToken(entry, 1);
    this.#countHosts(entry, 1);
  }

  /** How many of a party hold an address, but for `id`. */
  countAt(address: string, id: string, party: Party): number {
    let count = 0;
    for (const holder of this.#addresses.get(address) ?? []) {
      if (holder.id !== id && isOf(party, holder)) count += 1;
    }
    return count;
  }

  /** How many endpoints a host has that came with this token (null: of all), but for those of `id`. */
  countOn(host: string, id: string, token: string | null): number {
    const entry = this.get(id);
    const isCounted = entry !== undefined && (token === null || entry.token === token);
    const own = isCounted ? entry.targets.filter((target) => target.host === host) : [];
    return this.#hosts.of(hostKey(host, token)) - own.length;
  }

  /** How many tombstones are kept. */
  get tombstoneCount(): number {
    return this.#tombstones.size;
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  all(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  /** All of them by id, in the order of code points. */
  sorted(): readonly Entry[] {
    // ids are ASCII: the order of their UTF-16 units is that of their code points
    this.#sorted ??= [...this.#entries.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    return this.#sorted;
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
    this.#sources.add(entry.source, 1);
    this.#countToken(entry, 1);
    const service = this.#serviceOf(entry);
    service.members.set(entry.id, entry);
    this.#sorted = null;
    this.#count(service, entry, 1);
    this.#unbury(entry.id);
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
    this.#sources.add(entry.source, -1);
    this.#countToken(entry, -1);
    this.#sorted = null;
    entry.present = false;
    this.remember(tombstone, now);
  }

  /** Keeps a tombstone; `now` is monotonic, so that a jump of the wall clock drops none. */
  remember(tombstone: StoredTombstone, now: number): void {
    this.#tombstones.delete(tombstone.id);
    this.#tombstones.set(tombstone.id, { tombstone, buriedAt: now });
    this.#serviceOf(tombstone).tombstones.set(tombstone.id, tombstone);
  }

  /** What is left of an operator's words: the others are over, and do not come back with who registers again. Null: all of them are. */
  reword(id: string, override: Override | null): void {
    const known = this.#tombstones.get(id);
    if (known === undefined) return;
    const { override: _, ...rest } = known.tombstone;
    const tombstone = override === null ? rest : { ...rest, override };
    this.#tombstones.set(id, { ...known, tombstone });
    this.#serviceOf(tombstone).tombstones.set(id, tombstone);
  }

  /** Drops a tombstone, and the service with its last trace. */
  forget(id: string): void {
    if (this.#unbury(id)) this.#onForgotten(id);
  }

  /** False: there is no such tombstone. */
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

  /** Is another instance of its service HEALTHY; can another one stand in for it (`isSubstitute`)? */
  others(entry: Entry): { readonly healthy: boolean; readonly callable: boolean } {
    const service = this.#services.get(entry.serviceKey);
    const self = isSubstitute(entry.record);
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
