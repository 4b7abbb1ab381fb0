// One process that uses far more services than one stream of the change feed carries, and a registry that restarts
// during that.
import { Rollcall } from '@rollcall/client';
import type { ServiceView } from '@rollcall/client';
import { startTestRegistry } from '@rollcall/registry/testing';
import { Agent, request } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { waitFor } from './wait-for.js';

/** Long enough for two thousand instances that do not answer, short enough to be settled soon. */
const INTERVAL_MS = 4_000;
const LONGEST_MS = 60_000;

const nameOf = (i: number): string => `service-${i}`;

/** Registers one instance of each over plain HTTP; no process listens at its port. */
async function registerAll(url: string, names: readonly string[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const register = (service: string, port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const asked = request(`${url}/api/v1/register`, { method: 'POST', agent, headers }, (answer) => {
        answer.resume().on('end', () => {
          if (answer.statusCode === 201) resolve();
          else reject(new Error(`${service}: ${answer.statusCode}`));
        });
      });
      const endpoints = [{ protocol: 'tcp', port }];
      asked.on('error', reject);
      asked.end(JSON.stringify({ id: `${service}-1`, service, secret: 'a-secret-of-the-test-000', endpoints }));
    });
  await Promise.all(names.map((name, i) => register(name, 20_000 + i)));
  agent.destroy();
}

function startCaller(url: string): Rollcall {
  const caller = new Rollcall({ registry: url });
  onTestFinished(() => caller.close());
  caller.start();
  return caller;
}

const countOf = (views: readonly ServiceView[], status: ServiceView['status']): number =>
  views.filter((view) => view.status === status).length;

it.each([1_000, 2_000])('uses %d services at once and knows them all', { timeout: 120_000 }, async (count) => {
  const registry = await startTestRegistry({ intervalMs: INTERVAL_MS });
  onTestFinished(() => registry.close());
  const names = Array.from({ length: count }, (_, i) => nameOf(i));
  await registerAll(registry.url, names);
  const caller = startCaller(registry.url);

  const views = names.map((name) => caller.service(name));
  let unknown = 0;
  const all = (): boolean => {
    unknown += countOf(views, 'unknown');
    return countOf(views, 'known') === count;
  };
  await waitFor('all services are known', all, LONGEST_MS);
  expect(unknown).toBe(0);
  expect(views.every(({ instances, stale }) => instances.length === 1 && !stale)).toBe(true);
});

it(
  'knows them all after the registry restarted, and suggests a name for an unknown service',
  {
    timeout: 180_000,
  },
  async () => {
    const first = await startTestRegistry({ intervalMs: 2_000 });
    onTestFinished(() => first.close());
    const names = Array.from({ length: 600 }, (_, i) => nameOf(i));
    await registerAll(first.url, names);
    const caller = startCaller(first.url);
    const views = names.map((name) => caller.service(name));
    const missing = caller.service('service-12x');
    await waitFor('all services are known', () => countOf(views, 'known') === names.length, LONGEST_MS);
    await waitFor('the name is unknown', () => missing.status === 'unknown', LONGEST_MS);
    await expect(caller.call('service-12x', 'find', {})).rejects.toMatchObject({
      code: 'UNKNOWN_SERVICE',
      message: expect.stringMatching(/Did you mean service-\d+\?/),
    });

    const { answers } = missing;
    const { port } = new URL(first.url);
    await first.close();
    await waitFor('the copy is stale', () => views.every(({ stale }) => stale), LONGEST_MS);
    const second = await startTestRegistry({ port: Number(port), intervalMs: 2_000 });
    onTestFinished(() => second.close());
    await registerAll(second.url, [...names, 'newcomer']);
    const lateService = caller.service('newcomer');
    await waitFor(
      'the second registry has published all',
      () => lateService.status === 'known' && views.every(({ stale }) => !stale),
      LONGEST_MS,
    );
    expect(countOf(views, 'known')).toBe(names.length);
    await waitFor('the second registry has answered for the name', () => missing.answers > answers, LONGEST_MS);
    expect(missing).toMatchObject({ status: 'unknown', stale: false });
  },
);
