import { Rollcall } from '@rollcall/client';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { until } from './until.js';

const INTERVAL_MS = 1_000;
/** Between two heartbeats where nobody says anything. */
const USUAL_MS = 5_000;

afterEach(endAll);

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Place {
  readonly url: string;
  readonly rollcall: Rollcall;
  launch(service: string, env?: NodeJS.ProcessEnv): Child;
  /** Is this process HEALTHY, for a caller? */
  isHealthy(child: Child, service: string): boolean;
  /** Null while nobody serves. */
  registry(): Promise<{ readonly replica: string } | null>;
}

async function place(more: NodeJS.ProcessEnv = {}): Promise<Place> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const rollcall = new Rollcall({ registry: url, heartbeatIntervalMs: INTERVAL_MS });
  onTestFinished(() => rollcall.close());
  rollcall.start();
  const base = { PORT: String(port), INTERVAL: String(INTERVAL_MS), NO_COLOR: '1', ...more };
  return {
    url,
    rollcall,
    launch: (service, env = {}) => start('embedded', [], { ...base, SERVICE: service, ...env }),
    isHealthy: ({ pid }, service) =>
      rollcall
        .service(service)
        .instances.some(({ state, metadata }) => state === 'HEALTHY' && metadata['pid'] === String(pid)),
    registry: async () => {
      const response = await fetch(`${url}/api/v1/registry`).catch(() => null);
      return response?.ok === true ? ((await response.json()) as { replica: string }) : null;
    },
  };
}

/** Resolves with how long it took, ms. */
async function served(here: Place, isNew: (answer: { replica: string }) => boolean): Promise<number> {
  const since = performance.now();
  for (;;) {
    const answer = await here.registry();
    if (answer !== null && isNew(answer)) return performance.now() - since;
    if (performance.now() - since > 20_000) throw new Error('Nobody serves the registry.');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('an embedded registry', () => {
  it('is taken over within one heartbeat when its holder is killed, and everybody finds the others again', async () => {
    const here = await place({ INTERVAL: String(USUAL_MS) });
    const holder = here.launch('holder');
    await holder.line(/This process serves the registry/);
    const others = ['orders', 'users'].map((service) => ({ service, child: here.launch(service) }));
    for (const { child } of others) await child.line(/Joined the registry/);
    const isWhole = (): boolean => others.every(({ child, service }) => here.isHealthy(child, service));
    await until('all are HEALTHY', isWhole);
    const before = await here.registry();
    holder.kill('SIGKILL');
    expect(await served(here, ({ replica }) => replica !== before?.replica)).toBeLessThan(USUAL_MS);
    await until(
      'all are listed by the new one',
      isListed(
        here,
        others.map(({ service }) => service),
      ),
      10_000,
    );
    expect(await here.rollcall.call('orders', 'find', {})).toMatch(/^orders-/);
    const heirs = others.filter(({ child }) => child.out.some((line) => line.includes('this process serves it now')));
    expect(heirs).toHaveLength(1);
  });

  it('keeps its folder: the one who takes over knows who was there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-embedded-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const here = await place({ FOLDER: folder });
    const holder = here.launch('holder');
    await holder.line(/This process serves the registry/);
    const orders = here.launch('orders');
    await until('it is HEALTHY', () => here.isHealthy(orders, 'orders'));
    const before = await here.registry();
    holder.kill('SIGKILL');
    await served(here, ({ replica }) => replica !== before?.replica);
    // nobody had to register again
    await until('it is HEALTHY there', () => here.isHealthy(orders, 'orders'));
    expect(orders.out.some((line) => line.includes('is registered again'))).toBe(false);
  });

  it('goes on while watch mode restarts its holder every moment: no call to another service fails', async () => {
    const here = await place();
    let holder = here.launch('holder');
    await holder.line(/This process serves the registry/);
    const orders = here.launch('orders');
    await until('it is HEALTHY', () => here.isHealthy(orders, 'orders'));
    const failures: unknown[] = [];
    const over = new AbortController();
    let calls = 0;
    const caller = (async () => {
      while (!over.signal.aborted) {
        await here.rollcall.call('orders', 'find', {}, { idempotent: false }).catch((error) => failures.push(error));
        calls += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    for (let restart = 0; restart < 4; restart += 1) {
      holder.kill('SIGTERM'); // as `node --watch` and `nest start --watch` do
      await holder.exited;
      holder = here.launch('holder');
      await holder.line(/listening/);
      await until('it is HEALTHY again', () => here.isHealthy(holder, 'holder'));
    }
    over.abort();
    await caller;
    expect(failures).toEqual([]);
    expect(calls).toBeGreaterThan(100);
    await until('orders is HEALTHY', () => here.isHealthy(orders, 'orders'));
    expect([holder, orders].flatMap(({ out, err }) => [...out, ...err]).filter((line) => /ERROR/.test(line))).toEqual(
      [],
    );
  });

  it('is refused in production, and the application starts all the same', async () => {
    const here = await place();
    const child = here.launch('orders', { NODE_ENV: 'production' });
    await child.line(/listening/);
    await until('it says so', () => child.err.some((line) => /did not start.*NODE_ENV=production/.test(line)));
    expect(await here.registry()).toBeNull();
  });
});

/** The registry that serves now lists an instance of each, HEALTHY. */
function isListed(here: Place, services: readonly string[]): () => boolean {
  const seen = new Set<string>();
  const look = async (service: string): Promise<void> => {
    const response = await fetch(`${here.url}/api/v1/services/${service}`).catch(() => null);
    if (response?.ok !== true) return;
    const { instances } = (await response.json()) as { instances: readonly { state: string }[] };
    if (instances.some(({ state }) => state === 'HEALTHY')) seen.add(service);
  };
  return () => {
    for (const service of services) if (!seen.has(service)) void look(service);
    return seen.size === services.length;
  };
}
