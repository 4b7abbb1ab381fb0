import type { Instance } from '@rollcall/core';
import type { InstanceChange } from 'rollcall';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startRegistry, urlOf } from './plain-requests.js';
import { load } from './load.js';
import type { Load } from './load.js';
import { start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';
import { Witness } from './witness.js';
import type { RecordedChange } from './witness.js';

export type Service = 'a' | 'b' | 'gateway';

export interface StageOptions {
  readonly intervalMs: number;
  readonly a: number;
  readonly b: number;
}

/** A registry, services and a gateway in processes of their own, and an observer of the feed. */
export class Stage {
  readonly intervalMs: number;
  readonly services: Record<Service, Child[]> = { a: [], b: [], gateway: [] };
  registry: Child;
  readonly url: string;
  readonly #witness: Witness;
  #gateway = '';

  constructor(registry: Child, url: string, intervalMs: number) {
    this.registry = registry;
    this.url = url;
    this.intervalMs = intervalMs;
    this.#witness = new Witness(url);
  }

  /** Everything that happened, in order. */
  get history(): readonly RecordedChange[] {
    return this.#witness.history;
  }

  get instances(): readonly Instance[] {
    return this.#witness.instances;
  }

  get revision(): number {
    return this.#witness.revision;
  }

  /** The gateway's URL. */
  get gateway(): string {
    return this.#gateway;
  }

  launch(service: Service): Child {
    const child = start(service, [], { ROLLCALL_URL: this.url, PORT: '0' });
    this.services[service].push(child);
    return child;
  }

  /** The id of a process's instance, once it has registered; removed ones too. */
  idOf(child: Child): string | null {
    const isOwnRecord = ({ instance }: InstanceChange): boolean => instance.metadata['pid'] === String(child.pid);
    return this.history.find(isOwnRecord)?.instance.id ?? null;
  }

  instanceOf(child: Child): Instance | undefined {
    return this.instances.find(({ metadata }) => metadata['pid'] === String(child.pid));
  }

  /** Resolves when every live process is HEALTHY. */
  async waitUntilHealthy(): Promise<void> {
    const alive = Object.values(this.services)
      .flat()
      .filter(({ isAlive }) => isAlive);
    const unhealthy = (): readonly Child[] => alive.filter((child) => this.instanceOf(child)?.state !== 'HEALTHY');
    await waitFor('everything is HEALTHY', () => unhealthy().length === 0).catch((error: unknown) => {
      const facts = alive.map(
        (child) => `${child.pid} ${this.instanceOf(child)?.state} ${child.err.slice(-3).join(' | ')}`,
      );
      throw new Error([String(error), ...facts].join('\n'));
    });
    if (this.#gateway === '') this.#gateway = this.#gatewayUrl();
  }

  /** The states of one instance from `at` on, each with its reason's code; the last entry is the reason of its removal. */
  historyOf(id: string, at = 0): readonly string[] {
    return this.#witness.historyOf(id, at);
  }

  load(perSecond: number): Load {
    return load(this.#gateway, ['/a/ping', '/b/ping'], perSecond);
  }

  /** Starts the registry again, on the same port, and watches it from the moment it serves. Resolves then. */
  async restartRegistry(): Promise<void> {
    this.registry = startRegistry(this.intervalMs, MEMORY, Number(new URL(this.url).port));
    await urlOf(this.registry);
    this.#witness.restart();
  }

  async close(): Promise<void> {
    this.#witness.close();
    const all = [...Object.values(this.services).flat(), this.registry];
    for (const child of all) child.kill('SIGKILL');
    await Promise.all(all.map(({ exited }) => exited));
  }

  #gatewayUrl(): string {
    const endpoint = this.instances.find(({ service }) => service === 'gateway')?.endpoints[0];
    return endpoint === undefined ? '' : `http://${endpoint.host}:${endpoint.port}`;
  }
}

const MEMORY = ['--memory'];

/** Resolves when everything runs and is HEALTHY. */
export async function openStage({ intervalMs, a, b }: StageOptions): Promise<Stage> {
  const registry = startRegistry(intervalMs, MEMORY);
  const url = await urlOf(registry);
  const stage = new Stage(registry, url, intervalMs);
  for (let count = 0; count < a; count += 1) stage.launch('a');
  for (let count = 0; count < b; count += 1) stage.launch('b');
  stage.launch('gateway');
  await stage.waitUntilHealthy();
  return stage;
}

/**
 * Runs a test whose assertions are counted in intervals; `lag` is how late this process itself was meanwhile, at worst
 * and in intervals. A run in which that was more than `maxLag` proves nothing about the product: when it fails it is
 * repeated once, and that is logged.
 */
export async function timed(
  intervalMs: number,
  run: (lag: () => number) => Promise<void>,
  maxLag = 0.5,
): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const lag = (): number => delay.max / 1e6 / intervalMs;
  delay.enable();
  try {
    await run(lag);
  } catch (error) {
    if (lag() <= maxLag) throw error;
    console.warn(`Repeated once: this process was late by ${lag().toFixed(1)} intervals. ${String(error)}`);
    delay.reset();
    await run(lag);
  } finally {
    if (lag() > maxLag) console.warn(`Judged loosely: this process was late by ${lag().toFixed(1)} intervals.`);
    delay.disable();
  }
}
