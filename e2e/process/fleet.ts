import { Rollcall } from '@rollcall/client';
import type { ServiceView } from '@rollcall/client';
import { isSubstitute } from '@rollcall/core';
import { startRegistry, urlOf } from './plain-requests.js';
import { start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';
import { Witness } from './witness.js';

/** The number of instances of each service. */
export type InstanceCounts = Readonly<Record<string, number>>;

export interface FleetOptions {
  readonly intervalMs: number;
  /** The instances of each process. */
  readonly groups: readonly InstanceCounts[];
  /** Arguments of `rollcall up`; default `--memory`. */
  readonly args?: readonly string[];
}

const MEMORY_ARGS = ['--memory'];

/** One process with many instances. */
export interface InstanceGroup {
  readonly child: Child;
  readonly ids: readonly string[];
}

/** A registry, many light instances in few processes, a client that could call them all, and an observer of the feed. */
export class Fleet {
  readonly intervalMs: number;
  registry: Child;
  readonly url: string;
  readonly witness: Witness;
  readonly groups: readonly InstanceGroup[];
  readonly #args: readonly string[];
  readonly #caller: Rollcall;
  readonly #callable = new Map<string, number>();

  /** See `openFleet`. */
  constructor(options: FleetOptions, parts: Pick<Fleet, 'registry' | 'url' | 'groups'>) {
    const { intervalMs, groups, args = MEMORY_ARGS } = options;
    this.intervalMs = intervalMs;
    this.#args = args;
    this.registry = parts.registry;
    this.url = parts.url;
    this.groups = parts.groups;
    this.witness = new Witness(parts.url);
    const services = new Set(groups.flatMap((counts) => Object.keys(counts)));
    this.#caller = new Rollcall({ registry: this.url });
    this.#caller.start();
    for (const name of services) this.#trackFewest(this.#caller.service(name));
  }

  get ids(): readonly string[] {
    return this.groups.flatMap(({ ids }) => ids);
  }

  /** For every service, the fewest instances that the client could call at any moment since all were HEALTHY first. */
  get fewestCallable(): ReadonlyMap<string, number> {
    return this.#callable;
  }

  /** Resolves when all of these are HEALTHY. */
  async waitUntilHealthy(ids: readonly string[] = this.ids): Promise<void> {
    const wanted = new Set(ids);
    const count = (): number =>
      this.witness.instances.filter(({ id, state }) => state === 'HEALTHY' && wanted.has(id)).length;
    const timeoutMs = 8 * this.intervalMs + 20_000;
    await waitFor(`${wanted.size} are HEALTHY`, () => count() === wanted.size, timeoutMs).catch((error: unknown) => {
      const lastErrors = [this.registry, ...this.groups.map(({ child }) => child)].flatMap(({ err }) => err.slice(-5));
      throw new Error([`${String(error)}, but ${count()}`, ...lastErrors].join('\n'));
    });
  }

  /** Resolves after this many intervals: to check that meanwhile nothing happens. */
  async waitIntervals(intervals: number): Promise<void> {
    const ms = intervals * this.intervalMs;
    const at = performance.now() + ms;
    await waitFor(`${intervals} intervals are over`, () => performance.now() >= at, 2 * ms + 20_000);
  }

  /** The instances that were in this state at any time from `at` on, in the notation of `Witness.historyOf`. */
  instancesInState(state: string, at: number): readonly string[] {
    return this.ids.filter((id) => this.witness.historyOf(id, at).some((entry) => entry.startsWith(state)));
  }

  /**
   * Kills the registry and starts it again, on the same port and folder. `meanwhile` runs while it is down. Resolves
   * when it serves.
   */
  async restartRegistry(meanwhile: () => Promise<void> = async () => {}): Promise<void> {
    this.registry.kill('SIGKILL');
    await this.registry.exited;
    await meanwhile();
    this.registry = startRegistry(this.intervalMs, this.#args, Number(new URL(this.url).port));
    await urlOf(this.registry);
    this.witness.restart();
  }

  /** Kills all processes. */
  async close(): Promise<void> {
    this.witness.close();
    const children = [this.registry, ...this.groups.map(({ child }) => child)];
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map(({ exited }) => exited));
    await this.#caller.close();
  }

  /** Counts from the first moment at which any instance can be called. */
  #trackFewest(view: ServiceView): void {
    view.onChange(() => {
      const callable = view.instances.filter(isSubstitute).length;
      const fewest = this.#callable.get(view.service);
      const isFirst = fewest === undefined && callable === view.instances.length && callable > 0;
      if (isFirst || (fewest ?? 0) > callable) this.#callable.set(view.service, callable);
    });
  }
}

/** Resolves when everything runs and is HEALTHY. */
export async function openFleet(options: FleetOptions): Promise<Fleet> {
  const { intervalMs, args = MEMORY_ARGS } = options;
  const registry = startRegistry(intervalMs, args);
  const url = await urlOf(registry);
  const children = options.groups.map((counts) => {
    const sizes = Object.entries(counts).map(([service, count]) => `${service}=${count}`);
    return start('crowd', [url, ...sizes]);
  });
  const groups = await Promise.all(
    children.map(async (child) => {
      const { ids } = JSON.parse(await child.line(/^{/)) as { ids: readonly string[] };
      return { child, ids };
    }),
  );
  const fleet = new Fleet(options, { registry, url, groups });
  await fleet.waitUntilHealthy();
  return fleet;
}
