import { newborn, randomWord, reasonFor, stateOf } from '@rollcall/core';
import type { Endpoint, Instance, Log, Random, Registration, Time, Vitals } from '@rollcall/core';
import type { Addresses } from './address.js';
import { Admission } from './admission.js';
import type { Admitted, AdmissionRules } from './admission.js';
import { credentialOf, isSecretOf } from './credential.js';
import type { Outcome, Peer } from './face.js';
import type { Judge } from './judge.js';
import type { Ledger } from './ledger.js';
import type { Limits } from './limits.js';
import { refuse } from './refusal.js';
import type { Roll } from './roll.js';
import { serviceKeyOf, storedOf } from './roster.js';
import type { Entry, Roster } from './roster.js';
import type { StoredInstance } from './store/store.js';

export interface RegistrationPorts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly ledger: Pick<Ledger, 'acknowledge'>;
  readonly roster: Roster;
  readonly judge: Judge;
  readonly roll: Roll;
  readonly addresses: Addresses;
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
  readonly #admission: Admission;

  constructor(ports: RegistrationPorts) {
    this.#ports = ports;
    this.#admission = new Admission(ports.rules);
  }

  /** Puts an instance on the roll, or replaces its own words; nothing is acknowledged that is not stored. */
  async register(registration: Registration, peer: Peer): Promise<Outcome<Enrolled>> {
    const { judge, roll, roster, addresses } = this.#ports;
    const admitted = await this.#admission.admit(registration, peer.address);
    if (!admitted.ok) return admitted;
    const drawn = registration.secret === undefined ? randomWord(this.#ports.random, 43) : undefined;
    const secret = registration.secret ?? drawn ?? '';
    const refusal = this.#refusalOf(registration, secret);
    if (refusal !== null) return refusal;
    const known = roster.get(registration.id);
    const entry = known ?? this.#newEntry(registration, admitted.value, secret);
    if (known === undefined) {
      const refused = await this.#acknowledge(entry);
      if (refused !== null) return refused;
      roster.add(entry);
      judge.enter(entry);
      roll.add(entry, { spread: false });
      addresses.question(entry);
    } else {
      const refused = await this.#reRegister(entry, registration, admitted.value);
      if (refused !== null) return refused;
      // it left while its words were being stored
      if (!isStaying(entry)) return this.register(registration, peer);
    }
    return { ok: true, value: { entry, drawn } };
  }

  /** Nothing is acknowledged that is not stored. */
  async #acknowledge(entry: Entry): Promise<Outcome<never> | null> {
    try {
      await this.#ports.ledger.acknowledge({ put: storedOf(entry) });
      return null;
    } catch (error) {
      this.#ports.log.error(`The store refused the registration of ${entry.id}: ${String(error)}`);
      return refuse('NOT_READY', 'The registry cannot store a registration now, so it accepts none.');
    }
  }

  /** Why this id may not register now; null when it may. */
  #refusalOf(registration: Registration, secret: string): Outcome<never> | null {
    const { id, service, namespace = 'default' } = registration;
    const entry = this.#ports.roster.get(id);
    const tombstone = this.#ports.roster.tombstone(id);
    const owner = entry?.credential ?? tombstone;
    if (owner !== undefined && !isSecretOf(owner, secret)) {
      return refuse('ID_HELD', `The id ${id} is, or was, held by another secret.`);
    }
    if (tombstone?.ended === true)
      return refuse('ENDED', `${id} was ended (${tombstone.reason.code}) and never comes back.`);
    if (entry === undefined) {
      if (this.#ports.roster.size < this.#ports.limits.maxInstances) return null;
      return refuse('TOO_MANY', `This registry holds ${this.#ports.roster.size} instances, its limit.`);
    }
    if (entry.vitals.phase === 'LEAVING') return refuse('LEAVING', `${id} is leaving.`);
    if (entry.record.service === service && entry.record.namespace === namespace) return null;
    return refuse('ID_HELD', `The id ${id} is registered as ${entry.serviceKey}.`);
  }

  #newEntry(registration: Registration, admitted: Admitted, secret: string): Entry {
    const { time } = this.#ports;
    const { id, service, namespace = 'default' } = registration;
    const vitals = newborn(time.now());
    const record: Instance = {
      id,
      service,
      namespace,
      ...ownWords(registration),
      endpoints: admitted.endpoints,
      state: 'REGISTERING',
      reason: vitals.reason,
      since: time.wall(),
      next: null,
      admin: 'ENABLED',
      source: 'native',
      registeredAt: time.wall(),
      revision: 0,
    };
    return entryOf(record, vitals, admitted.targets, credentialOf(secret));
  }

  /** The same id and secret again: its words are replaced, its state is kept unless its endpoints change. */
  async #reRegister(
    entry: Entry,
    registration: Registration,
    { targets, endpoints }: Admitted,
  ): Promise<Outcome<never> | null> {
    const moved = JSON.stringify(entry.targets) !== JSON.stringify(targets);
    const words = { ...ownWords(registration), endpoints };
    const spoken =
      JSON.stringify(words) !== JSON.stringify({ ...ownWords(entry.record), endpoints: entry.record.endpoints });
    if (moved || spoken) {
      const refused = await this.#acknowledge(spokenAnew(entry, words, moved ? targets : null));
      if (refused !== null || !isStaying(entry)) return refused;
    }
    if (moved) {
      this.#ports.roster.update(entry, { targets });
      entry.rounds = []; // what the old address answered proves nothing of the new one
    }
    if (spoken) this.#ports.judge.amend(entry, words);
    this.#ports.judge.apply(entry, { type: 'register', moved });
    this.#ports.roll.callNow(entry);
    if (moved) this.#ports.addresses.question(entry);
    return null;
  }

  /** After a restart: its state is kept, its clocks start now, it is called in its slot. */
  restore(stored: StoredInstance, leaveMs: number): void {
    const { judge, roll, roster, time } = this.#ports;
    const { record, targets, cause, proved, secretHash, callKey } = stored;
    const { reason, state } = record;
    const phase = state === 'DEREGISTERING' && reason.code === 'LEAVING' ? 'LEAVING' : state;
    const shared = reason.code === 'ADDRESS_SHARED';
    const vitals: Vitals = { ...newborn(time.now()), phase, reason, cause, proved, shared, leaveMs };
    const entry = entryOf(record, vitals, targets, { secretHash, callKey });
    roster.add(entry);
    judge.enter(entry);
    roll.add(entry, { spread: true });
  }
}

const isStaying = ({ present, vitals }: Entry): boolean => present && vitals.phase !== 'LEAVING';

type OwnWords = Pick<Registration, 'version' | 'zone' | 'weight' | 'metadata'>;

/** What an instance says of itself, with the defaults. */
function ownWords(registration: OwnWords): Pick<Instance, 'version' | 'zone' | 'weight' | 'metadata'> {
  const { version = '', zone = '', weight = 100, metadata = {} } = registration;
  return { version, zone, weight, metadata };
}

/** An entry as it will be stored with other words; at another address (`targets`) it is not proved, whatever it was before. */
function spokenAnew(entry: Entry, words: Partial<Instance>, targets: readonly Endpoint[] | null): Entry {
  const record = { ...entry.record, ...words };
  if (targets === null) return { ...entry, record };
  const vitals = { ...entry.vitals, cause: null, proved: false };
  return { ...entry, targets, vitals, record: { ...record, state: 'REGISTERING', reason: reasonFor('MOVED') } };
}

function entryOf(
  record: Instance,
  vitals: Entry['vitals'],
  targets: readonly Endpoint[],
  credential: Entry['credential'],
): Entry {
  return {
    id: record.id,
    serviceKey: serviceKeyOf(record.namespace, record.service),
    record: { ...record, state: stateOf(vitals) },
    vitals,
    credential,
    targets,
    present: true,
    rounds: [],
    seq: -1,
    line: null,
    lineClosedAt: null,
    heartbeat1: { lastAt: null, roundTripMs: null, misses: 0, error: null },
    heartbeat2: { lastAt: null, roundTripMs: null, misses: 0, error: null },
  };
}
