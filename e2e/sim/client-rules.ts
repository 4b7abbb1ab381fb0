import type { Cursor, Instance } from '@rollcall/core';
import type { RuleContext, Ledger, RecordChange } from './ledger.js';
import type { SimulationView } from './simulation-view.js';
import type { ClientProcess } from './client-process.js';
import type { Truth } from './truth.js';
import type { Process } from './world.js';

/** What a client was last seen to know of one service. */
interface KnownService {
  instances: readonly Instance[];
  readonly revisions: Map<string, { readonly epoch: string; readonly revision: number }>;
  /** Instances that are DEREGISTERING or out of service, and since when the client knows that. */
  readonly leaving: Map<string, number>;
  hasEverBeenCallable: boolean;
  /** Since when no instance is callable, though one could be. */
  emptySince: number | null;
}

/** A change has reached every client after this, if nothing is wrong. */
const PROPAGATION_MS = 2_000;
/** After this, failing calls have revealed a missing instance, and one that was ejected and is back is admitted again. */
const DETECTION_MS = 15_000;
const READMISSION_MS = 60_000;
/** A stream that broke silently is noticed by its silence, then opened again. */
const SILENT_STREAM_MS = 25_000 + 4_000 + 3_000;

/** What every process that watches must hold: S4, S6, S8, S9, L1. */
export class ClientRules {
  readonly #simulation: SimulationView;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  readonly #knownServices = new Map<ClientProcess, Map<string, KnownService>>();
  /** Since when the registry declares that an instance takes no new calls, by id. */
  readonly #closedAt = new Map<string, number>();
  readonly #cursors = new Map<ClientProcess, Cursor & { readonly streams: number }>();

  constructor(of: RuleContext) {
    this.#simulation = of.simulation;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  judge(): void {
    for (const client of this.#simulation.clients.values()) {
      if (!client.process.isRunning) continue;
      this.#judgeCursor(client);
      for (const service of client.place.watches) this.#judgeService(client, service);
      this.#judgeCalm(client);
    }
  }

  /** S8: a repeatable call does not fail while nothing changes and the client knows an instance that works. */
  failed(client: ClientProcess, service: string, call: { readonly since: number; readonly error: string }): void {
    const { changedAt } = this.#simulation;
    if (call.since - Math.max(changedAt, client.startedAt) < DETECTION_MS) return;
    const working = this.#knownServiceOf(client, service).instances.find(
      ({ id, state, admin }) => state === 'HEALTHY' && admin === 'ENABLED' && !this.#truth.isUnreachable(client, id),
    );
    if (working === undefined) return;
    this.#report('S8', client, `failed to call ${service} (${call.error}), though ${working.id} works`);
  }

  /** An operator's setting was acknowledged. */
  adminChanged(id: string, isClosed: boolean): void {
    if (!isClosed) this.#closedAt.delete(id);
    else if (!this.#closedAt.has(id)) this.#closedAt.set(id, this.#simulation.world.now);
  }

  /** The registry declares that an instance takes no new calls, or takes them again. */
  recordChange({ after }: RecordChange): void {
    this.adminChanged(after.id, isClosed(after));
  }

  /** S9: an instance that leaves or is to get no calls gets no new one from a client that knows or should know that. */
  executed(by: string, sentAt: number, from: Process): void {
    const closedAt = this.#closedAt.get(by) ?? Infinity;
    for (const [client, services] of this.#knownServices) {
      if (client.process !== from) continue;
      const notifiedAt = Math.max(closedAt + PROPAGATION_MS, this.#truth.watchesSince(client) + SILENT_STREAM_MS);
      if (sentAt > notifiedAt && this.#ledger.listed.has(by))
        this.#report('S9', client, `calls ${by}, which is to get no calls since ${Math.round(closedAt)}`);
      for (const [service, { leaving }] of services) {
        const { instances } = client.service(service);
        const since = leaving.get(by);
        if (since === undefined || sentAt <= since) continue;
        const isStill = instances.some((instance) => instance.id === by && isClosed(instance));
        if (isStill) this.#report('S9', client, `calls ${by}, which it knows to take no calls`);
      }
    }
  }

  /** S4: a stream only goes forward. (A new stream may lag behind the one it replaces; records do not, see below.) */
  #judgeCursor(client: ClientProcess): void {
    const { cursor, streams } = client;
    if (cursor === null) return;
    const known = this.#cursors.get(client);
    const isSame = known?.streams === streams && known.epoch === cursor.epoch;
    if (isSame && known.revision > cursor.revision) {
      this.#report('S4', client, `went from revision ${known.revision} back to ${cursor.revision}`);
    }
    this.#cursors.set(client, { ...cursor, streams });
  }

  #judgeService(client: ClientProcess, service: string): void {
    const known = this.#knownServiceOf(client, service);
    const { instances } = client.service(service);
    if (instances !== known.instances) {
      this.#judgeAbsence(client, known.instances, instances);
      this.#judgeRevisions(client, known, instances);
      this.#noteLeaving(known, instances);
      known.instances = instances;
    }
    this.#judgeCompleteness(client, service, instances);
    this.#judgeCallable(client, service, known);
  }

  #noteLeaving({ leaving }: KnownService, instances: readonly Instance[]): void {
    const now = instances.filter(isClosed).map(({ id }) => id);
    for (const id of now) if (!leaving.has(id)) leaving.set(id, this.#simulation.world.now);
    for (const id of leaving.keys()) if (!now.includes(id)) leaving.delete(id);
  }

  /** S6: an instance that disappears was removed, or is of an earlier epoch and does not answer this client either. */
  #judgeAbsence(client: ClientProcess, before: readonly Instance[], after: readonly Instance[]): void {
    const ids = new Set(after.map(({ id }) => id));
    for (const { id } of before) {
      if (ids.has(id) || this.#ledger.tombstones.has(id) || this.#mayDistrust(client, id)) continue;
      this.#report('S6', client, `forgot ${id}, which has no tombstone`);
    }
  }

  /**
   * Whether this client may have found out by itself that the instance is gone or that another process answers at its
   * address.
   */
  #mayDistrust(client: ClientProcess, id: string): boolean {
    if (this.#ledger.listed.has(id)) return false;
    return this.#simulation.world.now - this.#truth.doubtedAt(client, id) < READMISSION_MS;
  }

  /** S4: a record only grows newer within an epoch. */
  #judgeRevisions(client: ClientProcess, known: KnownService, instances: readonly Instance[]): void {
    for (const { id, revision } of instances) {
      const epoch = client.epochs.get(id) ?? '';
      const last = known.revisions.get(id);
      if (last !== undefined && last.epoch === epoch && last.revision > revision) {
        this.#report('S4', client, `knew revision ${last.revision} of ${id} and now has ${revision}`);
      }
      known.revisions.set(id, { epoch, revision });
    }
  }

  /** S4, S5: a client that has received everything up to a revision has every record and every removal up to it. */
  #judgeCompleteness(client: ClientProcess, service: string, instances: readonly Instance[]): void {
    const view = this.#ledger.view(service);
    const { cursor } = client;
    if (view === null || cursor === null || cursor.epoch !== view.epoch || !client.streamed.includes(service)) return;
    const known = new Map(instances.map((instance) => [instance.id, instance]));
    for (const { id, revision, state } of view.instances) {
      const record = known.get(id);
      if (revision > cursor.revision || (record?.revision === revision && record.state === state)) continue;
      const what = record === undefined ? 'does not know' : `has ${record.state} ${record.revision} for`;
      this.#report('S4', client, `${what} ${id}, which is ${state} ${revision}`);
    }
    for (const { id, revision, reason } of view.removed) {
      if (revision > cursor.revision || !known.has(id)) continue;
      this.#report('S4', client, `still lists ${id}, which was removed (${reason.code})`);
    }
  }

  /** S8: while an instance that the client knew works, it has an instance to call. */
  #judgeCallable(client: ClientProcess, service: string, known: KnownService): void {
    const callable = client.callable(service);
    if (callable.length > 0) {
      known.hasEverBeenCallable = true;
      known.emptySince = null;
      return;
    }
    if (!known.hasEverBeenCallable || !this.#truth.canWatch(client) || !this.#couldServe(service)) {
      known.emptySince = null;
      return;
    }
    known.emptySince ??= this.#simulation.world.now;
    if (this.#simulation.world.now - known.emptySince < SILENT_STREAM_MS) return;
    known.emptySince = Infinity;
    this.#report('S8', client, `has no instance of ${service} to call, though one shows life`);
  }

  /**
   * Whether an instance is alive whose heartbeats or answers have reached the registry for long enough that it must be
   * listed.
   */
  #couldServe(service: string): boolean {
    const truth = this.#truth;
    const { listed, endedIds } = this.#ledger;
    for (const [id, client] of this.#simulation.known) {
      if (client.place.service !== service || endedIds.has(id) || client.leavesAt < Infinity) continue;
      if (listed.get(id)?.admin !== 'ENABLED') continue;
      const { inbound, outbound } = truth.of(client);
      if (truth.hasWorked(inbound, 17_000) || truth.hasWorked(outbound, 17_000)) return true;
    }
    return false;
  }

  /** L1: everything has been well for long enough that every client knows it. */
  #judgeCalm(client: ClientProcess): void {
    const { now } = this.#simulation.world;
    const calmMs = now - Math.max(this.#truth.calmSince, client.startedAt);
    const isQuiet = now - this.#ledger.publishedAt > PROPAGATION_MS;
    if (calmMs < SILENT_STREAM_MS || !isQuiet) return;
    for (const service of client.place.watches) {
      const known = new Map(client.service(service).instances.map((instance) => [instance.id, instance]));
      for (const { id, revision } of this.#ledger.view(service)?.instances ?? []) {
        const isNew = this.#ledger.listed.get(id)?.revision !== revision;
        if (known.get(id)?.revision === revision || isNew) continue;
        this.#report('L1', client, `does not know revision ${revision} of ${id} though all has been well`);
      }
    }
  }

  #knownServiceOf(client: ClientProcess, service: string): KnownService {
    const ofClient = this.#knownServices.get(client) ?? new Map<string, KnownService>();
    this.#knownServices.set(client, ofClient);
    const known = ofClient.get(service);
    if (known !== undefined) return known;
    const made: KnownService = {
      instances: [],
      revisions: new Map(),
      leaving: new Map(),
      hasEverBeenCallable: false,
      emptySince: null,
    };
    ofClient.set(service, made);
    return made;
  }

  #report(name: string, { process }: ClientProcess, text: string): void {
    this.#ledger.report(name, `${process.name} ${text}`);
  }
}

const isClosed = ({ state, admin }: Instance): boolean => state === 'DEREGISTERING' || admin !== 'ENABLED';
