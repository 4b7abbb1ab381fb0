import { cp, mkdir, mkdtemp, readdir, rename, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beat, fetchIds, register, startRegistry, urlOf } from './plain-requests.js';
import { doctor, finding } from './doctor-stage.js';
import { endAll } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

/** A second, and what a busy machine may add to it. */
const NOTICED_MS = 5_000;

/** The registry's report about its store; null: nothing is wrong. */
async function fetchTrouble(url: string): Promise<string | null> {
  const { store } = (await (await fetch(`${url}/api/v1/registry`)).json()) as {
    store: { trouble: { text: string } | null };
  };
  return store.trouble?.text ?? null;
}

const hasLogged = (registry: Child, text: string): boolean => registry.err.some((line) => line.includes(text));

describe('the folder under a running registry', () => {
  let root = '';
  let folder = '';
  let registry: Child;
  let url = '';
  const acknowledged = new Set<string>();

  async function start(): Promise<void> {
    // it decides nothing
    registry = startRegistry(3_600_000, ['--data', folder]);
    url = await urlOf(registry);
  }

  async function join5(prefix: string): Promise<void> {
    for (let index = 0; index < 5; index += 1) {
      const id = `${prefix}-${index}`;
      expect((await register(url, id)).status).toBe(201);
      acknowledged.add(id);
    }
  }

  /** After kill -9. */
  async function restart(): Promise<void> {
    registry.kill('SIGKILL');
    await registry.exited;
    await start();
  }

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'rollcall-folder-'));
    folder = join(root, 'data');
    acknowledged.clear();
    await start();
    await join5('before');
  });
  afterEach(async () => {
    await endAll();
    await rm(root, { recursive: true });
  });

  /** It reports the fault and refuses registrations, and continues everything else. */
  async function expectRefusal(text: string): Promise<void> {
    await waitFor('the registry reports the fault', async () => (await fetchTrouble(url))?.includes(text), NOTICED_MS);
    const refused = await register(url, 'refused');
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'NOT_READY' });
    expect((await beat(url, 'before-0')).status).toBe(200);
    expect(await fetchIds(url)).toEqual(acknowledged);
    // once; the refusal of a registration is another line
    const reports = registry.err.filter(
      (line) => line.includes(text) && !/refused the registration|could not keep/.test(line),
    );
    expect(reports).toHaveLength(1);
  }

  it('is deleted: registrations are refused until it is back, and then contains all instances', async () => {
    await rm(folder, { recursive: true });
    await expectRefusal(`${folder} is gone`);
    finding(await doctor(url, ['--no-ports']), 'store-trouble', /is gone.*mkdir/, /ls -ld/);
    await mkdir(folder);
    await waitFor('the registry reports no fault', async () => (await fetchTrouble(url)) === null, NOTICED_MS);
    await join5('after');
    await restart();
    expect(await fetchIds(url)).toEqual(acknowledged);
  });

  it('is moved away and moved back', async () => {
    await rename(folder, join(root, 'away'));
    await expectRefusal(`${folder} is gone`);
    await rename(join(root, 'away'), folder);
    await waitFor('the registry reports no fault', async () => (await fetchTrouble(url)) === null, NOTICED_MS);
    await join5('after');
    await restart();
    expect(await fetchIds(url)).toEqual(acknowledged);
  });

  it('loses its log: no instance acknowledged before or after is forgotten', async () => {
    for (const name of await readdir(folder)) if (name.startsWith('log-')) await unlink(join(folder, name));
    await join5('after');
    expect(hasLogged(registry, 'Nothing is lost: everything was written anew.')).toBe(true);
    await restart();
    expect(await fetchIds(url)).toEqual(acknowledged);
  });

  it('is replaced by that of another registry, which is left unchanged', async () => {
    const other = join(root, 'other');
    await cp(folder, other, { recursive: true });
    for (const name of await readdir(other)) {
      // stopped, as its lock shows
      if (name.startsWith('lock-')) await rename(join(other, name), join(other, `${name}.free`));
    }
    await rename(folder, join(root, 'away'));
    await rename(other, folder);
    const before = await readdir(folder);
    await expectRefusal('the data of another registry');
    expect(await readdir(folder)).toEqual(before);
    registry.kill('SIGTERM');
    expect(await registry.exited).toMatchObject({ code: 0 });
    expect(await readdir(folder)).toEqual(before);
  });
});
