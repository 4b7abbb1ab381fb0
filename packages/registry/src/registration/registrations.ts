import { newborn, notHeardSince, randomWord, reasonFor, stateOf } from '@rollcall/core';
import type { Endpoint, Instance, Log, Random, Registration, Time, Vitals } from '@rollcall/core';
import { Complaints, refuse } from '../access/refusals.js';
import { credentialOf, isSecretOf } from '../instances/credential.js';
import { serviceKeyOf, storedOf } from '../instances/instance-table.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import type { Limits } from '../instances/limits.js';
import { Quota, sourceOf } from '../instances/quotas.js';
import type { Place } from '../instances/quotas.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Prober } from '../probing/prober.js';
import type { Outcome, Peer } from '../registry-api.js';
import type { StoredInstance } from '../store/store.js';
import type { WriteBehind } from '../store/write-behind.js';
import type { AddressConflicts } from './address-conflicts.js';
import { AddressQuota } from './address-quota.js';
import { Admission } from './admission.js';
import type { Admitted, AdmissionRules } from './admission.js';
import { effective, restored } from './overrides.js';

export interface RegistrationPorts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly writeBehind: Pick<WriteBehind, 'acknowledge'>;
  readonly table: InstanceTable;
  readonly engine: LifecycleEngine;
  readonly prober: Prober;
  readonly addresses: AddressConflicts;
  readonly rules: AdmissionRules;
  readonly limits: Limits;
}

/** Who was put on the roll; `drawn`: the secret, where the registry had to draw it. */
export interface Enrolled {
  readonly entry: Entry;
  readonly drawn: string | undefined;
}

/** The way onto the roll: whose id, which address, what is stored before it is acknowledged. */
export class Registrations {
  readonly #ports: RegistrationPorts;
  readonly #complaints: Complaints;
  readonly #admission: Admission;
  readonly #quota: Quota;
  readonly #addressQuota: AddressQuota;

  constructor(ports: RegistrationPorts) {
    this.#ports = ports;
    this.#complaints = new Complaints(ports);
    this.#admission = new Admission(ports.rules, { time: ports.time, complaints: this.#complaints });
    this.#quota = new Quota(ports.limits, ports.table);
    this.#addressQuota = new AddressQuota(ports.table);
  }

  /** Puts an instance on the roll, or replaces its own words; nothing is acknowledged that is not stored. */
  async register(registration: Registration, peer: Peer): Promise<Outcome<Enrolled>> {
    const { random, table, time } = this.#ports;
    const hurried = this.#quota.hurried(peer.token ?? null, time.now());
    if (hurried !== null) return this.#complaints.refuse(hurried);
    const drawn = registration.secret === undefined ? randomWord(random, 43) : undefined;
    const secret = registration.secret ?? drawn ?? '';
    const refusal = this.#refusalOf(registration, secret);
    if (refusal !== null) return refusal;
    const known = table.get(registration.id);
    const enrolled =
      known === undefined
        ? await this.#enrol(registration, secret, peer)
        : await this.#reRegister(known, registration, peer);
    if (!enrolled.ok) return enrolled;
    // it left meanwhile
    if (known !== undefined && !isStaying(known)) return this.register(registration, peer);
    return { ok: true, value: { entry: enrolled.value, drawn } };
  }

  /** A newcomer. Its place is kept before anything is asked or stored for it, so that many at a time are no more than one by one. */
  async #enrol(registration: Registration, secret: string, peer: Peer): Promise<Outcome<Entry>> {
    const { table, time } = this.#ports;
    const { id, service, namespace = 'default' } = registration;
    const { address, token = null } = peer;
    const source = sourceOf(address);
    const isNew = table.tombstone(id) === undefined;
    const serviceKey = serviceKeyOf(namespace, service);
    const place = this.#quota.reserve({ source, serviceKey, token, isNew }, time.now());
    if (!place.ok) return this.#complaints.refuse(place.problem);
    try {
      const admitted = await this.#admit(registration, peer);
      if (!admitted.ok) return admitted;
      const entry = this.#newEntry(registration, admitted.value, { secret, source, token });
      return await this.#enter(entry, place.value).finally(admitted.value.free);
    } finally {
      place.value.free();
    }
  }

  async #enter(entry: Entry, place: Place): Promise<Outcome<Entry>> {
    const { addresses, engine, prober, table, time } = this.#ports;
    const refused = await this.#acknowledge(entry);
    if (refused !== null) {
      place.refund(time.now());
      return refused;
    }
    table.add(entry);
    engine.enter(entry);
    prober.add(entry, { spread: false });
    addresses.question(entry);
    return { ok: true, value: entry };
  }

  /** Where it wants to be called, if it may be called there. Its places are kept until `free` is called. */
  async #admit(registration: Registration, peer: Peer): Promise<Outcome<Admitted & { readonly free: () => void }>> {
    const admitted = await this.#admission.admit(registration, peer.address);
    if (!admitted.ok) return admitted;
    const { address: from, token = null } = peer;
    const joined = this.#addressQuota.join({ id: registration.id, targets: admitted.value.targets, from, token });
    if (!joined.ok) return this.#complaints.refuse(joined.problem);
    return { ok: true, value: { ...admitted.value, free: joined.value } };
  }

  /** Nothing is acknowledged that is not stored. */
  async #acknowledge(entry: Entry): Promise<Outcome<never> | null> {
    try {
      await this.#ports.writeBehind.acknowledge({ put: storedOf(entry) });
      return null;
    } catch (error) {
      this.#ports.log.error(`The store refused the registration of ${entry.id}: ${String(error)}`);
      return refuse('NOT_READY', 'The registry cannot store a registration now, so it accepts none.');
    }
  }

  /** Why this id may not register now; null when it may. */
  #refusalOf(registration: Registration, secret: string): Outcome<never> | null {
    const { id, service, namespace = 'default' } = registration;
    const entry = this.#ports.table.get(id);
    const tombstone = this.#ports.table.tombstone(id);
    const owner = entry?.credential ?? tombstone;
    if (owner !== undefined && !isSecretOf(owner, secret)) {
      return refuse('ID_HELD', `The id ${id} is, or was, held by another secret.`);
    }
    if (tombstone?.ended === true)
      return refuse('ENDED', `${id} was ended (${tombstone.reason.code}) and never comes back.`);
    if (entry === undefined) return null;
    if (entry.vitals.phase === 'LEAVING') return refuse('LEAVING', `${id} is leaving.`);
    if (entry.record.service === service && entry.record.namespace === namespace) return null;
    return refuse('ID_HELD', `The id ${id} is registered as ${entry.serviceKey}.`);
  }

  #newEntry(registration: Registration, admitted: Admitted, of: Origin): Entry {
    const { time, table } = this.#ports;
    const { id, service, namespace = 'default' } = registration;
    const own = ownWords(registration);
    const override = table.tombstone(id)?.override ?? null;
    const vitals = newborn(time.now());
    const record: Instance = {
      id,
      service,
      namespace,
      ...own,
      ...effective(own, override),
      endpoints: admitted.endpoints,
      state: 'REGISTERING',
      reason: vitals.reason,
      since: time.wall(),
      next: null,
      source: 'native',
      registeredAt: time.wall(),
      revision: 0,
    };
    const { secret, source, token } = of;
    const known = { targets: admitted.targets, credential: credentialOf(secret), source, token };
    return { ...entryOf(record, vitals, known), own: overridable(own), override };
  }

  /** The same id and secret again: its words are replaced, its state is kept unless its endpoints change. */
  async #reRegister(entry: Entry, registration: Registration, peer: Peer): Promise<Outcome<Entry>> {
    const admitted = await this.#admit(registration, peer);
    if (!admitted.ok) return admitted;
    const { token = null } = peer;
    return await this.#restate(entry, registration, { ...admitted.value, token }).finally(admitted.value.free);
  }

  async #restate(
    entry: Entry,
    registration: Registration,
    { targets, endpoints, token }: Admitted & { readonly token: string | null },
  ): Promise<Outcome<Entry>> {
    if (!isStaying(entry)) return { ok: true, value: entry };
    const crowded = token === entry.token ? null : this.#quota.crowded(token);
    if (crowded !== null) return this.#complaints.refuse(crowded);
    const moved = JSON.stringify(entry.targets) !== JSON.stringify(targets);
    const words = { ...ownWords(registration, entry.record), endpoints };
    const said = ownWords({ ...entry.record, ...entry.own }, entry.record);
    const spoken = JSON.stringify(words) !== JSON.stringify({ ...said, endpoints: entry.record.endpoints });
    // a token may have been exchanged, which its instance need not say again
    const { token: tokenBefore } = entry;
    const isSame = !moved && !spoken && tokenBefore === token;
    this.#ports.table.entrust(entry, token);
    // until nothing changes while it is being stored: another state that is stored meanwhile would bring the old words back
    let stored = isSame ? entry.record : null;
    while (stored !== entry.record) {
      stored = entry.record;
      const refused = await this.#acknowledge(spokenAnew(entry, words, moved ? targets : null));
      if (refused !== null) {
        // who has left meanwhile is counted nowhere any more
        if (entry.present) this.#ports.table.entrust(entry, tokenBefore);
        return refused;
      }
      if (!isStaying(entry)) return { ok: true, value: entry };
    }
    if (moved) {
      this.#ports.table.update(entry, { targets });
      entry.rounds = []; // what the old address answered proves nothing of the new one
    }
    if (spoken) {
      entry.own = overridable(words);
      this.#ports.engine.amend(entry, { ...words, ...effective(words, entry.override) });
    }
    this.#ports.engine.apply(entry, { type: 'register', moved });
    this.#ports.prober.callNow(entry);
    if (moved) this.#ports.addresses.question(entry);
    return { ok: true, value: entry };
  }

  /** After a restart: its state is kept, its clocks start now, it is called in its slot. */
  restore(stored: StoredInstance, leaveMs: number): void {
    const { engine, prober, table, time } = this.#ports;
    const { record, targets, cause, proved, secretHash, callKey } = stored;
    // who stored it before sources were counted knew only where it is called
    const { source = sourceOf(targets[0]?.host ?? ''), token = null } = stored;
    const { reason, state } = record;
    const phase = state === 'DEREGISTERING' && reason.code === 'LEAVING' ? 'LEAVING' : state;
    const shared = reason.code === 'ADDRESS_SHARED';
    const now = time.now();
    const unheard = notHeardSince(now);
    const vitals: Vitals = { ...newborn(now), phase, reason, cause, proved, shared, leaveMs, unheard };
    const entry = {
      ...entryOf(record, vitals, { targets, credential: { secretHash, callKey }, source, token }),
      ...restored(stored),
    };
    table.add(entry);
    engine.enter(entry);
    prober.add(entry, { spread: true });
  }
}

/** From where a newcomer came, and with what. */
interface Origin {
  readonly secret: string;
  readonly source: string;
  readonly token: string | null;
}

const isStaying = ({ present, vitals }: Entry): boolean => present && vitals.phase !== 'LEAVING';

type OwnWords = Pick<Registration, 'version' | 'zone' | 'weight' | 'metadata' | 'methods'>;

/**
 * What an instance says of itself, with the defaults. Who says nothing of its methods has no such field, unless it once had (`before`):
 * then it is empty, so that it replaces what was said.
 */
function ownWords(
  registration: OwnWords,
  before: Pick<Instance, 'methods'> = {},
): Pick<Instance, 'version' | 'zone' | 'weight' | 'metadata' | 'methods'> {
  const { version = '', zone = '', weight = 100, metadata = {}, methods = {} } = registration;
  const isSilent = Object.keys(methods).length === 0 && before.methods === undefined;
  return { version, zone, weight, metadata, ...(isSilent ? {} : { methods }) };
}

const overridable = ({ weight, metadata }: Entry['own']): Entry['own'] => ({ weight, metadata });

/** An entry as it will be stored with other words; at another address (`targets`) it is not proved, whatever it was before. */
function spokenAnew(entry: Entry, words: Entry['own'] & Partial<Instance>, targets: readonly Endpoint[] | null): Entry {
  const own = overridable(words);
  const record = { ...entry.record, ...words, ...effective(own, entry.override) };
  if (targets === null) return { ...entry, own, record };
  const vitals = { ...entry.vitals, cause: null, proved: false };
  return { ...entry, own, targets, vitals, record: { ...record, state: 'REGISTERING', reason: reasonFor('MOVED') } };
}

type Known = Pick<Entry, 'targets' | 'credential' | 'source' | 'token'>;

function entryOf(record: Instance, vitals: Vitals, known: Known): Entry {
  return {
    id: record.id,
    serviceKey: serviceKeyOf(record.namespace, record.service),
    record: { ...record, state: stateOf(vitals) },
    own: overridable(record),
    override: null,
    vitals,
    ...known,
    present: true,
    rounds: [],
    seq: -1,
    line: null,
    lineClosedAt: null,
    heartbeat1: { lastAt: null, roundTripMs: null, misses: 0, error: null },
    heartbeat2: { lastAt: null, roundTripMs: null, misses: 0, error: null },
    beatSlot: null,
    beatDueAt: 0,
  };
}
