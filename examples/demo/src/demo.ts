import { HttpLink } from '@rollcall/client';
import { addressOf, systemRandom, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { Overview, RegistryApi } from 'rollcall';
import type { InstanceChange, View } from 'rollcall';
import { GATEWAY, isExpendable, REGISTRY, registryRole, serviceRoles } from './cast.js';
import type { Places } from './cast.js';
import type { DemoOptions } from './options.js';
import type { Report } from './report/report.js';
import { Supervisor } from './supervisor.js';
import type { Role, Run } from './supervisor.js';

/** Time for a drain; a frozen process is not waited for longer. */
const SERVICES_GRACE_MS = 4_000;
const REGISTRY_GRACE_MS = 2_000;
/** Something is wrong if not everything is HEALTHY by then. */
const PATIENCE_MS = 30_000;

export interface DemoParts {
  readonly options: DemoOptions;
  makeReport(demo: Demo): Report;
  /** The registry did not even start: there is no demo. */
  failed(): void;
}

/** A registry, three instances of a, two of b and a gateway, kept alive and watched. */
export class Demo {
  readonly #parts: DemoParts;
  readonly #places: Places;
  readonly #registry: Role;
  readonly #services: readonly Role[];
  readonly #supervisor: Supervisor;
  readonly #report: Report;
  readonly #startedAt = Date.now();
  readonly #timers: NodeJS.Timeout[] = [];
  #overview: Overview | null = null;
  readonly #frozen = new Set<string>();
  #isWhole = false;
  #closing: Promise<void> | null = null;

  constructor(parts: DemoParts) {
    const { options } = parts;
    this.#parts = parts;
    this.#places = { registryPort: options.ports.registry, gatewayPort: options.ports.gateway, registryUrl: null };
    this.#registry = registryRole(options, this.#places);
    this.#services = serviceRoles(this.#places);
    this.#supervisor = new Supervisor({
      restartAfterMs: options.restartAfterMs,
      said: (run, line) => this.#said(run, line),
      exited: (run, how) => this.#exited(run, how),
    });
    this.#report = parts.makeReport(this);
  }

  /** What runs now. */
  get runs(): readonly Run[] {
    return [this.#registry, ...this.#services].flatMap(({ name }) => this.#supervisor.run(name) ?? []);
  }

  /** What the registry says; null before it serves for the first time. */
  view(): Omit<View, 'heartbeats'> | null {
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

  start(): void {
    this.#supervisor.start(this.#registry);
    this.#timers.push(setTimeout(() => this.#tellWhoIsMissing(), PATIENCE_MS));
  }

  /** Hits one process at random, but never the last HEALTHY one of its service: then calls would fail, as they should. */
  strike(signal: NodeJS.Signals): void {
    const healthy = this.#services.filter((role) => isExpendable(role) && this.#isHealthy(role));
    const victims = healthy.filter(({ service }) => healthy.filter((other) => other.service === service).length > 1);
    const victim = victims[Math.floor(Math.random() * victims.length)];
    if (victim === undefined) return;
    this.#supervisor.signal(victim.name, signal);
    if (signal === 'SIGSTOP') this.#frozen.add(victim.name);
  }

  /** Lets what was frozen go on. */
  thaw(): void {
    for (const name of this.#frozen) this.#supervisor.signal(name, 'SIGCONT');
    this.#frozen.clear();
  }

  get isFrozen(): boolean {
    return this.#frozen.size > 0;
  }

  killRegistry(): void {
    this.#supervisor.signal(REGISTRY, 'SIGKILL');
  }

  /** Ends every process: the services first, so that they can say goodbye. May be called twice: the second time kills at once. */
  close(): Promise<void> {
    if (this.#closing !== null) for (const { role } of this.runs) this.#supervisor.signal(role.name, 'SIGKILL');
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#supervisor.end(
      this.#services.map(({ name }) => name),
      SERVICES_GRACE_MS,
    );
    await this.#supervisor.end([REGISTRY], REGISTRY_GRACE_MS);
    this.#overview?.close();
    this.#report.close();
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
      link: new HttpLink({ url, time: systemTime }),
      time: systemTime,
      random: systemRandom,
      changed: (changes) => this.#changed(changes),
    });
    this.#overview.start();
    for (const role of this.#services) this.#supervisor.start(role);
  }

  #exited(run: Run, how: string): void {
    this.#frozen.delete(run.role.name);
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
    if (!this.#isWhole && this.#services.every((role) => this.#isHealthy(role))) this.#becomeWhole();
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
    const { options } = this.#parts;
    const { registryUrl, gatewayPort } = this.#places;
    this.#isWhole = true;
    this.#report.whole({
      registry: registryUrl ?? '',
      gateway: `http://${addressOf({ host: '127.0.0.1', port: gatewayPort })}`,
      runs: this.runs,
      afterMs: Date.now() - this.#startedAt,
    });
    if (options.killEveryMs !== null) this.#timers.push(setInterval(() => this.strike('SIGKILL'), options.killEveryMs));
    if (options.stopEveryMs !== null) this.#timers.push(setInterval(() => this.strike('SIGTERM'), options.stopEveryMs));
  }

  #tellWhoIsMissing(): void {
    if (this.#isWhole) return;
    const missing = this.#services.filter((role) => !this.#isHealthy(role)).map(({ name }) => name);
    const complaints = this.runs.flatMap(({ complaints: lines }) => lines.slice(-3));
    const text = `Not HEALTHY after ${PATIENCE_MS / 1_000} s: ${missing.join(', ')}.`;
    this.#report.complain([text, ...complaints].join('\n'));
  }
}
