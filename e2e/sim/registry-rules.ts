import type { Instance, Tombstone } from '@rollcall/core';
import type { RuleContext, Ledger, RecordChange } from './ledger.js';
import { byService } from './permits.js';
import type { SimulationView } from './simulation-view.js';
import type { ClientProcess } from './client-process.js';
import type { Direction, Truth } from './truth.js';

const PROVED_WITHIN_MS = 200;
/** Many that are killed at once are a mass, and not a proof. */
const SINGLE_KILL_MS = 30_000;
/** How long the doubt lasts: until the next probe of each, and 2 intervals more. */
const DOUBT_MS = 20_000;
/** Of a check every 500 ms and a sweep every 250. */
const SLACK_MS = 1_000;

/** What other rules know. */
export interface RuleQueries {
  /** Whether self-preservation has a reason to hold it. */
  mayHold(instance: Instance): boolean;
  /** When the registry last received a request of it. */
  lastReceivedAt(id: string): number;
}

/** The invariants of the registry itself: S1, S2, S6, S7, L1, L2, L3. */
export class RegistryRules {
  readonly #simulation: SimulationView;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  readonly #others: RuleQueries;
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

  constructor(of: RuleContext, others: RuleQueries) {
    this.#others = others;
    this.#simulation = of.simulation;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  restarted(): void {
    this.#present = new Map();
    this.#unserved.clear();
    this.#hasFullView = false;
  }

  see({ before, after }: RecordChange): void {
    const client = this.#simulation.known.get(after.id);
    if (client === undefined) {
      if (after.state === 'HEALTHY')
        this.#ledger.report('S2', `${after.id} is HEALTHY, and its process does not exist`);
      return;
    }
    const becomesHealthy = after.state === 'HEALTHY' && before?.state !== 'HEALTHY';
    if (becomesHealthy && !(client.wasCalled && client.hasBeaten)) {
      const missing = client.wasCalled ? 'sent no Heartbeat-2' : 'answered no Heartbeat-1';
      this.#ledger.report('S2', `${after.id} is HEALTHY and ${missing}`);
    }
    const isProof =
      after.state === 'CRITICAL' && after.reason.code === 'PROOF_OF_DEATH' && before?.state !== 'CRITICAL';
    const line = this.#simulation.registry.lines.get(after.id);
    if (isProof && line?.isOver === false) {
      this.#ledger.report('S8', `${after.id} is taken for dead while it holds its line`);
    }
  }

  /** L2: a process is killed with its line open and nothing else wrong, and no caller may be sent there after 200 ms. */
  killed(client: ClientProcess): void {
    const { world, registry, network } = this.#simulation;
    const id = client.id ?? '';
    const { inbound, outbound } = this.#truth.of(client);
    const hasLine = registry.lines.get(id)?.isOver === false;
    const isSingleKill = world.now - this.#lastKillAt > SINGLE_KILL_MS;
    this.#lastKillAt = world.now;
    this.#kills += 1;
    const kills = this.#kills;
    const isFine = inbound.works === 'yes' && outbound.works === 'yes' && registry.isListening;
    if (!hasLine || !isSingleKill || !isFine) return;
    const killedAt = world.now;
    // the kill itself is one more
    const faults = this.#simulation.activeFaults + 1;
    world.after(PROVED_WITHIN_MS, () => {
      const { address } = client.process.machine;
      const isFree = client.place.endpoints.every(({ port }) => network.listenersAt(address, port).length === 0);
      const instance = this.#ledger.listed.get(id);
      const isAlike = this.#simulation.changedAt <= killedAt && this.#simulation.activeFaults <= faults;
      const isSame = isAlike && this.#kills === kills;
      if (!isFree || !isSame || instance === undefined || !isCallable(instance)) return;
      if (world.now - this.#inboundMassAt < DOUBT_MS) return;
      this.#ledger.report('L2', `${id} is ${instance.state} ${PROVED_WITHIN_MS} ms after it was killed`);
    });
  }

  removed({ id, reason }: Tombstone): void {
    this.#removed.add(id);
    const client = this.#simulation.known.get(id);
    if (client === undefined || !DEATHS.has(reason.code)) return;
    const { inbound, outbound } = this.#truth.of(client);
    const { intervalMs, timeoutMs } = this.#simulation.registry.policy;
    const ms = 3 * intervalMs + timeoutMs;
    const hasContact = this.#truth.hasWorked(outbound, ms) || this.#truth.hasWorked(inbound, ms);
    if (hasContact && this.#listensFor(ms)) {
      this.#ledger.report('S7', `${id} was removed (${reason.code}) though a direction works`);
    }
  }

  judge(): void {
    if (!this.#simulation.registry.isListening) return;
    const present = new Map<string, Instance>();
    for (const service of this.#services()) {
      const view = this.#ledger.view(service);
      for (const instance of view?.instances ?? []) present.set(instance.id, instance);
      for (const { id } of view?.removed ?? []) this.#removed.add(id);
    }
    this.#judgeAbsence(present);
    if (this.#isInboundMass()) this.#inboundMassAt = this.#simulation.world.now;
    for (const instance of present.values()) {
      const client = this.#simulation.known.get(instance.id);
      if (client !== undefined) this.#judgeInstance(instance, client);
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

  #judgeInstance(instance: Instance, client: ClientProcess): void {
    const { inbound, outbound } = this.#truth.of(client);
    const { now } = this.#simulation.world;
    const { intervalMs } = this.#simulation.registry.policy;
    const since = Math.min(this.#truth.deadSince(inbound), this.#unreceivedSince(instance.id, outbound));
    const isClean = inbound.works !== 'unsure' && outbound.works !== 'unsure' && this.#simulation.changedAt <= since;
    // 2.5 intervals, and up to 4 where packets under way were late
    const maxMs = (isClean ? 2.5 : 4) * intervalMs + SLACK_MS;
    if (instance.state === 'HEALTHY' && now - since > maxMs) {
      const dead = this.#truth.deadSince(inbound) === since ? 'Heartbeat-1' : 'Heartbeat-2';
      this.#ledger.report('S1', `${instance.id} is HEALTHY ${Math.round(now - since)} ms after ${dead} died`);
    }
    this.#judgeDeath(instance, client);
  }

  /**
   * The time since which nothing arrives from it. What its kernel had buffered may still arrive after the direction was
   * cut or the process died.
   */
  #unreceivedSince(id: string, outbound: Direction): number {
    return Math.max(this.#truth.deadSince(outbound), this.#others.lastReceivedAt(id));
  }

  /** L2: an instance that is silent both ways stops being callable, unless self-preservation has a reason to hold it. */
  #judgeDeath(instance: Instance, client: ClientProcess): void {
    const { world } = this.#simulation;
    // as long as one endpoint answers, it is not silent
    if (client.mute.size > 0 && client.place.endpoints.length > client.mute.size) return;
    const { inbound, outbound } = this.#truth.of(client);
    const deadMs = world.now - Math.max(this.#truth.deadSince(inbound), this.#unreceivedSince(instance.id, outbound));
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
        const client = this.#simulation.known.get(id);
        if (client === undefined || admin !== 'ENABLED' || reason.code === 'LEAVING') return false;
        const { inbound, outbound } = this.#truth.of(client);
        const ms = 3 * this.#simulation.registry.policy.intervalMs + this.#simulation.registry.policy.timeoutMs;
        return this.#truth.hasWorked(inbound, ms) || this.#truth.hasWorked(outbound, ms);
      });
      if (!showsLife || instances.some(isCallable)) {
        this.#unserved.delete(service);
        continue;
      }
      const since = this.#unserved.get(service) ?? this.#simulation.world.now;
      this.#unserved.set(service, since);
      if (this.#simulation.world.now - since < 2_000) continue;
      this.#ledger.report('S7', `no instance of ${service} is callable, though one shows life`);
    }
  }

  /** L1: everything has been well for 2 intervals and the jitter, so every instance is HEALTHY. */
  #judgeCalm(present: Map<string, Instance>): void {
    const calmMs = this.#simulation.world.now - this.#truth.calmSince;
    if (calmMs < 12_000 + SLACK_MS) return;
    for (const [id, client] of this.#simulation.known) {
      if (!this.#shouldBeListed(id, client, 12_000 + SLACK_MS)) continue;
      const instance = present.get(id);
      if (instance?.state === 'HEALTHY' || calmMs < this.#addressProbesMs(client)) continue;
      const state = instance === undefined ? 'not listed' : `${instance.state} (${instance.reason.code})`;
      this.#ledger.report('L1', `${id} is ${state} ${Math.round(calmMs)} ms after everything recovered`);
    }
  }

  /**
   * A process that finds several others at its address, whose end was not observed, must ask for each of them whether
   * it is gone.
   */
  #addressProbesMs({ process, place }: ClientProcess): number {
    const { intervalMs, timeoutMs } = this.#simulation.registry.policy;
    const others = [...this.#simulation.known.values()].filter((other) => {
      const isThere = other.process.machine === process.machine && other.process !== process;
      return isThere && other.place.endpoints[0]?.port === place.endpoints[0]?.port;
    });
    return others.length * (intervalMs + timeoutMs) + intervalMs;
  }

  /** L3: one interval after its start the registry knows every instance that was registered before. */
  #judgeView(present: Map<string, Instance>): void {
    const { intervalMs } = this.#simulation.registry.policy;
    if (this.#hasFullView || !this.#listensFor(intervalMs + SLACK_MS)) return;
    this.#hasFullView = true;
    for (const [id, client] of this.#simulation.known) {
      const { outbound } = this.#truth.of(client);
      const couldBeat = client.hasBeaten && this.#truth.hasWorked(outbound, intervalMs + SLACK_MS + 3_000);
      if (!couldBeat || !this.#shouldBeListed(id, client, 0) || present.has(id)) continue;
      this.#ledger.report('L3', `${id} is not listed an interval after the registry's start`);
    }
  }

  #shouldBeListed(id: string, client: ClientProcess, ms: number): boolean {
    const { now } = this.#simulation.world;
    const { inbound, outbound } = this.#truth.of(client);
    const wasRefused = now - (this.#ledger.refusedAt.get(id) ?? -Infinity) < 36_000 + 12_000;
    const works = outbound.works === 'yes' && now - outbound.since >= ms && (ms === 0 || inbound.works === 'yes');
    const isWanted = client.process.isRunning && client.leavesAt === Infinity && client.place.isWorker !== true;
    return isWanted && works && !wasRefused && !this.#ledger.endedIds.has(id) && now - client.startedAt >= ms;
  }

  /** Whether so many are out of reach that the registry may doubt its own network. */
  #isInboundMass(): boolean {
    const ids = [...this.#ledger.listed.keys()];
    const dead = ids.filter((id) => {
      const client = this.#simulation.known.get(id);
      return client !== undefined && this.#truth.of(client).inbound.works === 'no';
    });
    return dead.length > 1 && dead.length >= ids.length / 2;
  }

  #listensFor(ms: number): boolean {
    return this.#simulation.world.now - this.#simulation.registry.listeningSince >= ms;
  }

  #services(): string[] {
    return [...new Set([...this.#simulation.places.map(({ service }) => service), 'usurper', 'ghosts'])].filter(
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
