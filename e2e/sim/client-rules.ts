import type { Cursor, Instance } from '@rollcall/core';
import type { RuleContext, Ledger, Verdict } from './ledger.js';
import type { Scene } from './scene.js';
import type { Tenant } from './tenant.js';
import type { Truth } from './truth.js';
import type { Process } from './world.js';

/** What a client was last seen to know of one service. */
interface Memory {
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
const FOUND_OUT_MS = 15_000;
const LET_IN_MS = 60_000;
/** A stream that broke silently is noticed by its silence, then opened again. */
const SILENT_STREAM_MS = 25_000 + 4_000 + 3_000;

/** What every process that watches must hold: S4, S6, S8, S9, L1. */
export class ClientRules {
  readonly #scene: Scene;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  readonly #memories = new Map<Tenant, Map<string, Memory>>();
  /** Since when the registry declares that an instance takes no new calls, by id. */
  readonly #closedAt = new Map<string, number>();
  readonly #cursors = new Map<Tenant, Cursor & { readonly streams: number }>();

  constructor(of: RuleContext) {
    this.#scene = of.scene;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  judge(): void {
    for (const tenant of this.#scene.tenants.values()) {
      if (!tenant.process.isRunning) continue;
      this.#judgeCursor(tenant);
      for (const service of tenant.place.watches) this.#judgeService(tenant, service);
      this.#judgeCalm(tenant);
    }
  }

  /** S8: a repeatable call does not fail while nothing changes and the client knows an instance that works. */
  failed(tenant: Tenant, service: string, call: { readonly since: number; readonly error: string }): void {
    const { changedAt } = this.#scene;
    if (call.since - Math.max(changedAt, tenant.bornAt) < FOUND_OUT_MS) return;
    const good = this.#memoryOf(tenant, service).instances.find(
      ({ id, state, admin }) => state === 'HEALTHY' && admin === 'ENABLED' && !this.#truth.isUnreachable(tenant, id),
    );
    if (good === undefined) return;
    this.#report('S8', tenant, `failed to call ${service} (${call.error}), though ${good.id} works`);
  }

  /** An operator's setting was acknowledged. */
  adminChanged(id: string, isClosed: boolean): void {
    if (!isClosed) this.#closedAt.delete(id);
    else if (!this.#closedAt.has(id)) this.#closedAt.set(id, this.#scene.world.now);
  }

  /** The registry declares that an instance takes no new calls, or takes them again. */
  see({ after }: Verdict): void {
    this.adminChanged(after.id, isClosed(after));
  }

  /** S9: an instance that leaves or is to get no calls gets no new one from a client that knows or should know that. */
  executed(by: string, sentAt: number, from: Process): void {
    const closedAt = this.#closedAt.get(by) ?? Infinity;
    for (const [tenant, memories] of this.#memories) {
      if (tenant.process !== from) continue;
      const toldBy = Math.max(closedAt + PROPAGATION_MS, this.#truth.watchesSince(tenant) + SILENT_STREAM_MS);
      if (sentAt > toldBy && this.#ledger.listed.has(by))
        this.#report('S9', tenant, `calls ${by}, which is to get no calls since ${Math.round(closedAt)}`);
      for (const [service, { leaving }] of memories) {
        const { instances } = tenant.service(service);
        const since = leaving.get(by);
        if (since === undefined || sentAt <= since) continue;
        const isStill = instances.some((instance) => instance.id === by && isClosed(instance));
        if (isStill) this.#report('S9', tenant, `calls ${by}, which it knows to take no calls`);
      }
    }
  }

  /** S4: a stream only goes forward. (A new stream may lag behind the one it replaces; records do not, see below.) */
  #judgeCursor(tenant: Tenant): void {
    const { cursor, streams } = tenant;
    if (cursor === null) return;
    const known = this.#cursors.get(tenant);
    const isSame = known?.streams === streams && known.epoch === cursor.epoch;
    if (isSame && known.revision > cursor.revision) {
      this.#report('S4', tenant, `went from revision ${known.revision} back to ${cursor.revision}`);
    }
    this.#cursors.set(tenant, { ...cursor, streams });
  }

  #judgeService(tenant: Tenant, service: string): void {
    const memory = this.#memoryOf(tenant, service);
    const { instances } = tenant.service(service);
    if (instances !== memory.instances) {
      this.#judgeAbsence(tenant, memory.instances, instances);
      this.#judgeRevisions(tenant, memory, instances);
      this.#noteLeaving(memory, instances);
      memory.instances = instances;
    }
    this.#judgeSameness(tenant, service, instances);
    this.#judgeCallable(tenant, service, memory);
  }

  #noteLeaving({ leaving }: Memory, instances: readonly Instance[]): void {
    const now = instances.filter(isClosed).map(({ id }) => id);
    for (const id of now) if (!leaving.has(id)) leaving.set(id, this.#scene.world.now);
    for (const id of leaving.keys()) if (!now.includes(id)) leaving.delete(id);
  }

  /** S6: an instance that disappears was removed, or is of an earlier epoch and does not answer this client either. */
  #judgeAbsence(tenant: Tenant, before: readonly Instance[], after: readonly Instance[]): void {
    const ids = new Set(after.map(({ id }) => id));
    for (const { id } of before) {
      if (ids.has(id) || this.#ledger.tombstones.has(id) || this.#mayDoubt(tenant, id)) continue;
      this.#report('S6', tenant, `forgot ${id}, which has no tombstone`);
    }
  }

  /**
   * Whether this client may have found out by itself that the instance is gone or that another process answers at its
   * address.
   */
  #mayDoubt(tenant: Tenant, id: string): boolean {
    if (this.#ledger.listed.has(id)) return false;
    return this.#scene.world.now - this.#truth.doubtedAt(tenant, id) < LET_IN_MS;
  }

  /** S4: a record only grows newer within an epoch. */
  #judgeRevisions(tenant: Tenant, memory: Memory, instances: readonly Instance[]): void {
    for (const { id, revision } of instances) {
      const epoch = tenant.epochs.get(id) ?? '';
      const known = memory.revisions.get(id);
      if (known !== undefined && known.epoch === epoch && known.revision > revision) {
        this.#report('S4', tenant, `knew revision ${known.revision} of ${id} and now has ${revision}`);
      }
      memory.revisions.set(id, { epoch, revision });
    }
  }

  /** S4, S5: a client that has received everything up to a revision has every record and every removal up to it. */
  #judgeSameness(tenant: Tenant, service: string, instances: readonly Instance[]): void {
    const view = this.#ledger.view(service);
    const { cursor } = tenant;
    if (view === null || cursor === null || cursor.epoch !== view.epoch || !tenant.streamed.includes(service)) return;
    const known = new Map(instances.map((instance) => [instance.id, instance]));
    for (const { id, revision, state } of view.instances) {
      const mine = known.get(id);
      if (revision > cursor.revision || (mine?.revision === revision && mine.state === state)) continue;
      const what = mine === undefined ? 'does not know' : `has ${mine.state} ${mine.revision} for`;
      this.#report('S4', tenant, `${what} ${id}, which is ${state} ${revision}`);
    }
    for (const { id, revision, reason } of view.removed) {
      if (revision > cursor.revision || !known.has(id)) continue;
      this.#report('S4', tenant, `still lists ${id}, which was removed (${reason.code})`);
    }
  }

  /** S8: while an instance that the client knew works, it has an instance to call. */
  #judgeCallable(tenant: Tenant, service: string, memory: Memory): void {
    const callable = tenant.callable(service);
    if (callable.length > 0) {
      memory.hasEverBeenCallable = true;
      memory.emptySince = null;
      return;
    }
    if (!memory.hasEverBeenCallable || !this.#truth.canWatch(tenant) || !this.#couldServe(service)) {
      memory.emptySince = null;
      return;
    }
    memory.emptySince ??= this.#scene.world.now;
    if (this.#scene.world.now - memory.emptySince < SILENT_STREAM_MS) return;
    memory.emptySince = Infinity;
    this.#report('S8', tenant, `has no instance of ${service} to call, though one shows life`);
  }

  /**
   * Whether an instance is alive whose heartbeats or answers have reached the registry for long enough that it must be
   * listed.
   */
  #couldServe(service: string): boolean {
    const truth = this.#truth;
    const { listed, endedIds } = this.#ledger;
    for (const [id, tenant] of this.#scene.known) {
      if (tenant.place.service !== service || endedIds.has(id) || tenant.leavesAt < Infinity) continue;
      if (listed.get(id)?.admin !== 'ENABLED') continue;
      const { inbound, outbound } = truth.of(tenant);
      if (truth.hasWorked(inbound, 17_000) || truth.hasWorked(outbound, 17_000)) return true;
    }
    return false;
  }

  /** L1: everything has been well for long enough that every client knows it. */
  #judgeCalm(tenant: Tenant): void {
    const { now } = this.#scene.world;
    const calmMs = now - Math.max(this.#truth.calmSince, tenant.bornAt);
    const isQuiet = now - this.#ledger.publishedAt > PROPAGATION_MS;
    if (calmMs < SILENT_STREAM_MS || !isQuiet) return;
    for (const service of tenant.place.watches) {
      const known = new Map(tenant.service(service).instances.map((instance) => [instance.id, instance]));
      for (const { id, revision } of this.#ledger.view(service)?.instances ?? []) {
        const isNew = this.#ledger.listed.get(id)?.revision !== revision;
        if (known.get(id)?.revision === revision || isNew) continue;
        this.#report('L1', tenant, `does not know revision ${revision} of ${id} though all has been well`);
      }
    }
  }

  #memoryOf(tenant: Tenant, service: string): Memory {
    const ofTenant = this.#memories.get(tenant) ?? new Map<string, Memory>();
    this.#memories.set(tenant, ofTenant);
    const known = ofTenant.get(service);
    if (known !== undefined) return known;
    const made: Memory = {
      instances: [],
      revisions: new Map(),
      leaving: new Map(),
      hasEverBeenCallable: false,
      emptySince: null,
    };
    ofTenant.set(service, made);
    return made;
  }

  #report(name: string, { process }: Tenant, text: string): void {
    this.#ledger.report(name, `${process.name} ${text}`);
  }
}

const isClosed = ({ state, admin }: Instance): boolean => state === 'DEREGISTERING' || admin !== 'ENABLED';
