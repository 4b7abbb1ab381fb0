import { ManualTime, recordingLog } from '@rollcall/core/testing';
import {
  appendFile,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  unlink,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { storedInstance } from '../contract.js';
import type { Store } from '../store.js';
import { Bench } from './disk.fixture.js';
import { diskStore } from './disk.js';

const LOG = 'log-000000001';
const SNAPSHOT = 'snapshot-000000001';
const put = (id: string, revision = 1) => [{ put: storedInstance(id, revision) }];

/** A store in a real folder, which a test takes away from under it. */
class Place {
  readonly time = new ManualTime();
  readonly log = recordingLog();
  readonly root: string;
  readonly folder: string;
  readonly store: Store;
  #copies = 0;

  constructor(root: string, compactAtBytes = 1_000_000) {
    this.root = root;
    this.folder = join(root, 'data');
    this.store = diskStore({ folder: this.folder, time: this.time, log: this.log, compactAtBytes });
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  /** Lets a second pass: that much it may take to notice. */
  async second(): Promise<void> {
    await this.time.advanceBy(1_000);
  }

  fault(): string | null {
    return this.store.fault?.()?.text ?? null;
  }

  async untilFault(text: string): Promise<void> {
    await this.second();
    await expect.poll(() => this.fault(), { timeout: 10_000 }).toContain(text);
  }

  async untilLogged(text: string): Promise<void> {
    await this.second();
    await expect.poll(() => this.log.texts().join('\n'), { timeout: 10_000 }).toContain(text);
  }

  /** Whom a registry would find that starts after this one was killed. */
  async found(folder = this.folder): Promise<readonly string[]> {
    this.#copies += 1;
    const copy = join(this.root, `copy-${this.#copies}`);
    await cp(folder, copy, { recursive: true, filter: (path) => !path.includes('lock-') });
    const store = diskStore({ folder: copy });
    const { instances } = await store.load();
    await store.close();
    return instances.map(({ record }) => record.id);
  }

  /**
   * The folder of another registry, in which `z` is registered; `isRunning`: else it was killed, and its lock is left.
   */
  async otherFolder(isRunning: boolean): Promise<string> {
    const folder = join(this.root, 'other');
    const copy = join(this.root, 'other-copy');
    const store = diskStore({ folder });
    await store.load();
    await store.write(put('z'));
    await cp(folder, copy, { recursive: true });
    await store.close();
    return isRunning ? copy : folder;
  }
}

async function bytesIn(folder: string): Promise<Readonly<Record<string, string>>> {
  const names = (await readdir(folder)).toSorted();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  );
}

let root = '';
let place: Place;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rollcall-life-'));
  place = new Place(root);
  await place.store.load();
  await place.store.write(put('a'));
});
afterEach(async () => {
  await place.store.close();
  await rm(root, { recursive: true });
});

/** Damage to the folder after which the store can continue at the path, and the text of its log. */
const REPAIRED: readonly (readonly [name: string, logs: string, harm: () => Promise<unknown>])[] = [
  ['a deleted log', `${LOG} was deleted or moved away`, () => unlink(place.at(LOG))],
  ['a log that was moved away', `${LOG} was deleted or moved away`, () => rename(place.at(LOG), join(root, 'log'))],
  ['a log that was replaced', `${LOG} was replaced by another file`, () => replace(place.at(LOG))],
  ['a log that was emptied', `${LOG} was changed`, () => truncate(place.at(LOG))],
  ['a log that was appended to from outside', `${LOG} was changed`, () => appendFile(place.at(LOG), 'x')],
  ['a deleted snapshot', `${SNAPSHOT} was deleted or moved away`, () => unlink(place.at(SNAPSHOT))],
  ['a snapshot that was cut', `${SNAPSHOT} was replaced by another file`, () => truncate(place.at(SNAPSHOT), 10)],
  ['a folder that was emptied', `${LOG} was deleted or moved away`, () => emptied(place.folder)],
  ['a folder that was deleted and created again', 'was replaced by another folder', () => remade(place.folder)],
  ['a folder that was replaced by a copy', `${LOG} was replaced by another file`, () => copied(place.folder)],
  ['a folder without its log and its lock', `${LOG} was deleted`, () => emptied(place.folder, SNAPSHOT)],
];

/** A file with the same content, as an editor leaves it. */
async function replace(path: string): Promise<void> {
  await copyFile(path, `${path}.swp`);
  await rename(`${path}.swp`, path);
}

async function emptied(folder: string, kept = ''): Promise<void> {
  for (const name of await readdir(folder)) if (name !== kept) await unlink(join(folder, name));
}

async function remade(folder: string): Promise<void> {
  await rm(folder, { recursive: true });
  await mkdir(folder);
}

async function copied(folder: string): Promise<void> {
  await cp(folder, `${folder}-copy`, { recursive: true });
  await rm(folder, { recursive: true });
  await rename(`${folder}-copy`, folder);
}

describe.each(REPAIRED)('%s', (_name, logs, harm) => {
  it('is noticed within a second, and everything is written again, which is logged once', async () => {
    await harm();
    await place.untilLogged(logs);
    expect(await place.found()).toEqual(['a']);
    expect(place.fault()).toBeNull();
    await place.second();
    expect(place.log.texts('warn')).toEqual([expect.stringContaining('Nothing is lost: everything was written anew.')]);
    expect(place.log.texts('error')).toEqual([]);
    await place.store.write(put('b'));
    expect(await place.found()).toEqual(['a', 'b']);
  });
});

describe('files of another registry', () => {
  it('are kept under other names if they replaced its own', async () => {
    const other = await place.otherFolder(false);
    const before = await bytesIn(other);
    await emptied(place.folder);
    // its snapshot is an empty one, as ours is
    for (const name of [SNAPSHOT, LOG]) await copyFile(join(other, name), place.at(name));
    await place.untilLogged(`Other files that were there are kept as ${LOG}.aside-1.`);
    expect((await bytesIn(place.folder))[`${LOG}.aside-1`]).toBe(before[LOG]);
    expect(await place.found()).toEqual(['a']);
  });
});

describe.each(REPAIRED.filter(([, logs]) => logs.includes(LOG) && !logs.includes('changed')))(
  '%s',
  (_name, _says, harm) => {
    it('is noticed before the next write is acknowledged', async () => {
      await harm();
      await place.store.write(put('b'));
      expect(await place.found()).toEqual(['a', 'b']);
    });
  },
);

describe('a folder that is not at its path any more', () => {
  it('is noticed within a second without a write, is logged once, and refuses writes until it is back', async () => {
    const away = join(root, 'away');
    await rename(place.folder, away);
    await place.untilFault(`${place.folder} is gone`);
    await expect(place.store.write(put('refused'))).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: true });
    await place.second();
    await place.second();
    expect(place.log.texts('error')).toEqual([place.fault()]);
    expect(place.fault()).toContain(`mkdir ${place.folder}`);
    expect(place.store.fault?.()?.sinceMs).toBeGreaterThanOrEqual(2_000);

    await rename(away, place.folder);
    await place.untilLogged('is in its place again');
    expect(place.fault()).toBeNull();
    await place.store.write(put('b'));
    expect(await place.found()).toEqual(['a', 'b']);
  });

  it('is noticed at a write: a record in the moved folder is neither acknowledged nor found when it is back', async () => {
    const away = join(root, 'away');
    await rename(place.folder, away);
    await expect(place.store.write(put('refused'))).rejects.toThrow('is gone');
    expect(await place.found(away)).toEqual(['a']);
  });

  it('is written again as soon as there is an empty one', async () => {
    await rm(place.folder, { recursive: true });
    await place.untilFault('is gone');
    await mkdir(place.folder);
    await place.untilLogged('was replaced by another folder');
    expect(await place.found()).toEqual(['a']);
    await place.store.write(put('b'));
    expect(await place.found()).toEqual(['a', 'b']);
    // it has a lock there, too
    await expect(diskStore({ folder: place.folder }).load()).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });
});

describe('a folder that comes back', () => {
  it('after an empty one was used in its place is accepted, and everything is written there', async () => {
    const away = join(root, 'away');
    await rename(place.folder, away);
    await mkdir(place.folder);
    await place.untilLogged('everything was written anew');
    await place.store.write(put('b'));
    await rename(place.folder, join(root, 'between'));
    await rename(away, place.folder);
    await place.untilLogged(`In ${place.folder} log-`);
    await place.store.write(put('c'));
    expect(await place.found()).toEqual(['a', 'b', 'c']);
    expect(place.fault()).toBeNull();
  });
});

describe.each([
  ['was stopped', false],
  ['is running, or was killed', true],
])('the folder of another registry, which %s, in the place of this one', (_name, isRunning) => {
  it('is not touched; writes are refused until it is gone again, and then everything is written', async () => {
    const other = await place.otherFolder(isRunning);
    const before = await bytesIn(other);
    await rm(place.folder, { recursive: true });
    await rename(other, place.folder);
    await place.untilFault('the data of another registry');
    await expect(place.store.write(put('refused'))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    for (let count = 0; count < 5; count += 1) await place.second();
    expect(place.log.texts('error')).toEqual([place.fault()]);
    expect(await bytesIn(place.folder)).toEqual(before);

    await rename(place.folder, other);
    await mkdir(place.folder);
    await place.untilLogged('everything was written anew');
    await place.store.write(put('b'));
    expect(await place.found()).toEqual(['a', 'b']);
    expect(await bytesIn(other)).toEqual(before);
  });

  it('is not touched by a store that closes', async () => {
    const other = await place.otherFolder(isRunning);
    const before = await bytesIn(other);
    await rm(place.folder, { recursive: true });
    await rename(other, place.folder);
    await place.store.close();
    expect(await bytesIn(place.folder)).toEqual(before);
  });

  it('is not touched by snapshots that were under way either', async () => {
    await place.store.close();
    place = new Place(root, 1_000);
    await place.store.load();
    const other = await place.otherFolder(isRunning);
    const before = await bytesIn(other);
    const writes = Array.from({ length: 200 }, async (_, index) => {
      for (let turn = 0; turn < index; turn += 1) await new Promise(setImmediate);
      if (index === 100) {
        await rename(place.folder, join(root, 'away'));
        await rename(other, place.folder);
      }
      return place.store.write(put('a', index)).catch(() => null);
    });
    await Promise.all(writes);
    await place.untilFault('the data of another registry');
    // the draft of a snapshot may exist at the moment of the change: it is deleted, and nothing else is there
    await expect.poll(() => bytesIn(place.folder), { timeout: 10_000 }).toEqual(before);
  });
});

describe('files that were removed from a disk that now refuses writes', () => {
  it('are written again as soon as it accepts them, and not forgotten meanwhile', async () => {
    const bench = new Bench();
    const { disk, log, time } = bench;
    const store = bench.store();
    await store.load();
    await store.write(put('a'));
    disk.unlink(LOG);
    disk.refuse('ENOSPC', ['create']);
    await time.advanceBy(3_000);
    expect(store.fault()).toMatchObject({ text: expect.stringContaining('the disk is full (ENOSPC)') });
    await expect(store.write(put('refused'))).rejects.toThrow('was deleted or moved away');
    expect(log.texts('error')).toHaveLength(1);
    disk.repair();
    await time.advanceBy(1_000);
    expect(store.fault()).toBeNull();
    disk.end('power');
    expect((await bench.load()).instances.map(({ record }) => record.id)).toEqual(['a']);
  });
});
