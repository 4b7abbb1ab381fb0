import { Rollcall } from '@rollcall/client';
import type { Instance, State } from '@rollcall/core';
import { startTestRegistry } from '@rollcall/registry/testing';
import { start } from './child.js';
import { quantile, round, single, spreadOf } from './harness.js';
import type { Bench, Report } from './harness.js';

const DEATHS = 40;

/** Resolves with the moment at which a watcher's own copy says so. */
function seen(rollcall: Rollcall, is: (instances: readonly Instance[]) => boolean): Promise<number> {
  return new Promise((resolve) => {
    const view = rollcall.service('mortal');
    const look = (): void => {
      if (!is(view.instances)) return;
      stop();
      resolve(Date.now());
    };
    const stop = view.onChange(look);
    look();
  });
}

const ofState = (state: State, instances: readonly Instance[]): number =>
  instances.filter((instance) => instance.state === state).length;

async function run(report: Report): Promise<void> {
  const registry = await startTestRegistry({ intervalMs: 5_000 });
  const watcher = new Rollcall({ registry: registry.url });
  watcher.start();
  const births: number[] = [];
  const deaths: number[] = [];
  const others = await Promise.all([0, 1].map(() => start('tcp-service', ['rollcall', registry.url, 'mortal'])));
  try {
    await seen(watcher, (instances) => ofState('HEALTHY', instances) === 2);
    for (let i = 0; i < DEATHS; i += 1) {
      const mortal = await start('tcp-service', ['rollcall', registry.url, 'mortal']);
      const healthyAt = await seen(watcher, (instances) => ofState('HEALTHY', instances) === 3);
      births.push(healthyAt - (JSON.parse(mortal.said) as { listeningAt: number }).listeningAt);
      const dead = seen(watcher, (instances) => ofState('HEALTHY', instances) === 2);
      const killedAt = Date.now();
      mortal.process.kill('SIGKILL');
      deaths.push((await dead) - killedAt);
    }
  } finally {
    await watcher.close();
    await Promise.all(others.map((child) => child.kill()));
    await registry.close();
  }
  report(single('listening to HEALTHY at a watcher, p50', 'ms', births, '<= 300 ms'));
  report(single('SIGKILL to CRITICAL at a watcher, p50', 'ms', deaths, '<= 50 ms'));
  report({
    metric: 'SIGKILL to CRITICAL at a watcher, p99',
    unit: 'ms',
    value: round(quantile(deaths, 0.99)),
    target: '<= 200 ms',
    spread: spreadOf(deaths),
    runs: deaths.length,
  });
}

export const death: Bench = {
  name: 'death',
  question: 'How long after SIGKILL do callers still know the dead instance as HEALTHY, and how soon is a new one?',
  run,
};
