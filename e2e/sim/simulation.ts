import type { AdminState, HeartbeatCall } from '@rollcall/core';
import { noBugs } from './bugs.js';
import type { Bugs } from './bugs.js';
import { Checker } from './checker.js';
import { FAULTS } from './faults.js';
import type { Fault, Restartable, FaultTargets } from './faults.js';
import { Ledger } from './ledger.js';
import { DYING_MS, Network } from './network.js';
import type { End } from './network.js';
import { Outsiders } from './outsiders.js';
import type { OutsiderHost } from './outsiders.js';
import { FOREVER_MS, placesOf } from './plan.js';
import type { SimulationPlan } from './plan.js';
import { RegistryNode } from './registry-node.js';
import type { Request, RequestOutcome, RequestObserver } from './registry-node.js';
import { answering } from './rpc.js';
import type { Scene } from './scene.js';
import { Tenant } from './tenant.js';
import type { Place } from './tenant.js';
import type { Question } from './transport.js';
import { Truth } from './truth.js';
import type { Way } from './way.js';
import type { Machine } from './world.js';
import { World } from './world.js';

const CALM_MS = 60_000;
/** The time for everything to start before the faults begin. */
const SETTLING_MS = 20_000;
const JUDGED_EVERY_MS = 500;
const SOONEST_RESTART_MS = DYING_MS + 1;
const OCCUPIED_AGAIN_MS = 500;
const STRANGER = 'stranger-0192f0c1';

/** One simulated run: its machines, its faults, the true state and the checker. */
export class Simulation implements Scene, FaultTargets, OutsiderHost {
  readonly world: World;
  readonly network: Network;
  readonly registry: RegistryNode;
  readonly places: readonly Place[];
  /** The process that runs at each place now. */
  readonly tenants = new Map<Place, Tenant>();
  /** Every process that ever ran, by instance id. */
  readonly known = new Map<string, Tenant>();
  readonly truth: Truth;
  readonly ledger: Ledger;
  readonly checker: Checker;
  readonly plan: SimulationPlan;
  readonly outsiders: Outsiders;
  /** The number of faults that have begun and not ended, and when something last changed. */
  activeFaults = 0;
  changedAt = 0;
  readonly #bugs: Bugs;
  #hasBegun = false;

  constructor(plan: SimulationPlan, bugs: Bugs = noBugs) {
    this.plan = plan;
    this.#bugs = bugs;
    this.world = new World(plan.seed);
    this.network = new Network(this.world);
    const machine = this.network.machine('registry', '10.0.0.1');
    this.outsiders = new Outsiders(this);
    this.truth = new Truth(this);
    this.ledger = new Ledger(this);
    this.checker = new Checker({ scene: this, truth: this.truth, ledger: this.ledger });
    const observer: RequestObserver = {
      answered: (request, outcome) => {
        this.checker.arrived(request, outcome);
        this.observed(request, outcome);
      },
    };
    this.registry = new RegistryNode(this.network, machine, observer, {
      isDurable: plan.isDurable ?? false,
      bugs,
    });
    this.places = placesOf(plan, this.network);
  }

  get seed(): number {
    return this.plan.seed;
  }

  /** Virtual ms since the faults could begin. */
  get now(): number {
    return this.world.now - SETTLING_MS;
  }

  /** The whole run: start, faults, calm. Ends early with the first violation. */
  async run(): Promise<void> {
    const ends = this.plan.faults.map(({ at, forMs }) => (forMs >= FOREVER_MS ? at : at + forMs));
    await this.until(Math.max(0, ...ends) + (this.plan.calmMs ?? CALM_MS));
  }

  /** Runs until a moment, in ms since the faults could begin, or until the first violation. */
  async until(ms: number): Promise<void> {
    if (!this.#hasBegun) this.#begin();
    const until = SETTLING_MS + ms;
    while (this.world.now < until && this.ledger.violations.length === 0) {
      await this.world.pass(Math.min(10_000, until - this.world.now));
    }
  }

  #begin(): void {
    this.#hasBegun = true;
    for (const fault of this.plan.faults) this.#arrange(fault);
    this.world.after(1, () => this.startRegistry());
    for (const place of this.places) this.world.after(2 + 1_000 * this.world.random.unit(), () => this.move(place));
    this.every(JUDGED_EVERY_MS, () => this.checker.judge());
  }

  // ---- effects of faults ------------------------------------------------------------------------------------------------

  /** Repeats until the returned function is called. */
  every(ms: number, run: () => void): () => void {
    let isOver = false;
    const again = (): void => {
      if (isOver) return;
      run();
      this.world.after(ms, again);
    };
    this.world.after(ms, again);
    return () => {
      isOver = true;
    };
  }

  startRegistry(): void {
    this.registry.machine.isOn = true;
    void this.#startRegistry();
  }

  /** A new process begins at a place, as soon as its port is free. */
  move(place: Place, isWanted = (): boolean => true): void {
    if (this.tenants.get(place)?.process.isAlive === true || !isWanted()) return;
    place.machine.isOn = true;
    if (this.#isOccupied(place)) {
      this.world.after(OCCUPIED_AGAIN_MS, () => this.move(place, isWanted));
      return;
    }
    const tenant = new Tenant(this.network, place, {
      bugs: this.#bugs,
      registry: this.registry.machine,
      requested: (request) => this.checker.requested(request),
      frame: (frame, to) => this.checker.received(frame, to),
      marked: (by, cursor) => this.checker.marked(by, cursor),
      executed: (by, request, from) => this.checker.executed(by, request, from),
      called: (from, service, call) => this.checker.called(from, service, call),
    });
    this.tenants.set(place, tenant);
    if (tenant.id !== null) this.known.set(tenant.id, tenant);
    this.changed();
  }

  /** Records that something changed. */
  changed(): void {
    this.changedAt = this.world.now;
    this.truth.refresh();
  }

  isOwned(id: string): boolean {
    return this.checker.isOwned(id);
  }

  adminChanged(id: string, admin: AdminState, endsByItself: boolean): void {
    this.checker.adminChanged(id, admin, endsByItself);
  }

  ended(id: string): void {
    this.checker.ended(id);
  }

  /** A request was sent to the registry, and answered. */
  observed(request: Request, outcome: RequestOutcome): void {
    this.checker.observed(request, outcome);
    if (request.route !== 'beat' || !outcome.ok) return;
    const { id, secret } = request.proof;
    this.outsiders.recordBeat(id, secret, request.beat);
    const tenant = this.known.get(id);
    if (tenant !== undefined) tenant.hasBeaten = true;
  }

  placesOf(target: string): readonly Place[] {
    if (target === 'all') return this.places.filter(isService);
    return this.places.filter(({ name, service }) => name === target || service === target);
  }

  tenantsOf(target: string): readonly Tenant[] {
    return this.placesOf(target).flatMap((place) => this.tenants.get(place) ?? []);
  }

  machines(target: string): readonly Machine[] {
    const machines =
      target === 'registry' ? [this.registry.machine] : this.placesOf(target).map(({ machine }) => machine);
    return [...new Set(machines)];
  }

  /** The directions between the registry and a target: `in` leads to the target. */
  ways(target: string): { readonly in: readonly Way[]; readonly out: readonly Way[] } {
    const registry = this.registry.machine;
    const machines = target === 'registry' ? this.places.map(({ machine }) => machine) : this.machines(target);
    const others = [...new Set(machines)].filter((machine) => machine !== registry);
    return {
      in: others.map((machine) => this.network.way(registry, machine)),
      out: others.map((machine) => this.network.way(machine, registry)),
    };
  }

  waysOfCallers(target: string): readonly Way[] {
    const gateways = this.places.filter(({ service }) => service === null);
    return this.machines(target).flatMap((machine) =>
      gateways.map((gateway) => this.network.way(gateway.machine, machine)),
    );
  }

  lives(target: string): readonly Restartable[] {
    return target === 'registry' ? [this.#registryLife()] : this.placesOf(target).map((place) => this.#lifeOf(place));
  }

  /** Returns functions that end the usurpers; then the old service starts again. */
  usurp(target: string): readonly (() => void)[] {
    return this.placesOf(target)
      .filter(isService)
      .map((place) => {
        const usurper: Place = { ...place, name: `usurper of ${place.name}`, service: 'usurper', watches: [] };
        let isThere = true;
        this.#lifeOf(place).kill(true);
        this.world.after(SOONEST_RESTART_MS, () => this.move(usurper, () => isThere));
        return () => {
          isThere = false;
          this.tenants.get(usurper)?.process.die(true);
          this.tenants.delete(usurper);
          this.world.after(SOONEST_RESTART_MS, () => this.move(place));
        };
      });
  }

  /** Returns functions that remove the other processes; then the displaced ones listen again. */
  displace(target: string): readonly (() => void)[] {
    const tenants = this.tenantsOf(target).filter(({ place }) => isService(place));
    return tenants.map((tenant) => {
      const { machine, endpoints } = tenant.place;
      if (tenant.process.isAlive) this.network.unlisten(tenant.process);
      const stranger = this.network.spawn(machine, `stranger at ${tenant.place.name}`);
      for (const { port } of endpoints) {
        if (this.network.listenersAt(machine.address, port).length > 0) continue;
        this.network.listen(
          stranger,
          port,
          answering((message, end) => this.#answerOfStranger(message, end)),
        );
      }
      return () => {
        stranger.die(true);
        if (tenant.process.isAlive) this.world.after(SOONEST_RESTART_MS, () => this.#listenAgain(tenant));
      };
    });
  }

  async #startRegistry(): Promise<void> {
    await this.registry.start();
    this.checker.registryStarted();
    this.changed();
  }

  #listenAgain(tenant: Tenant): void {
    if (!tenant.process.isAlive || this.#isOccupied(tenant.place)) return;
    tenant.listen();
    this.changed();
  }

  /** Claims another identity, and executes every request. */
  #answerOfStranger(message: unknown, end: End): unknown {
    const requested = message as { readonly heartbeat1: HeartbeatCall } | Question;
    if ('heartbeat1' in requested) return { instance: STRANGER, nonce: requested.heartbeat1.nonce };
    if ('identity' in requested) return { instance: STRANGER };
    this.checker.executed(STRANGER, requested, end.peer!.process);
    return { done: requested.call, by: STRANGER };
  }

  #isOccupied({ machine, endpoints, isWorker }: Place): boolean {
    if (isWorker === true) return false;
    return endpoints.some(({ port }) => this.network.listenersAt(machine.address, port).length > 0);
  }

  #arrange(fault: Fault): void {
    this.world.after(Math.max(0, fault.at + SETTLING_MS), () => {
      const end = FAULTS[fault.kind](this, fault);
      this.activeFaults += 1;
      this.changed();
      if (fault.forMs >= FOREVER_MS) return;
      this.world.after(Math.max(SOONEST_RESTART_MS, fault.forMs), () => {
        this.activeFaults -= 1;
        end();
        this.changed();
      });
    });
  }

  #registryLife(): Restartable {
    return {
      kill: (hasPower) => {
        if (!hasPower) this.network.powerOff(this.registry.machine);
        this.registry.kill(hasPower);
      },
      stop: () => this.registry.stop(),
      goOn: () => this.registry.goOn(),
      leave: () => this.registry.kill(true),
      start: () => {
        if (this.registry.process === null) this.startRegistry();
      },
    };
  }

  #lifeOf(place: Place): Restartable {
    const tenant = this.tenants.get(place);
    return {
      kill: (hasPower) => {
        if (!hasPower) this.network.powerOff(place.machine);
        else if (tenant?.process.isAlive === true) this.checker.killed(tenant);
        tenant?.process.die(hasPower);
      },
      stop: () => tenant?.process.stop(),
      goOn: () => tenant?.process.goOn(),
      leave: () => void tenant?.leave().then(() => this.changed()),
      start: () => this.#startAgain(place),
    };
  }

  /** A process that drains ends before the next one begins. */
  #startAgain(place: Place): void {
    if (this.tenants.get(place)?.process.isAlive !== true) {
      this.move(place);
      return;
    }
    if (Number.isFinite(this.tenants.get(place)?.leavesAt)) this.world.after(500, () => this.#startAgain(place));
  }
}

const isService = ({ service }: Place): boolean => service !== null;
