import { HttpRegistryClient } from '@rollcall/client';
import { addressOf, systemRandom, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { Overview, RegistryApi } from 'rollcall';
import type { InstanceChange, View } from 'rollcall';
import { nextRole, PARTITIONABLE, GATEWAY, REGISTRY, registryRole, serviceRoles } from './roles.js';
import type { Addresses } from './roles.js';
import { Actions } from './actions.js';
import type { Action } from './actions.js';
import type { PartitionProxy } from './partition-proxy.js';
import { RetryCounter } from './load/retry-counter.js';
import { Load } from './load/load.js';
import type { Traffic } from './load/traffic-text.js';
import type { DemoOptions } from './options.js';
import type { Ports } from './ports.js';
import type { Report } from './report/report.js';
import { Supervisor } from './supervisor.js';
import type { Role, Run } from './supervisor.js';

/** The time for a drain; frozen processes are killed after it. */
const SERVICES_GRACE_MS = 4_000;
const REGISTRY_GRACE_MS = 2_000;
/** Missing instances are reported after this time. */
const READY_TIMEOUT_MS = 30_000;
const TRAFFIC_EVERY_MS = 5_000;
/** The limit of instances of a and b for one machine; each takes some 80 MiB. */
const MAX_ROLES = 13;

export interface DemoParts {
  readonly options: DemoOptions;
  readonly ports: Ports;
  /** The proxy in front of one instance; null: this machine cannot have one. */
  readonly proxy: PartitionProxy | null;
  makeReport(demo: Demo): Report;
  /** The registry did not even start: there is no demo. */
  failed(): void;
}

/** A registry, three instances of a, two of b and a gateway, kept alive, called and watched. */
export class Demo {
  readonly #parts: DemoParts;
  readonly #addresses: Addresses;
  readonly #registry: Role;
  #services: readonly Role[];
  readonly #supervisor: Supervisor;
  readonly #actions: Actions;
  readonly #report: Report;
  readonly #startedAt = Date.now();
  readonly #timers: NodeJS.Timeout[] = [];
  #overview: Overview | null = null;
  #load: Load | null = null;
  #retryCounter: RetryCounter | null = null;
  #isReady = false;
  /** A key requested the registry's restart, and no other action followed. */
  #isRestartAsked = false;
  /** The last notice about its return; null: it is not restarting, or all is reported. */
  #returnNotice: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: DemoParts) {
    const { options, ports, proxy } = parts;
    this.#parts = parts;
    this.#addresses = { registryPort: ports.registry, gatewayPort: ports.gateway, registryUrl: null };
    this.#registry = registryRole(options, this.#addresses);
    this.#services = serviceRoles(this.#addresses, proxy);
    this.#supervisor = new Supervisor({
      restartAfterMs: options.restartAfterMs,
      spawned: ({ role }) => this.#setRunning(role, true),
      printed: (run, line) => this.#printed(run, line),
      exited: (run, how) => this.#exited(run, how),
    });
    this.#actions = new Actions({
      supervisor: this.#supervisor,
      proxy,
      restartAfterMs: options.restartAfterMs,
      roles: () => this.#services,
      isHealthy: (role) => this.#isHealthy(role),
      add: () => this.#add(),
    });
    this.#report = parts.makeReport(this);
  }

  /** The running processes. */
  get runs(): readonly Run[] {
    return [this.#registry, ...this.#services].flatMap(({ name }) => this.#supervisor.run(name) ?? []);
  }

  /** The registry's view; null before it serves for the first time. */
  view(): Omit<View, 'heartbeats' | 'calls'> | null {
    const overview = this.#overview;
    if (overview === null) return null;
    const { isLive, lastMessageAt, revision, instances } = overview;
    return { url: this.#addresses.registryUrl ?? '', isLive, lastMessageAt, revision, instances };
  }

  /** The registry's measurements of its instances. */
  async measure(): Promise<View['heartbeats']> {
    const url = this.#addresses.registryUrl;
    if (url === null || this.#overview?.isLive !== true) return new Map();
    return new RegistryApi(url).heartbeats(this.#overview.instances.map(({ id }) => id));
  }

  /** The results of the demo's own calls; null: it makes none, or not yet. */
  traffic(): Traffic | null {
    if (this.#load === null) return null;
    return { ...this.#load.read(), elsewhere: this.#retryCounter?.count ?? 0 };
  }

  /** `notes`: deviations from the defaults. */
  start(notes: readonly string[]): void {
    for (const note of notes) this.#report.notice(note);
    this.#supervisor.start(this.#registry);
    this.#timers.push(setTimeout(() => this.#reportMissing(), READY_TIMEOUT_MS));
  }

  /** A key was pressed. */
  press(key: string, action: Action): void {
    if (this.#closing !== null) return;
    // another action replaces the notice
    this.#isRestartAsked = action === 'restart';
    this.#returnNotice = null;
    this.#report.notice(`${key}: ${this.#actions.do(action)}`);
  }

  /**
   * Ends every process: the services first, so that they can deregister. May be called twice: the second time kills at
   * once.
   */
  close(): Promise<void> {
    if (this.#closing !== null) for (const { role } of this.runs) this.#supervisor.signal(role.name, 'SIGKILL');
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    // first of all: calls that fail because everything ends do not count
    this.#load?.close();
    this.#reportTraffic();
    this.#retryCounter?.close();
    this.#report.notice('Ending: the services deregister first.');
    await this.#supervisor.end(
      this.#services.map(({ name }) => name),
      SERVICES_GRACE_MS,
    );
    await this.#supervisor.end([REGISTRY], REGISTRY_GRACE_MS);
    this.#overview?.close();
    this.#parts.proxy?.close();
    this.#report.close();
  }

  /** One more instance of a or b; null: there are enough, or no registry yet. */
  #add(): Run | null {
    if (this.#addresses.registryUrl === null || this.#services.length >= MAX_ROLES) return null;
    const role = nextRole(this.#services, this.#addresses);
    this.#services = [...this.#services, role];
    return this.#supervisor.start(role);
  }

  #setRunning(role: Role, isRunning: boolean): void {
    if (role.name === PARTITIONABLE) this.#parts.proxy?.setRunning(isRunning);
  }

  #printed(run: Run, line: string): void {
    if (run.role === this.#registry && line.startsWith('{')) this.#registryServes(run, line);
  }

  #registryServes(run: Run, line: string): void {
    const { url } = JSON.parse(line) as { url: string }; // as `rollcall up --json` promises
    this.#report.started(run);
    if (this.#overview !== null) return;
    this.#addresses.registryUrl = url;
    this.#addresses.registryPort = Number(new URL(url).port);
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
    this.#actions.forget(run.role.name);
    if (run.role === this.#registry && this.#isRestartAsked) this.#returnNotice = '';
    this.#setRunning(run.role, false);
    if (run.role === this.#registry ? this.#addresses.registryUrl !== null : run.instance !== null) {
      this.#report.exited(run, how);
    }
    if (this.#closing !== null || how.startsWith('SIG')) return;
    if (how !== 'code 0') this.#report.warn([`${run.role.name} ended (${how}):`, ...run.stderrLines].join('\n'));
    if (this.#addresses.registryUrl === null) this.#parts.failed();
  }

  #changed(changes: readonly InstanceChange[]): void {
    this.#report.changed(changes);
    for (const { instance, removed } of changes) if (removed === null) this.#recognise(instance);
    this.#reportReturn();
    if (!this.#isReady && this.#services.every((role) => this.#isHealthy(role))) this.#reportReady();
  }

  /**
   * Reports the progress of the registry's restart, by the rows that are shown: the sentence and they agree at each
   * moment.
   */
  #reportReturn(): void {
    const run = this.#supervisor.run(REGISTRY);
    if (this.#returnNotice === null || run === undefined || this.#overview?.isLive !== true) return;
    const [all, healthy] = [this.#services, this.#services.filter((role) => this.#isHealthy(role))].map(
      ({ length }) => length,
    );
    const rest = healthy === all ? 'again' : 'so far, the others confirm';
    const text = `r: the registry is back (pid ${run.pid}): ${healthy} of ${all} instances are HEALTHY ${rest}`;
    if (text !== this.#returnNotice) this.#report.notice(text);
    this.#returnNotice = healthy === all ? null : text;
  }

  /** The examples publish their process ids as metadata. */
  #recognise(instance: Instance): void {
    const run = this.runs.find(({ pid }) => String(pid) === instance.metadata['pid']);
    if (run === undefined || run.instance === instance.id) return;
    run.instance = instance.id;
    const [endpoint] = instance.endpoints;
    if (run.role.name === GATEWAY && endpoint !== undefined) this.#addresses.gatewayPort = endpoint.port;
    this.#report.started(run);
  }

  #isHealthy(role: Role): boolean {
    const id = this.#supervisor.run(role.name)?.instance ?? null;
    return this.#overview?.instances.some((one) => one.id === id && one.state === 'HEALTHY') ?? false;
  }

  #reportReady(): void {
    const { registryUrl, gatewayPort } = this.#addresses;
    const registry = registryUrl ?? '';
    const gateway = `http://${addressOf({ host: '127.0.0.1', port: gatewayPort })}`;
    this.#isReady = true;
    this.#report.ready({
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
      if (everyMs !== null) this.#timers.push(setInterval(() => this.#actions.signalRandom(signal), everyMs));
    }
  }

  #call(registry: string, gateway: string, rate: number): void {
    this.#load = new Load(gateway, rate);
    this.#retryCounter = new RetryCounter(registry);
    this.#load.start();
    this.#timers.push(setInterval(() => this.#reportTraffic(), TRAFFIC_EVERY_MS));
  }

  #reportTraffic(): void {
    const traffic = this.traffic();
    if (traffic !== null) this.#report.traffic(traffic);
  }

  #reportMissing(): void {
    if (this.#isReady) return;
    const missing = this.#services.filter((role) => !this.#isHealthy(role)).map(({ name }) => name);
    const stderrLines = this.runs.flatMap(({ stderrLines: lines }) => lines.slice(-3));
    const text = `Not HEALTHY after ${READY_TIMEOUT_MS / 1_000} s: ${missing.join(', ')}.`;
    this.#report.warn([text, ...stderrLines].join('\n'));
  }
}
