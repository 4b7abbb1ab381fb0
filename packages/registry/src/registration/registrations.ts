import { newborn, notHeardSince, randomWord, reasonFor, stateOf } from '@rollcall/core';
import type { Endpoint, Instance, Log, Random, Registration, Time, Vitals } from '@rollcall/core';
import { LimitRefusals, refuse } from '../access/refusals.js';
import type { CommitLog } from '../commit/commit-log.js';
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
import type { AddressConflicts } from './address-conflicts.js';
import { AddressQuota } from './address-quota.js';
import { Admission } from './admission.js';
import type { Admitted, AdmissionRules } from './admission.js';
import { effectiveSettings, restoredSettings } from './overrides.js';

export interface RegistrationPorts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly commits: Pick<CommitLog, 'acknowledge'>;
  readonly table: InstanceTable;
  readonly engine: LifecycleEngine;
  readonly prober: Prober;
  readonly addresses: AddressConflicts;
  readonly rules: AdmissionRules;
  readonly limits: Limits;
}

/** A registered instance; `secret`: its secret, if the registry generated it. */
export interface Enrolled {
  readonly entry: Entry;
  readonly secret: string | undefined;
}

/** Handles registrations: checks id, address and limits, and stores before it acknowledges. */
export class Registrations {
  readonly #ports: RegistrationPorts;
  readonly #refusals: LimitRefusals;
  readonly #admission: Admission;
  readonly #quota: Quota;
  readonly #addressQuota: AddressQuota;

  constructor(ports: RegistrationPorts) {
    this.#ports = ports;
    this.#refusals = new LimitRefusals(ports);
    this.#admission = new Admission(ports.rules, { time: ports.time, refusals: this.#refusals });
    this.#quota = new Quota(ports.limits, ports.table);
    this.#addressQuota = new AddressQuota(ports.table);
  }

  /** Registers an instance, or updates its details; nothing is acknowledged before it is stored. */
  async register(registration: Registration, peer: Peer): Promise<Outcome<Enrolled>> {
    const { random, table, time } = this.#ports;
    const rateExcess = this.#quota.rateExcess(peer.token ?? null, time.now());
    if (rateExcess !== null) return this.#refusals.refuse(rateExcess);
    const generatedSecret = registration.secret === undefined ? randomWord(random, 43) : undefined;
    const secret = registration.secret ?? generatedSecret ?? '';
    const refusal = this.#refusalOf(registration, secret);
    if (refusal !== null) return refusal;
    const known = table.get(registration.id);
    const enrolled =
      known === undefined
        ? await this.#enrol(registration, secret, peer)
        : await this.#reRegister(known, registration, peer);
    if (!enrolled.ok) return enrolled;
    // it left during the registration
    if (known !== undefined && !isStaying(known)) return this.register(registration, peer);
    return { ok: true, value: { entry: enrolled.value, secret: generatedSecret } };
  }

  /**
   * Registers a new instance. Its place is reserved before anything is resolved or stored, so that concurrent
   * registrations keep the limits.
   */
  async #enrol(registration: Registration, secret: string, peer: Peer): Promise<Outcome<Entry>> {
    const { table, time } = this.#ports;
    const { id, service, namespace = 'default' } = registration;
    const { address, token = null } = peer;
    const source = sourceOf(address);
    const isNew = table.tombstone(id) === undefined;
    const serviceKey = serviceKeyOf(namespace, service);
    const place = this.#quota.reserve({ source, serviceKey, token, isNew }, time.now());
    if (!place.ok) return this.#refusals.refuse(place.problem);
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
    addresses.check(entry);
    return { ok: true, value: entry };
  }

  /** Checks the addresses at which it is to be called. The places are reserved until `free` is called. */
  async #admit(registration: Registration, peer: Peer): Promise<Outcome<Admitted & { readonly free: () => void }>> {
    const admitted = await this.#admission.admit(registration, peer.address);
    if (!admitted.ok) return admitted;
    const { address: from, token = null } = peer;
    const joined = this.#addressQuota.join({ id: registration.id, targets: admitted.value.targets, from, token });
    if (!joined.ok) return this.#refusals.refuse(joined.problem);
    return { ok: true, value: { ...admitted.value, free: joined.value } };
  }

  /** Stores the entry. Returns a refusal if that fails. */
  async #acknowledge(entry: Entry): Promise<Outcome<never> | null> {
    try {
      await this.#ports.commits.acknowledge(storedOf(entry));
      return null;
    } catch (error) {
      this.#ports.log.error(`The store refused the registration of ${entry.id}: ${String(error)}`);
      return refuse('NOT_READY', 'The registry cannot store a registration now, so it accepts none.');
    }
  }

  /** The refusal if this id may not register now; null: it may. */
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

  #newEntry(registration: Registration, admitted: Admitted, origin: Origin): Entry {
    const { time, table } = this.#ports;
    const { id, service, namespace = 'default' } = registration;
    const own = ownSettings(registration);
    const override = table.tombstone(id)?.override ?? null;
    const vitals = newborn(time.now());
    const record: Instance = {
      id,
      service,
      namespace,
      ...own,
      ...effectiveSettings(own, override),
      endpoints: admitted.endpoints,
      state: 'REGISTERING',
      reason: vitals.reason,
      since: time.wall(),
      next: null,
      source: 'native',
      registeredAt: time.wall(),
      revision: 0,
    };
    const { secret, source, token } = origin;
    const known = { targets: admitted.targets, credential: credentialOf(secret), source, token };
    return { ...entryOf(record, vitals, known), own: overridable(own), override };
  }

  /** Handles the same id and secret again: its details are replaced, its state is kept unless its endpoints change. */
  async #reRegister(entry: Entry, registration: Registration, peer: Peer): Promise<Outcome<Entry>> {
    const admitted = await this.#admit(registration, peer);
    if (!admitted.ok) return admitted;
    const { token = null } = peer;
    return await this.#updateDetails(entry, registration, { ...admitted.value, token }).finally(admitted.value.free);
  }

  async #updateDetails(
    entry: Entry,
    registration: Registration,
    { targets, endpoints, token }: Admitted & { readonly token: string | null },
  ): Promise<Outcome<Entry>> {
    if (!isStaying(entry)) return { ok: true, value: entry };
    const tokenExcess = token === entry.token ? null : this.#quota.tokenExcess(token);
    if (tokenExcess !== null) return this.#refusals.refuse(tokenExcess);
    const moved = JSON.stringify(entry.targets) !== JSON.stringify(targets);
    const details = { ...ownSettings(registration, entry.record), endpoints };
    const current = ownSettings({ ...entry.record, ...entry.own }, entry.record);
    const hasNewDetails = JSON.stringify(details) !== JSON.stringify({ ...current, endpoints: entry.record.endpoints });
    // the token may differ, which the details do not show
    const { token: tokenBefore } = entry;
    const isSame = !moved && !hasNewDetails && tokenBefore === token;
    this.#ports.table.setToken(entry, token);
    // repeated until nothing changes during the write: a state stored meanwhile would restore the old details
    let stored = isSame ? entry.record : null;
    while (stored !== entry.record) {
      stored = entry.record;
      const refused = await this.#acknowledge(withNewDetails(entry, details, moved ? targets : null));
      if (refused !== null) {
        // an instance that left meanwhile is not counted any more
        if (entry.present) this.#ports.table.setToken(entry, tokenBefore);
        return refused;
      }
      if (!isStaying(entry)) return { ok: true, value: entry };
    }
    if (moved) {
      this.#ports.table.update(entry, { targets });
      entry.rounds = []; // answers of the old address prove nothing about the new one
    }
    if (hasNewDetails) {
      entry.own = overridable(details);
      this.#ports.engine.amend(entry, { ...details, ...effectiveSettings(details, entry.override) });
    }
    this.#ports.engine.apply(entry, { type: 'register', moved });
    this.#ports.prober.callNow(entry);
    if (moved) this.#ports.addresses.check(entry);
    return { ok: true, value: entry };
  }

  /** Restores an instance after a restart: its state is kept, its clocks start now, and it is called in its slot. */
  restore(stored: StoredInstance, leaveMs: number): void {
    const { engine, prober, table, time } = this.#ports;
    const { record, targets, cause, proved, secretHash, callKey } = stored;
    // versions without sources stored only the addresses that are called
    const { source = sourceOf(targets[0]?.host ?? ''), token = null } = stored;
    const { reason, state } = record;
    const phase = state === 'DEREGISTERING' && reason.code === 'LEAVING' ? 'LEAVING' : state;
    const shared = reason.code === 'ADDRESS_SHARED';
    const now = time.now();
    const unheard = notHeardSince(now);
    const vitals: Vitals = { ...newborn(now), phase, reason, cause, proved, shared, leaveMs, unheard };
    const entry = {
      ...entryOf(record, vitals, { targets, credential: { secretHash, callKey }, source, token }),
      ...restoredSettings(stored),
    };
    table.add(entry);
    engine.enter(entry);
    prober.add(entry, { spread: true });
  }
}

/** The origin of a new instance. */
interface Origin {
  readonly secret: string;
  readonly source: string;
  readonly token: string | null;
}

const isStaying = ({ present, vitals }: Entry): boolean => present && vitals.phase !== 'LEAVING';

type OwnSettings = Pick<Registration, 'version' | 'zone' | 'weight' | 'metadata' | 'methods'>;

/**
 * The details of a registration, with defaults. Without methods the field is absent, unless it existed before
 * (`before`): then it is empty, to replace the former value.
 */
function ownSettings(
  registration: OwnSettings,
  before: Pick<Instance, 'methods'> = {},
): Pick<Instance, 'version' | 'zone' | 'weight' | 'metadata' | 'methods'> {
  const { version = '', zone = '', weight = 100, metadata = {}, methods = {} } = registration;
  const hasNoMethods = Object.keys(methods).length === 0 && before.methods === undefined;
  return { version, zone, weight, metadata, ...(hasNoMethods ? {} : { methods }) };
}

const overridable = ({ weight, metadata }: Entry['own']): Entry['own'] => ({ weight, metadata });

/** The entry as it will be stored with new details; at another address (`targets`) it is unproved again. */
function withNewDetails(
  entry: Entry,
  details: Entry['own'] & Partial<Instance>,
  targets: readonly Endpoint[] | null,
): Entry {
  const own = overridable(details);
  const record = { ...entry.record, ...details, ...effectiveSettings(own, entry.override) };
  if (targets === null) return { ...entry, own, record };
  const vitals = { ...entry.vitals, cause: null, proved: false };
  return { ...entry, own, targets, vitals, record: { ...record, state: 'REGISTERING', reason: reasonFor('MOVED') } };
}

type EntryParts = Pick<Entry, 'targets' | 'credential' | 'source' | 'token'>;

function entryOf(details: Instance, vitals: Vitals, known: EntryParts): Entry {
  const record = { ...details, state: stateOf(vitals) };
  return {
    id: record.id,
    serviceKey: serviceKeyOf(record.namespace, record.service),
    record,
    published: record,
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
