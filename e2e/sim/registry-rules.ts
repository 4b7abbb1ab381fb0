import type { Instance, Tombstone } from '@rollcall/core';
import type { Checker, Verdict } from './checker.js';
import { byService } from './permits.js';
import type { Request } from './registry-node.js';
import type { Tenant } from './tenant.js';
import type { Town } from './town.js';

const KEPT_MS = 600_000;
/** Of a judgement every 500 ms and a sweep every 250. */
const SLACK_MS = 1_000;

/** What the registry itself must hold: S1, S2, S3, S6, S7, L1, L2, L3. */
export class RegistryRules {
  readonly #town: Town;
  readonly #checker: Checker;
  /** Whose secret was accepted last for an id, and when. */
  readonly #owners = new Map<string, { readonly secret: string; readonly at: number }>();
  /** Who was there at the last judgement, and who was removed since. */
  #present = new Map<string, Instance>();
  readonly #removed = new Set<string>();
  /** Since when nobody of a service is callable though one shows life. */
  readonly #deserted = new Map<string, number>();
  #hasFullView = false;

  constructor(town: Town, checker: Checker) {
    this.#town = town;
    this.#checker = checker;
  }

  restarted(): void {
    this.#owners.clear();
    this.#present = new Map();
    this.#deserted.clear();
    this.#hasFullView = false;
  }

  saw(request: Request, { ok }: { readonly ok: boolean }): void {
    if (!ok) return;
    if (request.route === 'register') this.#owns(request.registration.id, request.registration.secret ?? '');
    else if ('proof' in request) this.#owns(request.proof.id, request.proof.secret);
  }

  /** Does this life of the registry know whose it is? A secret that was lost with the memory protects nothing. */
  isOwned(id: string): boolean {
    return this.#owners.has(id);
  }

  see({ before, after }: Verdict): void {
    const tenant = this.#town.known.get(after.id);
    if (tenant === undefined) return this.#checker.report('S3', `${after.id} is listed, and nobody has that id`);
    const becomesHealthy = after.state === 'HEALTHY' && before?.state !== 'HEALTHY';
    if (becomesHealthy && !(tenant.wasCalled && tenant.hasBeaten)) {
      const missing = tenant.wasCalled ? 'sent no Heartbeat-2' : 'answered no Heartbeat-1';
      this.#checker.report('S2', `${after.id} is HEALTHY and ${missing}`);
    }
    const isProof = after.state === 'CRITICAL' && after.reason.code === 'PROOF_OF_DEATH' && before?.state !== 'CRITICAL';
    const line = this.#town.registry.lines.get(after.id);
    if (isProof && line?.isOver === false) {
      this.#checker.report('S8', `${after.id} is taken for dead while it holds its line`);
    }
  }

  removed({ id, reason }: Tombstone): void {
    this.#removed.add(id);
    const tenant = this.#town.known.get(id);
    if (tenant === undefined || !DEATHS.has(reason.code)) return;
    const { inbound, outbound } = this.#town.truth.of(tenant);
    const { intervalMs, timeoutMs } = this.#town.registry.policy;
    const ms = 3 * intervalMs + timeoutMs;
    const isHeard = this.#town.truth.hasWorked(outbound, ms) || this.#town.truth.hasWorked(inbound, ms);
    if (isHeard && this.#listensFor(ms)) {
      this.#checker.report('S7', `${id} was removed (${reason.code}) though a direction works`);
    }
  }

  judge(): void {
    const { registry } = this.#town.registry;
    if (registry === null || !this.#town.registry.isListening) return;
    const present = new Map<string, Instance>();
    for (const service of this.#services()) {
      const answer = registry.service('default', service);
      if (!answer.ok) continue;
      for (const instance of answer.value.instances) present.set(instance.id, instance);
      for (const { id } of answer.value.removed) this.#removed.add(id);
    }
    this.#judgeAbsence(present);
    for (const instance of present.values()) {
      const tenant = this.#town.known.get(instance.id);
      if (tenant !== undefined) this.#judgeOne(instance, tenant);
    }
    this.#judgeServices(present);
    this.#judgeCalm(present);
    this.#judgeView(present);
  }

  /** S6: who was there and is not was removed. */
  #judgeAbsence(present: Map<string, Instance>): void {
    for (const id of this.#present.keys()) {
      if (!present.has(id) && !this.#removed.has(id)) {
        this.#checker.report('S6', `${id} is gone from the registry without a tombstone`);
      }
    }
    this.#removed.clear();
    this.#present = present;
  }

  #judgeOne(instance: Instance, tenant: Tenant): void {
    const { inbound, outbound } = this.#town.truth.of(tenant);
    const { now } = this.#town.world;
    const { intervalMs } = this.#town.registry.policy;
    const since = Math.min(this.#town.truth.deadSince(inbound), this.#town.truth.deadSince(outbound));
    const isClean = inbound.works !== 'unsure' && outbound.works !== 'unsure' && this.#town.changedAt <= since;
    // 2.5 intervals, and up to 4 where packets under way were late
    const mostMs = (isClean ? 2.5 : 4) * intervalMs + SLACK_MS;
    if (instance.state === 'HEALTHY' && now - since > mostMs) {
      const dead = this.#town.truth.deadSince(inbound) === since ? 'Heartbeat-1' : 'Heartbeat-2';
      this.#checker.report('S1', `${instance.id} is HEALTHY ${Math.round(now - since)} ms after ${dead} died`);
    }
    this.#judgeDeath(instance, tenant);
  }

  /** L2: who is silent both ways leaves the callable ones, unless somebody has a reason to hold it. */
  #judgeDeath(instance: Instance, tenant: Tenant): void {
    const { truth, world } = this.#town;
    const { inbound, outbound } = truth.of(tenant);
    const deadMs = world.now - Math.max(truth.deadSince(inbound), truth.deadSince(outbound));
    if (deadMs < 45_000 + SLACK_MS || !isCallable(instance) || this.#checker.mayHold(instance)) return;
    this.#checker.report(
      'L2',
      `${instance.id} is ${instance.state} (${instance.reason.code}) ${Math.round(deadMs)} ms after it fell silent`,
    );
  }

  /** S7, S8: one direction alone never takes out the last callable instance of a service. */
  #judgeServices(present: Map<string, Instance>): void {
    for (const [service, instances] of byService(present.values())) {
      const showsLife = instances.some(({ id, admin, reason }) => {
        const tenant = this.#town.known.get(id);
        if (tenant === undefined || admin !== 'ENABLED' || reason.code === 'LEAVING') return false;
        const { inbound, outbound } = this.#town.truth.of(tenant);
        const ms = 3 * this.#town.registry.policy.intervalMs + this.#town.registry.policy.timeoutMs;
        return this.#town.truth.hasWorked(inbound, ms) || this.#town.truth.hasWorked(outbound, ms);
      });
      if (!showsLife || instances.some(isCallable)) {
        this.#deserted.delete(service);
        continue;
      }
      const since = this.#deserted.get(service) ?? this.#town.world.now;
      this.#deserted.set(service, since);
      if (this.#town.world.now - since < 2_000) continue;
      this.#checker.report('S7', `nobody of ${service} is callable, though one shows life`);
    }
  }

  /** L1: everything has been well for 2 intervals and the jitter, so everybody is HEALTHY. */
  #judgeCalm(present: Map<string, Instance>): void {
    const calmMs = this.#town.world.now - this.#town.truth.calmSince;
    if (calmMs < 12_000 + SLACK_MS) return;
    for (const [id, tenant] of this.#town.known) {
      if (!this.#shouldBeThere(id, tenant, 12_000 + SLACK_MS)) continue;
      const instance = present.get(id);
      if (instance?.state === 'HEALTHY') continue;
      const state = instance === undefined ? 'not listed' : `${instance.state} (${instance.reason.code})`;
      this.#checker.report('L1', `${id} is ${state} ${Math.round(calmMs)} ms after everything was healed`);
    }
  }

  /** L3: one interval after its start the registry knows everybody who was registered before. */
  #judgeView(present: Map<string, Instance>): void {
    const { intervalMs } = this.#town.registry.policy;
    if (this.#hasFullView || !this.#listensFor(intervalMs + SLACK_MS)) return;
    this.#hasFullView = true;
    for (const [id, tenant] of this.#town.known) {
      const { outbound } = this.#town.truth.of(tenant);
      const couldBeat = tenant.hasBeaten && this.#town.truth.hasWorked(outbound, intervalMs + SLACK_MS + 3_000);
      if (!couldBeat || !this.#shouldBeThere(id, tenant, 0) || present.has(id)) continue;
      this.#checker.report('L3', `${id} is not listed an interval after the registry's start`);
    }
  }

  #shouldBeThere(id: string, tenant: Tenant, ms: number): boolean {
    const { now } = this.#town.world;
    const { inbound, outbound } = this.#town.truth.of(tenant);
    const wasRefused = now - (this.#checker.refusedAt.get(id) ?? -Infinity) < 36_000 + 12_000;
    const works = outbound.works === 'yes' && now - outbound.since >= ms && (ms === 0 || inbound.works === 'yes');
    const isWanted = tenant.process.isRunning && tenant.leavesAt === Infinity && tenant.place.isWorker !== true;
    return isWanted && works && !wasRefused && !this.#checker.endedIds.has(id) && now - tenant.bornAt >= ms;
  }

  #owns(id: string, secret: string): void {
    const { now } = this.#town.world;
    const owner = this.#owners.get(id);
    if (owner !== undefined && owner.secret !== secret && now - owner.at < KEPT_MS) {
      this.#checker.report('S3', `the registry obeys two who call themselves ${id}`);
    }
    this.#owners.set(id, { secret, at: now });
  }

  #listensFor(ms: number): boolean {
    return this.#town.world.now - this.#town.registry.listeningSince >= ms;
  }

  #services(): string[] {
    return [...new Set([...this.#town.places.map(({ service }) => service), 'usurper'])].filter((name) => name !== null);
  }
}

const DEATHS = new Set(['SILENT', 'PROOF_OF_DEATH', 'UNPROVED', 'INBOUND_SILENT', 'INBOUND_REFUSED', 'OUTBOUND_SILENT']);

const isCallable = ({ state, admin }: Instance): boolean =>
  admin === 'ENABLED' && state !== 'CRITICAL' && state !== 'DEREGISTERING';
