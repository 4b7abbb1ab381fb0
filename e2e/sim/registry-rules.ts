import type { Instance, Tombstone } from '@rollcall/core';
import type { RuleContext, Ledger, Verdict } from './ledger.js';
import { byService } from './permits.js';
import type { Scene } from './scene.js';
import type { Tenant } from './tenant.js';
import type { Direction, Truth } from './truth.js';

const PROVED_WITHIN_MS = 200;
/** Many that are killed at once are a mass, and not a proof. */
const ALONE_MS = 30_000;
/** How long the doubt lasts: until the next probe of each, and 2 intervals more. */
const DOUBT_MS = 20_000;
/** Of a check every 500 ms and a sweep every 250. */
const SLACK_MS = 1_000;

/** What other rules know. */
export interface OtherRules {
  /** Whether self-preservation has a reason to hold it. */
  mayHold(instance: Instance): boolean;
  /** When the registry last received a request of it. */
  heardAt(id: string): number;
}

/** The invariants of the registry itself: S1, S2, S6, S7, L1, L2, L3. */
export class RegistryRules {
  readonly #scene: Scene;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  readonly #others: OtherRules;
  /** The instances at the last check, and those that were removed since. */
  #present = new Map<string, Instance>();
  readonly #removed = new Set<string>();
  /** Since when no instance of a service is callable though one shows life. */
  readonly #unserved = new Map<string, number>();
  #hasFullView = false;
  #lastKillAt = -Infinity;
  /** When so many instances were out of reach that the registry may have doubted its own network. */
  #inboundMassAt = -Infinity;
  #kills = 0;

  constructor(of: RuleContext, others: OtherRules) {
    this.#others = others;
    this.#scene = of.scene;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  restarted(): void {
    this.#present = new Map();
    this.#unserved.clear();
    this.#hasFullView = false;
  }

  see({ before, after }: Verdict): void {
    const tenant = this.#scene.known.get(after.id);
    if (tenant === undefined) {
      if (after.state === 'HEALTHY')
        this.#ledger.report('S2', `${after.id} is HEALTHY, and its process does not exist`);
      return;
    }
    const becomesHealthy = after.state === 'HEALTHY' && before?.state !== 'HEALTHY';
    if (becomesHealthy && !(tenant.wasCalled && tenant.hasBeaten)) {
      const missing = tenant.wasCalled ? 'sent no Heartbeat-2' : 'answered no Heartbeat-1';
      this.#ledger.report('S2', `${after.id} is HEALTHY and ${missing}`);
    }
    const isProof =
      after.state === 'CRITICAL' && after.reason.code === 'PROOF_OF_DEATH' && before?.state !== 'CRITICAL';
    const line = this.#scene.registry.lines.get(after.id);
    if (isProof && line?.isOver === false) {
      this.#ledger.report('S8', `${after.id} is taken for dead while it holds its line`);
    }
  }

  /** L2: a process is killed with its line open and nothing else wrong, and no caller may be sent there after 200 ms. */
  killed(tenant: Tenant): void {
    const { world, registry, network } = this.#scene;
    const id = tenant.id ?? '';
    const { inbound, outbound } = this.#truth.of(tenant);
    const hasLine = registry.lines.get(id)?.isOver === false;
    const isAlone = world.now - this.#lastKillAt > ALONE_MS;
    this.#lastKillAt = world.now;
    this.#kills += 1;
    const kills = this.#kills;
    const isFine = inbound.works === 'yes' && outbound.works === 'yes' && registry.isListening;
    if (!hasLine || !isAlone || !isFine) return;
    const killedAt = world.now;
    // the kill itself is one more
    const faults = this.#scene.activeFaults + 1;
    world.after(PROVED_WITHIN_MS, () => {
      const { address } = tenant.process.machine;
      const isFree = tenant.place.endpoints.every(({ port }) => network.listenersAt(address, port).length === 0);
      const instance = this.#ledger.listed.get(id);
      const isAlike = this.#scene.changedAt <= killedAt && this.#scene.activeFaults <= faults;
      const isSame = isAlike && this.#kills === kills;
      if (!isFree || !isSame || instance === undefined || !isCallable(instance)) return;
      if (world.now - this.#inboundMassAt < DOUBT_MS) return;
      this.#ledger.report('L2', `${id} is ${instance.state} ${PROVED_WITHIN_MS} ms after it was killed`);
    });
  }

  removed({ id, reason }: Tombstone): void {
    this.#removed.add(id);
    const tenant = this.#scene.known.get(id);
    if (tenant === undefined || !DEATHS.has(reason.code)) return;
    const { inbound, outbound } = this.#truth.of(tenant);
    const { intervalMs, timeoutMs } = this.#scene.registry.policy;
    const ms = 3 * intervalMs + timeoutMs;
    const isHeard = this.#truth.hasWorked(outbound, ms) || this.#truth.hasWorked(inbound, ms);
    if (isHeard && this.#listensFor(ms)) {
      this.#ledger.report('S7', `${id} was removed (${reason.code}) though a direction works`);
    }
  }

  judge(): void {
    if (!this.#scene.registry.isListening) return;
    const present = new Map<string, Instance>();
    for (const service of this.#services()) {
      const view = this.#ledger.view(service);
      for (const instance of view?.instances ?? []) present.set(instance.id, instance);
      for (const { id } of view?.removed ?? []) this.#removed.add(id);
    }
    this.#judgeAbsence(present);
    if (this.#isInboundMass()) this.#inboundMassAt = this.#scene.world.now;
    for (const instance of present.values()) {
      const tenant = this.#scene.known.get(instance.id);
      if (tenant !== undefined) this.#judgeOne(instance, tenant);
    }
    this.#judgeServices(present);
    this.#judgeCalm(present);
    this.#judgeView(present);
  }

  /** S6: an instance that disappeared was removed. */
  #judgeAbsence(present: Map<string, Instance>): void {
    for (const id of this.#present.keys()) {
      if (!present.has(id) && !this.#removed.has(id)) {
        this.#ledger.report('S6', `${id} is gone from the registry without a tombstone`);
      }
    }
    this.#removed.clear();
    this.#present = present;
  }

  #judgeOne(instance: Instance, tenant: Tenant): void {
    const { inbound, outbound } = this.#truth.of(tenant);
    const { now } = this.#scene.world;
    const { intervalMs } = this.#scene.registry.policy;
    const since = Math.min(this.#truth.deadSince(inbound), this.#deafSince(instance.id, outbound));
    const isClean = inbound.works !== 'unsure' && outbound.works !== 'unsure' && this.#scene.changedAt <= since;
    // 2.5 intervals, and up to 4 where packets under way were late
    const mostMs = (isClean ? 2.5 : 4) * intervalMs + SLACK_MS;
    if (instance.state === 'HEALTHY' && now - since > mostMs) {
      const dead = this.#truth.deadSince(inbound) === since ? 'Heartbeat-1' : 'Heartbeat-2';
      this.#ledger.report('S1', `${instance.id} is HEALTHY ${Math.round(now - since)} ms after ${dead} died`);
    }
    this.#judgeDeath(instance, tenant);
  }

  /**
   * Since when nothing arrives from it: a kernel still sends what it had before the direction was cut, or its process
   * died.
   */
  #deafSince(id: string, outbound: Direction): number {
    return Math.max(this.#truth.deadSince(outbound), this.#others.heardAt(id));
  }

  /** L2: an instance that is silent both ways stops being callable, unless self-preservation has a reason to hold it. */
  #judgeDeath(instance: Instance, tenant: Tenant): void {
    const { world } = this.#scene;
    // as long as one endpoint answers, it is not silent
    if (tenant.mute.size > 0 && tenant.place.endpoints.length > tenant.mute.size) return;
    const { inbound, outbound } = this.#truth.of(tenant);
    const deadMs = world.now - Math.max(this.#truth.deadSince(inbound), this.#deafSince(instance.id, outbound));
    if (deadMs < 45_000 + SLACK_MS || !isCallable(instance) || this.#others.mayHold(instance)) return;
    this.#ledger.report(
      'L2',
      `${instance.id} is ${instance.state} (${instance.reason.code}) ${Math.round(deadMs)} ms after it fell silent`,
    );
  }

  /** S7, S8: one direction alone never takes out the last callable instance of a service. */
  #judgeServices(present: Map<string, Instance>): void {
    for (const [service, instances] of byService(present.values())) {
      const showsLife = instances.some(({ id, admin, reason }) => {
        const tenant = this.#scene.known.get(id);
        if (tenant === undefined || admin !== 'ENABLED' || reason.code === 'LEAVING') return false;
        const { inbound, outbound } = this.#truth.of(tenant);
        const ms = 3 * this.#scene.registry.policy.intervalMs + this.#scene.registry.policy.timeoutMs;
        return this.#truth.hasWorked(inbound, ms) || this.#truth.hasWorked(outbound, ms);
      });
      if (!showsLife || instances.some(isCallable)) {
        this.#unserved.delete(service);
        continue;
      }
      const since = this.#unserved.get(service) ?? this.#scene.world.now;
      this.#unserved.set(service, since);
      if (this.#scene.world.now - since < 2_000) continue;
      this.#ledger.report('S7', `no instance of ${service} is callable, though one shows life`);
    }
  }

  /** L1: everything has been well for 2 intervals and the jitter, so every instance is HEALTHY. */
  #judgeCalm(present: Map<string, Instance>): void {
    const calmMs = this.#scene.world.now - this.#truth.calmSince;
    if (calmMs < 12_000 + SLACK_MS) return;
    for (const [id, tenant] of this.#scene.known) {
      if (!this.#shouldBeThere(id, tenant, 12_000 + SLACK_MS)) continue;
      const instance = present.get(id);
      if (instance?.state === 'HEALTHY' || calmMs < this.#questionsMs(tenant)) continue;
      const state = instance === undefined ? 'not listed' : `${instance.state} (${instance.reason.code})`;
      this.#ledger.report('L1', `${id} is ${state} ${Math.round(calmMs)} ms after everything recovered`);
    }
  }

  /**
   * A process that finds several others at its address, whose end was not observed, must ask for each of them whether
   * it is gone.
   */
  #questionsMs({ process, place }: Tenant): number {
    const { intervalMs, timeoutMs } = this.#scene.registry.policy;
    const others = [...this.#scene.known.values()].filter((other) => {
      const isThere = other.process.machine === process.machine && other.process !== process;
      return isThere && other.place.endpoints[0]?.port === place.endpoints[0]?.port;
    });
    return others.length * (intervalMs + timeoutMs) + intervalMs;
  }

  /** L3: one interval after its start the registry knows every instance that was registered before. */
  #judgeView(present: Map<string, Instance>): void {
    const { intervalMs } = this.#scene.registry.policy;
    if (this.#hasFullView || !this.#listensFor(intervalMs + SLACK_MS)) return;
    this.#hasFullView = true;
    for (const [id, tenant] of this.#scene.known) {
      const { outbound } = this.#truth.of(tenant);
      const couldBeat = tenant.hasBeaten && this.#truth.hasWorked(outbound, intervalMs + SLACK_MS + 3_000);
      if (!couldBeat || !this.#shouldBeThere(id, tenant, 0) || present.has(id)) continue;
      this.#ledger.report('L3', `${id} is not listed an interval after the registry's start`);
    }
  }

  #shouldBeThere(id: string, tenant: Tenant, ms: number): boolean {
    const { now } = this.#scene.world;
    const { inbound, outbound } = this.#truth.of(tenant);
    const wasRefused = now - (this.#ledger.refusedAt.get(id) ?? -Infinity) < 36_000 + 12_000;
    const works = outbound.works === 'yes' && now - outbound.since >= ms && (ms === 0 || inbound.works === 'yes');
    const isWanted = tenant.process.isRunning && tenant.leavesAt === Infinity && tenant.place.isWorker !== true;
    return isWanted && works && !wasRefused && !this.#ledger.endedIds.has(id) && now - tenant.bornAt >= ms;
  }

  /** Whether so many are out of reach that the registry may doubt its own network. */
  #isInboundMass(): boolean {
    const ids = [...this.#ledger.listed.keys()];
    const dead = ids.filter((id) => {
      const tenant = this.#scene.known.get(id);
      return tenant !== undefined && this.#truth.of(tenant).inbound.works === 'no';
    });
    return dead.length > 1 && dead.length >= ids.length / 2;
  }

  #listensFor(ms: number): boolean {
    return this.#scene.world.now - this.#scene.registry.listeningSince >= ms;
  }

  #services(): string[] {
    return [...new Set([...this.#scene.places.map(({ service }) => service), 'usurper', 'ghosts'])].filter(
      (name) => name !== null,
    );
  }
}

const DEATHS = new Set([
  'SILENT',
  'PROOF_OF_DEATH',
  'UNPROVED',
  'INBOUND_SILENT',
  'INBOUND_REFUSED',
  'OUTBOUND_SILENT',
]);

const isCallable = ({ state, admin }: Instance): boolean =>
  admin === 'ENABLED' && state !== 'CRITICAL' && state !== 'DEREGISTERING';
