import { Rollcall } from '@rollcall/client';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from './free-port.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { timed } from './stage.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 1_000;
/** The default heartbeat interval. */
const DEFAULT_INTERVAL_MS = 5_000;
/** In intervals: where this process was later than that, so were the processes that it observes. */
const FAIR_LAG_INTERVALS = 0.1;
/** How long the holder is restarted again and again, and the time between restarts. */
const WATCH_MS = 20_000;
const RESTART_MS = 2_500;

afterEach(endAll);

interface Place {
  readonly url: string;
  readonly rollcall: Rollcall;
  launch(service: string, env?: NodeJS.ProcessEnv): Child;
  /** Whether this process is HEALTHY, for a caller. */
  isHealthy(child: Child, service: string): boolean;
  /** Null while no process serves. */
  registry(): Promise<{ readonly replica: string } | null>;
}

/** `intervalMs` null: the default. */
async function createPlace(more: NodeJS.ProcessEnv = {}, intervalMs: number | null = INTERVAL_MS): Promise<Place> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const rollcall = new Rollcall({ registry: url, heartbeatIntervalMs: intervalMs ?? DEFAULT_INTERVAL_MS });
  onTestFinished(() => rollcall.close());
  rollcall.start();
  const interval = intervalMs === null ? {} : { INTERVAL: String(intervalMs) };
  const base = { PORT: String(port), ...interval, NO_COLOR: '1', ...more };
  return {
    url,
    rollcall,
    launch: (service, env = {}) => start('embedded', [], { ...base, SERVICE: service, ...env }),
    isHealthy: ({ pid }, service) =>
      rollcall
        .service(service)
        .instances.some(({ state, metadata }) => state === 'HEALTHY' && metadata['pid'] === String(pid)),
    registry: async () => {
      // a holder that ends may have accepted the connection, but not the request
      const response = await fetch(`${url}/api/v1/registry`, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
      return response?.ok === true ? ((await response.json()) as { replica: string }) : null;
    },
  };
}

/** Resolves with how long it took, ms. */
async function waitForRegistry(here: Place, isNew: (answer: { replica: string }) => boolean): Promise<number> {
  const since = performance.now();
  for (;;) {
    const answer = await here.registry();
    if (answer !== null && isNew(answer)) return performance.now() - since;
    if (performance.now() - since > 20_000) throw new Error('No process serves the registry.');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('an embedded registry', () => {
  it.each([
    ['500 ms', 500],
    ['the default', null],
  ])('is taken over within one heartbeat when its holder is killed: an interval of %s', async (_, intervalMs) => {
    const beatMs = intervalMs ?? DEFAULT_INTERVAL_MS;
    await timed(
      beatMs,
      async (lag) => {
        await endAll();
        const here = await createPlace({}, intervalMs);
        const holder = here.launch('holder');
        await holder.line(/This process serves the registry/);
        const services = ['orders', 'users'];
        const others = services.map((service) => here.launch(service));
        for (const child of others) await child.line(/Joined the registry/);
        await waitFor('all are HEALTHY', () => others.every((child, at) => here.isHealthy(child, services[at] ?? '')));
        const before = await here.registry();
        holder.kill('SIGKILL');
        const tookMs = await waitForRegistry(here, ({ replica }) => replica !== before?.replica);
        expect(tookMs / beatMs).toBeLessThan(1 + lag());
        await waitFor('all are listed by the new one', isListed(here, services), 10_000);
        expect(await here.rollcall.call('orders', 'find', {})).toMatch(/^orders-/);
        expect(others.filter(isHolder)).toHaveLength(1);
      },
      FAIR_LAG_INTERVALS,
    );
  });

  it('keeps its folder: its successor knows the registered instances', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-embedded-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const here = await createPlace({ FOLDER: folder });
    const holder = here.launch('holder');
    await holder.line(/This process serves the registry/);
    const orders = here.launch('orders');
    await waitFor('it is HEALTHY', () => here.isHealthy(orders, 'orders'));
    const before = await here.registry();
    holder.kill('SIGKILL');
    await waitForRegistry(here, ({ replica }) => replica !== before?.replica);
    // no instance had to register again
    await waitFor('it is HEALTHY there', () => here.isHealthy(orders, 'orders'));
    expect(orders.out.some((line) => line.includes('is registered again'))).toBe(false);
  });

  it('continues while watch mode keeps restarting its holder: no call fails', async () => {
    const here = await createPlace();
    const children = new Set([here.launch('orders')]);
    await [...children][0]?.line(/This process serves the registry/);
    for (let more = 0; more < 2; more += 1) children.add(here.launch('orders'));
    const isWhole = (): boolean => [...children].every((child) => here.isHealthy(child, 'orders'));
    await waitFor('all are HEALTHY', isWhole);
    const calling = callRepeatedly(() => here.rollcall.call('orders', 'find', {}, { idempotent: false }));
    const replicas = new Set<string>();
    const look = (): Promise<number> => waitForRegistry(here, ({ replica }) => replicas.add(replica).has(replica));
    await look();
    const since = performance.now();
    for (let restarts = 1; performance.now() - since < WATCH_MS; restarts += 1) {
      const holder = await waitFor('a process holds it', () => [...children].find(isHolder));
      holder.kill('SIGTERM'); // as `node --watch` and `nest start --watch` send it
      await waitFor('the holder has ended', () => !holder.isAlive).catch((error: unknown) => {
        throw new Error([String(error), ...holder.out.slice(-12), ...holder.err.slice(-12)].join('\n'));
      });
      children.delete(holder);
      expect(warningsOf(holder)).toEqual([]);
      children.add(here.launch('orders'));
      await waitFor('all are HEALTHY again', isWhole);
      await look();
      expect(replicas.size).toBe(restarts + 1);
      await waitFor('it is time for the next', () => performance.now() - since >= restarts * RESTART_MS);
    }
    const { calls, failures } = await calling.stop();
    expect(failures).toEqual([]);
    expect(calls).toBeGreaterThan(1_000);
    expect([...children].flatMap(warningsOf)).toEqual([]);
  });

  it('is refused in production, and the application starts anyway', async () => {
    const here = await createPlace();
    const child = here.launch('orders', { NODE_ENV: 'production' });
    await child.line(/listening/);
    await waitFor('it logs that', () => child.err.some((line) => /did not start.*NODE_ENV=production/.test(line)));
    expect(await here.registry()).toBeNull();
  });
});

const isHolder = ({ out }: Child): boolean => out.some((line) => /[Tt]his process serves/.test(line));
const warningsOf = ({ out, err }: Child): string[] => [...out, ...err].filter((line) => line.includes('ERROR'));

/** One call after the other. */
function callRepeatedly(call: () => Promise<unknown>) {
  const over = new AbortController();
  const failures: unknown[] = [];
  let calls = 0;
  const calling = (async () => {
    while (!over.signal.aborted) {
      await call().catch((error) => failures.push(error));
      calls += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const stop = async () => {
    over.abort();
    await calling;
    return { calls, failures };
  };
  return { stop };
}

/** Whether the registry that serves now lists an instance of each, HEALTHY. */
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
