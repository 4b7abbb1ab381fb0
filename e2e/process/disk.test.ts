import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { until } from './until.js';

/** `DISK_KILLS=200 npm run e2e -- process disk` is the long one. */
const KILLS = Number(process.env['DISK_KILLS'] ?? 20);
/** Registrations under way at once, and how many are enough for one life. */
const CLIENTS = 8;
const ENOUGH = 60;
const SERVICE = 'ledgers';
const SECRET = 'a-secret-of-132-bits-22';

/** A registry that judges nobody, so that what is registered stays. */
function up(folder: string): Child {
  return start('rollcall', ['up', '--json', '--port', '0', '--interval', '3600000', '--data', folder]);
}

async function urlOf(registry: Child): Promise<string> {
  const { url } = JSON.parse(await registry.line(/^{/)) as { url: string };
  return url;
}

function post(url: string, body: object, secret?: string): Promise<Response> {
  const authorization = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
  const headers = { 'content-type': 'application/json', ...authorization };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

function register(url: string, id: string): Promise<Response> {
  return post(`${url}/api/v1/register`, {
    id,
    service: SERVICE,
    secret: SECRET,
    endpoints: [{ protocol: 'tcp', port: 9 }],
  });
}

async function idsAt(url: string): Promise<ReadonlySet<string>> {
  const { instances = [] } = (await (await fetch(`${url}/api/v1/services/${SERVICE}`)).json()) as {
    instances?: { id: string }[];
  };
  return new Set(instances.map(({ id }) => id));
}

/** At a moment that nobody can foresee, within so many ms. */
function killWithin(registry: Child, ms: number): Promise<unknown> {
  setTimeout(() => registry.kill('SIGKILL'), Math.random() * ms);
  return registry.exited;
}

/** Registers one after another until the registry is gone. */
async function registerAll(url: string, prefix: string, acknowledged: Set<string>): Promise<void> {
  for (let index = 0; index < ENOUGH / CLIENTS; index += 1) {
    const id = `${prefix}-${index}`;
    const answer = await register(url, id).catch(() => null);
    if (answer === null) return;
    if (answer.status === 201) acknowledged.add(id);
    await answer.text().catch(() => undefined);
  }
}

describe('a registry that is killed at any moment', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-kills-'));
  });
  afterAll(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it(
    `starts each of ${KILLS} times, and has everyone whom it acknowledged`,
    async () => {
      const acknowledged = new Set<string>();
      const lost = async (url: string): Promise<readonly string[]> => {
        const known = await idsAt(url);
        return [...acknowledged].filter((id) => !known.has(id));
      };
      for (let life = 0; life < KILLS; life += 1) {
        const registry = up(folder);
        // some do not live to see that they serve: they die while they read, or write their snapshot
        if (life % 4 === 3) {
          await killWithin(registry, 600);
          continue;
        }
        const url = await urlOf(registry);
        expect(await lost(url)).toEqual([]);
        const clients = Array.from({ length: CLIENTS }, (_, client) =>
          registerAll(url, `${life}-${client}`, acknowledged),
        );
        await Promise.all([killWithin(registry, 60), ...clients]);
      }
      const last = up(folder);
      expect(await lost(await urlOf(last))).toEqual([]);
      // or the kills came before anything had happened
      expect(acknowledged.size).toBeGreaterThan(KILLS);
      last.kill('SIGTERM');
      expect(await last.exited).toEqual({ code: 0, signal: null });
    },
    KILLS * 3_000 + 60_000,
  );
});

/** A small disk of its own; null where this user may not have one. */
function mountSmallDisk(at: string): { resize(size: string): void; unmount(): void } | null {
  const mount = (...args: readonly string[]): unknown => execFileSync('mount', [...args, at], { stdio: 'ignore' });
  try {
    mount('-t', 'tmpfs', '-o', 'size=256k', 'tmpfs');
  } catch {
    return null;
  }
  return {
    resize: (size) => mount('-o', `remount,size=${size}`),
    unmount: () => execFileSync('umount', [at]),
  };
}

describe('a registry whose disk is full', () => {
  let folder = '';
  let disk: ReturnType<typeof mountSmallDisk> = null;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-full-'));
    disk = mountSmallDisk(folder);
  });
  afterAll(async () => {
    await endAll();
    disk?.unmount();
    await rm(folder, { recursive: true });
  });

  it('refuses new registrations aloud, goes on with all else, and takes them again when there is room', async ({
    skip,
  }) => {
    if (disk === null) return skip('needs the right to mount a disk');
    const registry = up(join(folder, 'state'));
    const url = await urlOf(registry);
    const acknowledged: string[] = [];
    let refused: Response | null = null;
    for (let index = 0; refused === null && index < 5_000; index += 1) {
      const answer = await register(url, `full-${index}`);
      if (answer.status === 201) acknowledged.push(`full-${index}`);
      else refused = answer;
    }
    expect(refused?.status).toBe(503);
    expect(await refused?.json()).toMatchObject({ code: 'NOT_READY', detail: expect.stringContaining('cannot store') });
    await until('it says why', () => registry.err.some((line) => line.includes('the disk is full (ENOSPC)')));

    const [first = ''] = acknowledged;
    expect((await idsAt(url)).size).toBe(acknowledged.length);
    expect((await post(`${url}/api/v1/instances/${first}/heartbeat`, { seq: 1, nonce: null }, SECRET)).status).toBe(
      200,
    );
    expect((await register(url, first)).status).toBe(201);

    disk.resize('16m');
    expect((await register(url, 'room-again')).status).toBe(201);
    registry.kill('SIGKILL');
    await registry.exited;
    const next = up(join(folder, 'state'));
    expect([...(await idsAt(await urlOf(next)))].toSorted()).toEqual([...acknowledged, 'room-again'].toSorted());
    next.kill('SIGKILL');
    await next.exited;
  });
});

describe('a folder that a registry has', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-locked-'));
  });
  afterAll(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it('is refused to another one, also while it is frozen, and free at once when it was killed', async () => {
    const first = up(folder);
    await urlOf(first);
    first.kill('SIGSTOP');
    const second = up(folder);
    expect(await second.exited).toMatchObject({ code: 1 });
    expect(second.err.join('\n')).toContain(`${folder} is in use by another registry (process ${first.pid}).`);
    first.kill('SIGKILL');
    await first.exited;
    const third = up(folder);
    await urlOf(third);
    expect(third.err.join('\n')).toContain(`process ${first.pid} that is gone`);
    third.kill('SIGKILL');
    await third.exited;
  });
});
