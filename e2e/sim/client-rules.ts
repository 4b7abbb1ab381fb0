import type { Instance } from '@rollcall/core';
import type { Checker } from './checker.js';
import type { Tenant } from './tenant.js';
import type { Town } from './town.js';

/** What a client was last seen to know of one service. */
interface Memory {
  instances: readonly Instance[];
  epoch: string | null;
  hasEverBeenCallable: boolean;
  /** Since when nobody is callable, though somebody could be. */
  emptySince: number | null;
}

/** Registry, stream and catalog are settled after this, if nothing is wrong. */
const PROPAGATION_MS = 2_000;
/** A stream that broke without a word is noticed by its silence, then opened anew. */
const SILENT_STREAM_MS = 25_000 + 4_000 + 3_000;

/** What every process that watches must hold: S4, S6, S8, L1. */
export class ClientRules {
  readonly #town: Town;
  readonly #checker: Checker;
  readonly #memories = new Map<Tenant, Map<string, Memory>>();
  readonly #cursors = new Map<Tenant, { readonly epoch: string; readonly revision: number }>();

  constructor(town: Town, checker: Checker) {
    this.#town = town;
    this.#checker = checker;
  }

  judge(): void {
    for (const tenant of this.#town.tenants.values()) {
      if (!tenant.process.isRunning) continue;
      this.#judgeCursor(tenant);
      for (const service of tenant.catalog.services) this.#judgeService(tenant, service);
      this.#judgeCalm(tenant);
    }
  }

  /** S4: within an epoch it only goes forward. */
  #judgeCursor(tenant: Tenant): void {
    const { cursor } = tenant;
    if (cursor === null) return;
    const known = this.#cursors.get(tenant);
    if (known?.epoch === cursor.epoch && known.revision > cursor.revision) {
      this.#report('S4', tenant, `went from revision ${known.revision} back to ${cursor.revision}`);
    }
    this.#cursors.set(tenant, cursor);
  }

  #judgeService(tenant: Tenant, service: string): void {
    const memory = this.#memoryOf(tenant, service);
    const { instances } = tenant.catalog.service(service);
    const epoch = tenant.cursor?.epoch ?? null;
    if (instances !== memory.instances) {
      this.#judgeAbsence(tenant, memory.instances, instances);
      if (epoch === memory.epoch) this.#judgeRevisions(tenant, memory.instances, instances);
      memory.instances = instances;
    }
    memory.epoch = epoch;
    this.#judgeSameness(tenant, service, instances);
    this.#judgeCallable(tenant, service, memory);
  }

  /** S6: who is gone was removed, or is of an earlier epoch and does not answer this client either. */
  #judgeAbsence(tenant: Tenant, before: readonly Instance[], after: readonly Instance[]): void {
    const ids = new Set(after.map(({ id }) => id));
    for (const { id } of before) {
      if (ids.has(id) || this.#checker.buried.has(id) || this.#town.truth.isUnreachable(tenant, id)) continue;
      this.#report('S6', tenant, `forgot ${id}, of which no tombstone tells`);
    }
  }

  /** S4: a record only grows newer within an epoch. */
  #judgeRevisions(tenant: Tenant, before: readonly Instance[], after: readonly Instance[]): void {
    const revisions = new Map(before.map(({ id, revision }) => [id, revision]));
    for (const { id, revision } of after) {
      const known = revisions.get(id) ?? 0;
      if (known > revision) this.#report('S4', tenant, `knew revision ${known} of ${id} and now has ${revision}`);
    }
  }

  /** S4, S5: who has heard everything up to now knows what the registry knows. */
  #judgeSameness(tenant: Tenant, service: string, instances: readonly Instance[]): void {
    const { registry } = this.#town.registry;
    if (registry === null || !this.#isUpToDate(tenant)) return;
    const answer = registry.service('default', service);
    const truth = answer.ok ? answer.value.instances : [];
    const known = new Map(instances.map((instance) => [instance.id, instance]));
    for (const instance of truth) {
      const mine = known.get(instance.id);
      known.delete(instance.id);
      if (mine?.revision === instance.revision && mine.state === instance.state) continue;
      const what = mine === undefined ? 'does not know' : `has ${mine.state} ${mine.revision} for`;
      this.#report('S4', tenant, `${what} ${instance.id}, which is ${instance.state} ${instance.revision}`);
    }
    for (const id of known.keys()) {
      if (this.#checker.listed.has(id) || !this.#checker.buried.has(id)) continue;
      this.#report('S4', tenant, `still lists ${id}, which was removed (${this.#checker.buried.get(id)?.reason.code})`);
    }
  }

  /** S8: as long as somebody whom it knew works, there is somebody to call. */
  #judgeCallable(tenant: Tenant, service: string, memory: Memory): void {
    const callable = tenant.callable(service);
    if (callable.length > 0) {
      memory.hasEverBeenCallable = true;
      memory.emptySince = null;
      return;
    }
    if (!memory.hasEverBeenCallable || !this.#couldServe(service)) {
      memory.emptySince = null;
      return;
    }
    memory.emptySince ??= this.#town.world.now;
    if (this.#town.world.now - memory.emptySince < SILENT_STREAM_MS) return;
    memory.emptySince = Infinity;
    this.#report('S8', tenant, `has nobody of ${service} to call, though one shows life`);
  }

  /** Is there somebody alive whose word, or whose answer, has reached the registry for so long that it must believe it? */
  #couldServe(service: string): boolean {
    const { known, truth, checker } = this.#town;
    for (const [id, tenant] of known) {
      if (tenant.place.service !== service || checker.endedIds.has(id) || tenant.leavesAt < Infinity) continue;
      if (checker.buried.has(id) && !checker.listed.has(id)) continue;
      const { inbound, outbound } = truth.of(tenant);
      if (truth.hasWorked(inbound, 17_000) || truth.hasWorked(outbound, 17_000)) return true;
    }
    return false;
  }

  /** L1: everything has been well for so long that every client knows it. */
  #judgeCalm(tenant: Tenant): void {
    const calmMs = this.#town.world.now - Math.max(this.#town.truth.calmSince, tenant.bornAt);
    if (calmMs < SILENT_STREAM_MS || this.#isUpToDate(tenant)) return;
    const { registry } = this.#town.registry;
    const revision = registry?.describe();
    const published = revision?.ok === true ? revision.value.revision : 0;
    const isQuiet = this.#town.world.now - this.#town.checker.publishedAt > PROPAGATION_MS;
    if (!isQuiet || tenant.place.watches.length === 0) return;
    this.#report('L1', tenant, `knows revision ${tenant.cursor?.revision} of ${published} after everything was healed`);
  }

  #isUpToDate({ cursor, stream }: Tenant): boolean {
    const described = this.#town.registry.registry?.describe();
    if (described?.ok !== true || stream === null || stream.isOver) return false;
    return cursor?.epoch === described.value.epoch && cursor.revision === described.value.revision;
  }

  #memoryOf(tenant: Tenant, service: string): Memory {
    const ofTenant = this.#memories.get(tenant) ?? new Map<string, Memory>();
    this.#memories.set(tenant, ofTenant);
    const known = ofTenant.get(service);
    if (known !== undefined) return known;
    const made: Memory = { instances: [], epoch: null, hasEverBeenCallable: false, emptySince: null };
    ofTenant.set(service, made);
    return made;
  }

  #report(name: string, { process }: Tenant, text: string): void {
    this.#checker.report(name, `${process.name} ${text}`);
  }
}
