import { HttpRegistryClient } from '@rollcall/client';
import { addressOf, systemRandom, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { Overview, RegistryApi } from 'rollcall';
import type { InstanceChange, View } from 'rollcall';
import { anotherRole, BEHIND_THE_DOOR, GATEWAY, REGISTRY, registryRole, serviceRoles } from './cast.js';
import type { Places } from './cast.js';
import { Deeds } from './deeds.js';
import type { Deed } from './deeds.js';
import type { FrontDoor } from './front-door.js';
import { Elsewhere } from './load/elsewhere.js';
import { Load } from './load/load.js';
import type { Traffic } from './load/words.js';
import type { DemoOptions } from './options.js';
import type { Ports } from './ports.js';
import type { Report } from './report/report.js';
import { Supervisor } from './supervisor.js';
import type { Role, Run } from './supervisor.js';

/** Time for a drain; a frozen process is not waited for longer. */
const SERVICES_GRACE_MS = 4_000;
const REGISTRY_GRACE_MS = 2_000;
/** Something is wrong if not everything is HEALTHY by then. */
const PATIENCE_MS = 30_000;
const TRAFFIC_EVERY_MS = 5_000;
/** Instances of a and b that one machine is asked to carry; each takes some 80 MiB. */
const MOST_ROLES = 13;

export interface DemoParts {
  readonly options: DemoOptions;
  readonly ports: Ports;
  /** Before one instance; null: this machine cannot have one. */
  readonly door: FrontDoor | null;
  makeReport(demo: Demo): Report;
  /** The registry did not even start: there is no demo. */
  failed(): void;
}

/** A registry, three instances of a, two of b and a gateway, kept alive, called and watched. */
export class Demo {
  readonly #parts: DemoParts;
  readonly #places: Places;
  readonly #registry: Role;
  #services: readonly Role[];
  readonly #supervisor: Supervisor;
  readonly #deeds: Deeds;
  readonly #report: Report;
  readonly #startedAt = Date.now();
  readonly #timers: NodeJS.Timeout[] = [];
  #overview: Overview | null = null;
  #load: Load | null = null;
  #elsewhere: Elsewhere | null = null;
  #isWhole = false;
  /** A key asked for the registry's restart, and no other deed followed. */
  #isRestartAsked = false;
  /** What is told last of its return; null: it did not go, or all is told. */
  #returnTold: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: DemoParts) {
    const { options, ports, door } = parts;
    this.#parts = parts;
    this.#places = { registryPort: ports.registry, gatewayPort: ports.gateway, registryUrl: null };
    this.#registry = registryRole(options, this.#places);
    this.#services = serviceRoles(this.#places, door);
    this.#supervisor = new Supervisor({
      restartAfterMs: options.restartAfterMs,
      began: ({ role }) => this.#moves(role, true),
      said: (run, line) => this.#said(run, line),
      exited: (run, how) => this.#exited(run, how),
    });
    this.#deeds = new Deeds({
      supervisor: this.#supervisor,
      door,
      restartAfterMs: options.restartAfterMs,
      roles: () => this.#services,
      isHealthy: (role) => this.#isHealthy(role),
      add: () => this.#add(),
    });
    this.#report = parts.makeReport(this);
  }

  /** What runs now. */
  get runs(): readonly Run[] {
    return [this.#registry, ...this.#services].flatMap(({ name }) => this.#supervisor.run(name) ?? []);
  }

  /** What the registry says; null before it serves for the first time. */
  view(): Omit<View, 'heartbeats' | 'calls'> | null {
    const overview = this.#overview;
    if (overview === null) return null;
    const { isLive, heardAt, revision, instances } = overview;
    return { url: this.#places.registryUrl ?? '', isLive, heardAt, revision, instances };
  }

  /** What the registry measures of its instances. */
  async measure(): Promise<View['heartbeats']> {
    const url = this.#places.registryUrl;
    if (url === null || this.#overview?.isLive !== true) return new Map();
    return new RegistryApi(url).heartbeats(this.#overview.instances.map(({ id }) => id));
  }

  /** How its own calls fare; null: it makes none, or not yet. */
  traffic(): Traffic | null {
    if (this.#load === null) return null;
    return { ...this.#load.read(), elsewhere: this.#elsewhere?.count ?? 0 };
  }

  /** `notes`: what had to be done differently. */
  start(notes: readonly string[]): void {
    for (const note of notes) this.#report.told(note);
    this.#supervisor.start(this.#registry);
    this.#timers.push(setTimeout(() => this.#tellWhoIsMissing(), PATIENCE_MS));
  }

  /** A key was pressed. */
  press(key: string, deed: Deed): void {
    if (this.#closing !== null) return;
    // another deed has the last word
    this.#isRestartAsked = deed === 'restart';
    this.#returnTold = null;
    this.#report.told(`${key}: ${this.#deeds.do(deed)}`);
  }

  /** Ends every process: the services first, so that they can say goodbye. May be called twice: the second time kills at once. */
  close(): Promise<void> {
    if (this.#closing !== null) for (const { role } of this.runs) this.#supervisor.signal(role.name, 'SIGKILL');
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    // first of all: a call that fails because everything ends tells nothing
    this.#load?.close();
    this.#tellTraffic();
    this.#elsewhere?.close();
    this.#report.told('Ending: the services say goodbye first.');
    await this.#supervisor.end(
      this.#services.map(({ name }) => name),
      SERVICES_GRACE_MS,
    );
    await this.#supervisor.end([REGISTRY], REGISTRY_GRACE_MS);
    this.#overview?.close();
    this.#parts.door?.close();
    this.#report.close();
  }

  /** One more of a or b; null: there are enough, or nobody to register with. */
  #add(): Run | null {
    if (this.#places.registryUrl === null || this.#services.length >= MOST_ROLES) return null;
    const role = anotherRole(this.#services, this.#places);
    this.#services = [...this.#services, role];
    return this.#supervisor.start(role);
  }

  #moves(role: Role, isIn: boolean): void {
    if (role.name === BEHIND_THE_DOOR) this.#parts.door?.inhabit(isIn);
  }

  #said(run: Run, line: string): void {
    if (run.role === this.#registry && line.startsWith('{')) this.#registryServes(run, line);
  }

  #registryServes(run: Run, line: string): void {
    const { url } = JSON.parse(line) as { url: string }; // as `rollcall up --json` promises
    this.#report.started(run);
    if (this.#overview !== null) return;
    this.#places.registryUrl = url;
    this.#places.registryPort = Number(new URL(url).port);
    this.#overview = new Overview({
      link: new HttpRegistryClient({ url, time: systemTime }),
      time: systemTime,
      random: systemRandom,
      changed: (changes) => this.#changed(changes),
    });
    this.#overview.start();
    for (const role of this.#services) this.#supervisor.start(role);
  }

  #exited(run: Run, how: string): void {
    this.#deeds.forget(run.role.name);
    if (run.role === this.#registry && this.#isRestartAsked) this.#returnTold = '';
    this.#moves(run.role, false);
    if (run.role === this.#registry ? this.#places.registryUrl !== null : run.instance !== null) {
      this.#report.exited(run, how);
    }
    if (this.#closing !== null || how.startsWith('SIG')) return;
    if (how !== 'code 0') this.#report.complain([`${run.role.name} ended (${how}):`, ...run.complaints].join('\n'));
    if (this.#places.registryUrl === null) this.#parts.failed();
  }

  #changed(changes: readonly InstanceChange[]): void {
    this.#report.changed(changes);
    for (const { instance, removed } of changes) if (removed === null) this.#recognise(instance);
    this.#tellReturn();
    if (!this.#isWhole && this.#services.every((role) => this.#isHealthy(role))) this.#becomeWhole();
  }

  /** What has become of the registry's restart, by the rows that are shown: the sentence and they agree at each moment. */
  #tellReturn(): void {
    const run = this.#supervisor.run(REGISTRY);
    if (this.#returnTold === null || run === undefined || this.#overview?.isLive !== true) return;
    const [all, healthy] = [this.#services, this.#services.filter((role) => this.#isHealthy(role))].map(
      ({ length }) => length,
    );
    const rest = healthy === all ? 'again' : 'so far, the others confirm';
    const text = `r: the registry is back (pid ${run.pid}): ${healthy} of ${all} instances are HEALTHY ${rest}`;
    if (text !== this.#returnTold) this.#report.told(text);
    this.#returnTold = healthy === all ? null : text;
  }

  /** The examples publish their process ids as metadata. */
  #recognise(instance: Instance): void {
    const run = this.runs.find(({ pid }) => String(pid) === instance.metadata['pid']);
    if (run === undefined || run.instance === instance.id) return;
    run.instance = instance.id;
    const [endpoint] = instance.endpoints;
    if (run.role.name === GATEWAY && endpoint !== undefined) this.#places.gatewayPort = endpoint.port;
    this.#report.started(run);
  }

  #isHealthy(role: Role): boolean {
    const id = this.#supervisor.run(role.name)?.instance ?? null;
    return this.#overview?.instances.some((one) => one.id === id && one.state === 'HEALTHY') ?? false;
  }

  #becomeWhole(): void {
    const { registryUrl, gatewayPort } = this.#places;
    const registry = registryUrl ?? '';
    const gateway = `http://${addressOf({ host: '127.0.0.1', port: gatewayPort })}`;
    this.#isWhole = true;
    this.#report.whole({
      registry,
      dashboard: `${registry}/`,
      gateway,
      runs: this.runs,
      afterMs: Date.now() - this.#startedAt,
    });
    const { options } = this.#parts;
    if (options.rate > 0) this.#call(registry, gateway, options.rate);
    for (const [everyMs, signal] of [
      [options.killEveryMs, 'SIGKILL'],
      [options.stopEveryMs, 'SIGTERM'],
    ] as const) {
      if (everyMs !== null) this.#timers.push(setInterval(() => this.#deeds.strike(signal), everyMs));
    }
  }

  #call(registry: string, gateway: string, rate: number): void {
    this.#load = new Load(gateway, rate);
    this.#elsewhere = new Elsewhere(registry);
    this.#load.start();
    this.#timers.push(setInterval(() => this.#tellTraffic(), TRAFFIC_EVERY_MS));
  }

  #tellTraffic(): void {
    const traffic = this.traffic();
    if (traffic !== null) this.#report.traffic(traffic);
  }

  #tellWhoIsMissing(): void {
    if (this.#isWhole) return;
    const missing = this.#services.filter((role) => !this.#isHealthy(role)).map(({ name }) => name);
    const complaints = this.runs.flatMap(({ complaints: lines }) => lines.slice(-3));
    const text = `Not HEALTHY after ${PATIENCE_MS / 1_000} s: ${missing.join(', ')}.`;
    this.#report.complain([text, ...complaints].join('\n'));
  }
}
