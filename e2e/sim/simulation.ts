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
import { answerWith } from './rpc.js';
import type { SimulationView } from './simulation-view.js';
import { ClientProcess } from './client-process.js';
import type { Place } from './client-process.js';
import type { Question } from './transport.js';
import { Truth } from './truth.js';
import type { PathFaults } from './path-faults.js';
import type { Machine } from './world.js';
import { World } from './world.js';

const CALM_MS = 60_000;
/** The time for everything to start before the faults begin. */
const SETTLING_MS = 20_000;
const JUDGE_INTERVAL_MS = 500;
const MIN_RESTART_MS = DYING_MS + 1;
const PORT_RETRY_MS = 500;
const STRANGER = 'stranger-0192f0c1';

/** One simulated run: its machines, its faults, the true state and the checker. */
export class Simulation implements SimulationView, FaultTargets, OutsiderHost {
  readonly world: World;
  readonly network: Network;
  readonly registry: RegistryNode;
  readonly places: readonly Place[];
  /** The process that runs at each place now. */
  readonly clients = new Map<Place, ClientProcess>();
  /** Every process that ever ran, by instance id. */
  readonly known = new Map<string, ClientProcess>();
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
    this.checker = new Checker({ simulation: this, truth: this.truth, ledger: this.ledger });
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
    await this.runUntil(Math.max(0, ...ends) + (this.plan.calmMs ?? CALM_MS));
  }

  /** Runs until a moment, in ms since the faults could begin, or until the first violation. */
  async runUntil(ms: number): Promise<void> {
    if (!this.#hasBegun) this.#begin();
    const until = SETTLING_MS + ms;
    while (this.world.now < until && this.ledger.violations.length === 0) {
      await this.world.pass(Math.min(10_000, until - this.world.now));
    }
  }

  #begin(): void {
    this.#hasBegun = true;
    for (const fault of this.plan.faults) this.#scheduleFault(fault);
    this.world.after(1, () => this.startRegistry());
    for (const place of this.places)
      this.world.after(2 + 1_000 * this.world.random.unit(), () => this.startProcess(place));
    this.every(JUDGE_INTERVAL_MS, () => this.checker.judge());
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
  startProcess(place: Place, isWanted = (): boolean => true): void {
    if (this.clients.get(place)?.process.isAlive === true || !isWanted()) return;
    place.machine.isOn = true;
    if (this.#isOccupied(place)) {
      this.world.after(PORT_RETRY_MS, () => this.startProcess(place, isWanted));
      return;
    }
    const client = new ClientProcess(this.network, place, {
      bugs: this.#bugs,
      registry: this.registry.machine,
      requested: (request) => this.checker.requested(request),
      frame: (frame, to) => this.checker.received(frame, to),
      marked: (by, cursor) => this.checker.marked(by, cursor),
      executed: (by, request, from) => this.checker.executed(by, request, from),
      called: (from, service, call) => this.checker.called(from, service, call),
    });
    this.clients.set(place, client);
    if (client.id !== null) this.known.set(client.id, client);
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
    const client = this.known.get(id);
    if (client !== undefined) client.hasBeaten = true;
  }

  placesOf(target: string): readonly Place[] {
    if (target === 'all') return this.places.filter(isService);
    return this.places.filter(({ name, service }) => name === target || service === target);
  }

  clientsOf(target: string): readonly ClientProcess[] {
    return this.placesOf(target).flatMap((place) => this.clients.get(place) ?? []);
  }

  machines(target: string): readonly Machine[] {
    const machines =
      target === 'registry' ? [this.registry.machine] : this.placesOf(target).map(({ machine }) => machine);
    return [...new Set(machines)];
  }

  /** The directions between the registry and a target: `in` leads to the target. */
  paths(target: string): { readonly in: readonly PathFaults[]; readonly out: readonly PathFaults[] } {
    const registry = this.registry.machine;
    const machines = target === 'registry' ? this.places.map(({ machine }) => machine) : this.machines(target);
    const others = [...new Set(machines)].filter((machine) => machine !== registry);
    return {
      in: others.map((machine) => this.network.path(registry, machine)),
      out: others.map((machine) => this.network.path(machine, registry)),
    };
  }

  callerPaths(target: string): readonly PathFaults[] {
    const gateways = this.places.filter(({ service }) => service === null);
    return this.machines(target).flatMap((machine) =>
      gateways.map((gateway) => this.network.path(gateway.machine, machine)),
    );
  }

  restartables(target: string): readonly Restartable[] {
    return target === 'registry'
      ? [this.#restartableRegistry()]
      : this.placesOf(target).map((place) => this.#restartableAt(place));
  }

  /** Returns functions that end the usurpers; then the old service starts again. */
  startUsurpers(target: string): readonly (() => void)[] {
    return this.placesOf(target)
      .filter(isService)
      .map((place) => {
        const usurper: Place = { ...place, name: `usurper of ${place.name}`, service: 'usurper', watches: [] };
        let isThere = true;
        this.#restartableAt(place).kill(true);
        this.world.after(MIN_RESTART_MS, () => this.startProcess(usurper, () => isThere));
        return () => {
          isThere = false;
          this.clients.get(usurper)?.process.die(true);
          this.clients.delete(usurper);
          this.world.after(MIN_RESTART_MS, () => this.startProcess(place));
        };
      });
  }

  /** Returns functions that remove the other processes; then the displaced ones listen again. */
  displaceProcesses(target: string): readonly (() => void)[] {
    const clients = this.clientsOf(target).filter(({ place }) => isService(place));
    return clients.map((client) => {
      const { machine, endpoints } = client.place;
      if (client.process.isAlive) this.network.unlisten(client.process);
      const stranger = this.network.spawn(machine, `stranger at ${client.place.name}`);
      for (const { port } of endpoints) {
        if (this.network.listenersAt(machine.address, port).length > 0) continue;
        this.network.listen(
          stranger,
          port,
          answerWith((message, end) => this.#answerAsStranger(message, end)),
        );
      }
      return () => {
        stranger.die(true);
        if (client.process.isAlive) this.world.after(MIN_RESTART_MS, () => this.#listenAgain(client));
      };
    });
  }

  async #startRegistry(): Promise<void> {
    await this.registry.start();
    this.checker.registryStarted();
    this.changed();
  }

  #listenAgain(client: ClientProcess): void {
    if (!client.process.isAlive || this.#isOccupied(client.place)) return;
    client.listen();
    this.changed();
  }

  /** Claims another identity, and executes every request. */
  #answerAsStranger(message: unknown, end: End): unknown {
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

  #scheduleFault(fault: Fault): void {
    this.world.after(Math.max(0, fault.at + SETTLING_MS), () => {
      const end = FAULTS[fault.kind](this, fault);
      this.activeFaults += 1;
      this.changed();
      if (fault.forMs >= FOREVER_MS) return;
      this.world.after(Math.max(MIN_RESTART_MS, fault.forMs), () => {
        this.activeFaults -= 1;
        end();
        this.changed();
      });
    });
  }

  #restartableRegistry(): Restartable {
    return {
      kill: (hasPower) => {
        if (!hasPower) this.network.powerOff(this.registry.machine);
        this.registry.kill(hasPower);
      },
      stop: () => this.registry.stop(),
      resume: () => this.registry.resume(),
      leave: () => this.registry.kill(true),
      start: () => {
        if (this.registry.process === null) this.startRegistry();
      },
    };
  }

  #restartableAt(place: Place): Restartable {
    const client = this.clients.get(place);
    return {
      kill: (hasPower) => {
        if (!hasPower) this.network.powerOff(place.machine);
        else if (client?.process.isAlive === true) this.checker.killed(client);
        client?.process.die(hasPower);
      },
      stop: () => client?.process.stop(),
      resume: () => client?.process.resume(),
      leave: () => void client?.leave().then(() => this.changed()),
      start: () => this.#startAgain(place),
    };
  }

  /** A process that drains ends before the next one begins. */
  #startAgain(place: Place): void {
    if (this.clients.get(place)?.process.isAlive !== true) {
      this.startProcess(place);
      return;
    }
    if (Number.isFinite(this.clients.get(place)?.leavesAt)) this.world.after(500, () => this.#startAgain(place));
  }
}

const isService = ({ service }: Place): boolean => service !== null;
