import { Rollcall } from '@rollcall/client';
import type { Instance, State } from '@rollcall/core';
import { start } from './child.js';
import type { Child } from './child.js';
import { quantile, round, single, spreadOf } from './harness.js';
import type { Bench, Report } from './harness.js';

/** The number of live instances beside those that die, and of their processes. */
const FLEETS = [
  { instances: 0, processes: 0, deaths: 20 },
  { instances: 1_000, processes: 2, deaths: 40 },
];
const SERVICES = 10;
const POLL_MS = 100;

/** Resolves with the moment at which a watcher's own copy shows it. */
function waitForView(rollcall: Rollcall, matches: (instances: readonly Instance[]) => boolean): Promise<number> {
  return new Promise((resolve) => {
    const view = rollcall.service('mortal');
    const check = (): void => {
      if (!matches(view.instances)) return;
      stop();
      resolve(Date.now());
    };
    const stop = view.onChange(check);
    check();
  });
}

const countInState = (state: State, instances: readonly Instance[]): number =>
  instances.filter((instance) => instance.state === state).length;

interface Services {
  readonly services: readonly { readonly instances: number; readonly states: Readonly<Record<State, number>> }[];
}

/** Starts light instances; resolves when all of them are HEALTHY. */
async function startInstances(url: string, instances: number, processes: number): Promise<readonly Child[]> {
  const each = instances / processes / SERVICES;
  const wishes = Array.from({ length: SERVICES }, (_, index) => `around-${index}=${each}`);
  const crowds = await Promise.all(Array.from({ length: processes }, () => start('crowd', [url, ...wishes])));
  for (;;) {
    const { services } = (await (await fetch(`${url}/api/v1/services`)).json()) as Services;
    const healthy = services.reduce((sum, { states }) => sum + states.HEALTHY, 0);
    if (healthy >= instances) return crowds;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

interface Lifetimes {
  readonly births: readonly number[];
  readonly deaths: readonly number[];
}

/** Starts one instance after another beside two that stay, and kills it; ms until the watcher knows. */
async function measureLifetimes(url: string, watcher: Rollcall, count: number): Promise<Lifetimes> {
  const births: number[] = [];
  const deaths: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const victim = await start('tcp-service', ['rollcall', url, 'mortal']);
    const healthyAt = await waitForView(watcher, (instances) => countInState('HEALTHY', instances) === 3);
    births.push(healthyAt - (JSON.parse(victim.readyMessage) as { listeningAt: number }).listeningAt);
    const diedAt = waitForView(watcher, (instances) => countInState('HEALTHY', instances) === 2);
    const killedAt = Date.now();
    victim.process.kill('SIGKILL');
    deaths.push((await diedAt) - killedAt);
  }
  return { births, deaths };
}

/** A registry in a process of its own, this many instances in others, and those that die. */
async function measureAmong({ instances, processes, deaths }: (typeof FLEETS)[number]): Promise<Lifetimes> {
  const registry = await start('feed-registry', []);
  const url = registry.readyMessage;
  const watcher = new Rollcall({ registry: url });
  watcher.start();
  const children: Child[] = [registry];
  try {
    children.push(...(await startInstances(url, instances, processes)));
    const peers = [0, 1].map(() => start('tcp-service', ['rollcall', url, 'mortal']));
    children.push(...(await Promise.all(peers)));
    await waitForView(watcher, (known) => countInState('HEALTHY', known) === 2);
    return await measureLifetimes(url, watcher, deaths);
  } finally {
    await watcher.close();
    await Promise.all(children.map((child) => child.kill()));
  }
}

async function run(report: Report): Promise<void> {
  for (const fleet of FLEETS) {
    const { births, deaths } = await measureAmong(fleet);
    const where = `${fleet.instances} around`;
    report(single(`listening to HEALTHY at a watcher, p50, ${where}`, 'ms', births, '<= 300 ms'));
    report(single(`SIGKILL to CRITICAL at a watcher, p50, ${where}`, 'ms', deaths, '<= 50 ms'));
    report({
      metric: `SIGKILL to CRITICAL at a watcher, p99, ${where}`,
      unit: 'ms',
      value: round(quantile(deaths, 0.99)),
      target: '<= 200 ms',
      spread: spreadOf(deaths),
      runs: deaths.length,
    });
  }
}

export const death: Bench = {
  name: 'death',
  question: 'How long after SIGKILL do callers still know the dead instance as HEALTHY, and how soon is a new one?',
  run,
};
