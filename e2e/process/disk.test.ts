import { watch } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchIds, register, startRegistry, urlOf, fetchVersions } from './plain-requests.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';

/** `DISK_KILLS=200 npm run e2e -- process disk` runs it for longer. */
const KILLS = Number(process.env['DISK_KILLS'] ?? 20);
/** Concurrent registrations, and how many are enough per run of the registry. */
const CLIENTS = 8;
const REGISTRATIONS_PER_LIFE = 60;

/** A registry that decides nothing, so that registered instances stay. */
function startUndecidingRegistry(folder: string): Child {
  return startRegistry(3_600_000, ['--data', folder]);
}

/** At a random moment within `ms`. */
function killWithin(registry: Child, ms: number): Promise<unknown> {
  setTimeout(() => registry.kill('SIGKILL'), Math.random() * ms);
  return registry.exited;
}

/** Registers one after another until the registry is gone. */
async function registerAll(url: string, prefix: string, acknowledged: Set<string>): Promise<void> {
  for (let index = 0; index < REGISTRATIONS_PER_LIFE / CLIENTS; index += 1) {
    const id = `${prefix}-${index}`;
    const answer = await register(url, id).catch(() => null);
    if (answer === null) return;
    if (answer.status === 201) acknowledged.add(id);
    await answer.text().catch(() => undefined);
  }
}

describe('a registry that is killed at any moment', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-kills-'));
  });
  afterEach(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it(
    `starts each of ${KILLS} times, and has every instance that it acknowledged`,
    async () => {
      const acknowledged = new Set<string>();
      const lost = async (url: string): Promise<readonly string[]> => {
        const known = await fetchIds(url);
        return [...acknowledged].filter((id) => !known.has(id));
      };
      for (let life = 0; life < KILLS; life += 1) {
        const registry = startUndecidingRegistry(folder);
        // some die before they serve: while they read, or write their snapshot
        if (life % 4 === 3) {
          await killWithin(registry, 600);
          continue;
        }
        const url = await urlOf(registry);
        expect(await lost(url)).toEqual([]);
        const before = acknowledged.size;
        const clients = Array.from({ length: CLIENTS }, (_, client) =>
          registerAll(url, `${life}-${client}`, acknowledged),
        );
        // every other one dies with changes on its disk, however slow the machine is
        if (life % 2 === 0)
          await vi.waitFor(() => expect(acknowledged.size).toBeGreaterThan(before), { timeout: 30_000, interval: 5 });
        await Promise.all([killWithin(registry, 60), ...clients]);
      }
      const last = startUndecidingRegistry(folder);
      expect(await lost(await urlOf(last))).toEqual([]);
      // else the kills came before anything had happened
      expect(acknowledged.size).toBeGreaterThanOrEqual(KILLS / 2);
      last.kill('SIGTERM');
      expect(await last.exited).toEqual({ code: 0, signal: null });
    },
    KILLS * 3_000 + 60_000,
  );
});

/** Kills it as soon as it has begun a snapshot, or while the snapshot replaces its predecessor. */
async function killInSnapshot(registry: Child, folder: string): Promise<void> {
  const watcher = watch(folder, (_event, name) => {
    if (name?.endsWith('.tmp') === true) void killWithin(registry, 4);
  });
  await registry.exited;
  watcher.close();
}

/** Updates each of its own instances in turn until the registry is gone; remembers the last acknowledged update. */
async function updateRepeatedly(url: string, ids: readonly string[], acknowledged: Map<string, number>): Promise<void> {
  for (let index = 0; ; index += 1) {
    const id = ids[index % ids.length] ?? '';
    const version = (acknowledged.get(id) ?? 0) + 1;
    const answer = await register(url, id, String(version)).catch(() => null);
    if (answer === null) return;
    if (answer.status === 201) acknowledged.set(id, version);
    await answer.text().catch(() => undefined);
  }
}

describe('a registry that is killed in the middle of a snapshot', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-snapshots-'));
  });
  afterAll(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it(
    `starts each of ${KILLS} times, and has the last acknowledged record of every instance`,
    async () => {
      const acknowledged = new Map<string, number>();
      const groups = Array.from({ length: CLIENTS }, (_, client) =>
        Array.from({ length: 16 }, (_member, index) => `${client}-${index}`),
      );
      const lost = async (url: string): Promise<readonly string[]> => {
        const versions = await fetchVersions(url);
        return [...acknowledged].filter(([id, version]) => !(Number(versions.get(id)) >= version)).map(([id]) => id);
      };
      let unfinished = 0;
      for (let life = 0; life < KILLS; life += 1) {
        const registry = start('keeper', [folder, '65536']);
        if (life % 2 === 0) {
          const url = await urlOf(registry);
          expect(await lost(url)).toEqual([]);
          await Promise.all([
            killInSnapshot(registry, folder),
            ...groups.map((ids) => updateRepeatedly(url, ids, acknowledged)),
          ]);
        } else {
          // the snapshot with which it begins
          await killInSnapshot(registry, folder);
        }
        if ((await readdir(folder)).some((name) => name.endsWith('.tmp'))) unfinished += 1;
      }
      const last = start('keeper', [folder, '65536']);
      expect(await lost(await urlOf(last))).toEqual([]);
      // else every kill came too late
      expect(unfinished).toBeGreaterThan(0);
      last.kill('SIGKILL');
      await last.exited;
    },
    KILLS * 3_000 + 60_000,
  );
});

describe('a folder in use by a registry', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-locked-'));
  });
  afterAll(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it('is refused to another registry, even while the first is frozen, and free at once after a kill', async () => {
    const first = startUndecidingRegistry(folder);
    await urlOf(first);
    first.kill('SIGSTOP');
    const second = startUndecidingRegistry(folder);
    expect(await second.exited).toMatchObject({ code: 1 });
    expect(second.err.join('\n')).toContain(`${folder} is in use by another registry (process ${first.pid}).`);
    first.kill('SIGKILL');
    await first.exited;
    const third = startUndecidingRegistry(folder);
    await urlOf(third);
    expect(third.err.join('\n')).toContain(`process ${first.pid} that is gone`);
    third.kill('SIGKILL');
    await third.exited;
  });
});
