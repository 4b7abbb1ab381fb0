import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { storeContract, storedInstance, storedTombstone } from '../contract.js';
import type { Contents, Store } from '../store.js';
import { Bench } from './disk.fixture.js';
import { diskStore } from './disk.js';
import type { FolderFile } from './folder.js';

const roots: string[] = [];
const folders = new WeakMap<Store, string>();

async function newFolder(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'rollcall-disk-'));
  roots.push(root);
  return join(root, 'registry', 'state');
}

function storeAt(folder: string): Store {
  const store = diskStore({ folder });
  folders.set(store, folder);
  return store;
}

afterAll(() => Promise.all(roots.map((root) => rm(root, { recursive: true }))));

storeContract('disk', {
  open: async () => storeAt(await newFolder()),
  reopen: async (store) => storeAt(folders.get(store)!),
});

const idsOf = ({ instances }: Contents): readonly string[] => instances.map(({ record }) => record.id);
const put = (id: string, revision = 1) => [{ put: storedInstance(id, revision) }];

describe('a store in a folder of this machine', () => {
  it('is readable by its owner alone, as it has hashes of secrets', async () => {
    const folder = await newFolder();
    const store = storeAt(folder);
    await store.load();
    expect((await stat(folder)).mode & 0o077).toBe(0);
    expect((await stat(join(folder, 'log-000000001'))).mode & 0o077).toBe(0);
    await store.close();
  });

  it('is refused while another store uses it, and free after that one has closed', async () => {
    const folder = await newFolder();
    const [first, second] = [storeAt(folder), storeAt(folder)];
    await first.load();
    await expect(second.load()).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      message: `${folder} is in use by another registry (process ${process.pid}). End that one, or name another folder.`,
    });
    await first.close();
    await second.load();
    await second.close();
  });

  it('may be loaded again once it is closed', async () => {
    const store = storeAt(await newFolder());
    await store.load();
    await store.write(put('a'));
    await store.close();
    expect(idsOf(await store.load())).toEqual(['a']);
    await store.write(put('b'));
    await store.close();
  });

  it('reports the reason if nothing can be stored there', async () => {
    const folder = join(fileURLToPath(import.meta.url), 'state');
    await expect(diskStore({ folder }).load()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: `Nothing can be kept in ${folder}: part of the path is a file (ENOTDIR): name another folder.`,
    });
  });

  it.each([
    [{ folder: 'state', compactAtByte: 1 }, 'Did you mean compactAtBytes?'],
    [{ folder: 'state', compactAtBytes: 0 }, 'a whole number of bytes from 1'],
    [{}, 'folder is missing'],
  ])('checks its options at once: %j', (options, text) => {
    expect(() => diskStore(options as { folder: string })).toThrow(text);
  });
});

describe('writes to a disk', () => {
  it('share one sync if the disk was busy', async () => {
    const { disk, ...bench } = await started();
    const before = disk.verbs;
    const writes = Array.from({ length: 100 }, (_, index) => bench.store.write(put(`a${index}`)));
    await Promise.all(writes);
    // one append and one sync
    expect(disk.verbs - before).toBe(2);
  });

  it('are acknowledged only once they are synced', async () => {
    const { disk, bench, store } = await started();
    let isDone = false;
    disk.endsAt = disk.verbs + 1;
    void store.write(put('a')).then(() => (isDone = true));
    await bench.settle();
    expect(disk.files.get('log-000000001')!.toString()).toContain('"a"');
    expect(isDone).toBe(false);
  });

  it.each([
    ['ENOSPC', 'the disk is full (ENOSPC): free some space on it', ['append', 'create']],
    ['EIO', 'the disk reports an error of its own (EIO)', ['sync']],
    ['EROFS', 'the disk is mounted read-only (EROFS)', undefined],
  ] as const)(
    'are not kept if it refuses them with %s, and later ones are as soon as it accepts them',
    async (code, text, verbs) => {
      const { disk, bench, store } = await started();
      await store.write(put('before'));
      disk.refuse(code, verbs);
      const refused = store.write(put('refused'));
      await expect(refused).rejects.toMatchObject({
        code: 'STORE_FAILED',
        retryable: true,
        message: expect.stringContaining(`/data does not take writes: ${text}`),
      });
      disk.repair();
      await bench.time.advanceBy(1_000);
      await store.write(put('after'));
      await store.close();
      expect(idsOf(await bench.load())).toEqual(['before', 'after']);
    },
  );

  it('are cut off if a full disk has written half of them, so that the log continues', async () => {
    const { disk, store } = await started();
    disk.faults.push({ verb: 'append', code: 'ENOSPC' });
    await expect(store.write(put('a'))).rejects.toThrow('the disk is full');
    await store.write(put('b'));
    expect([...disk.files.keys()].filter((name) => !name.startsWith('lock'))).toEqual([
      'snapshot-000000001',
      'log-000000001',
    ]);
  });

  it('never go to a log whose sync has failed', async () => {
    const { disk, bench, store } = await started();
    await store.write(put('a'));
    disk.faults.push({ verb: 'sync', code: 'EIO' });
    await expect(store.write(put('b'))).rejects.toThrow('EIO');
    await store.write(put('c'));
    expect([...disk.files.keys()].filter((name) => !name.startsWith('lock'))).toEqual([
      'snapshot-000000002',
      'log-000000002',
    ]);
    expect(bench.log.texts('info')).toContainEqual(expect.stringContaining('takes writes again'));
  });

  it('try a broken disk once a second if each needs a new snapshot', async () => {
    const { disk, bench, store } = await started();
    disk.refuse('EROFS');
    for (let count = 0; count < 50; count += 1) await expect(store.write(put('a'))).rejects.toThrow('read-only');
    // the write that was refused, its end cut off, and one attempt at a snapshot
    const before = disk.verbs;
    for (let count = 0; count < 50; count += 1) await expect(store.write(put('a'))).rejects.toThrow('read-only');
    expect(disk.verbs).toBe(before);
    await bench.time.advanceBy(900);
    disk.repair();
    await expect(store.write(put('a'))).rejects.toThrow('read-only');
    await bench.time.advanceBy(100);
    await store.write(put('a'));
  });

  it('are refused if too many are queued', async () => {
    const { store } = await started();
    const long = storedInstance('a', 1);
    const big = { ...long, record: { ...long.record, metadata: { text: 'x'.repeat(4_000_000) } } };
    const all = Array.from({ length: 20 }, () => store.write([{ put: big }]));
    const outcomes = await Promise.allSettled(all);
    expect(outcomes.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'STORE_FAILED', message: expect.stringContaining('does not keep up') } },
      {},
      {},
    ]);
    await store.write(put('b'));
  });
});

describe('a log that has grown', () => {
  it('is replaced by a snapshot, and older files are deleted', async () => {
    const { disk, bench, store } = await started();
    for (let revision = 1; revision <= 20; revision += 1) await store.write(put('a', revision));
    await store.write([{ bury: storedTombstone('b', 21) }]);
    await bench.settle();
    const size = [...disk.files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    expect(size).toBeLessThan(6_000);
    expect(disk.files.size).toBe(3);
    await store.close();
    const found = await bench.load();
    expect(found.instances.map(({ record }) => record.revision)).toEqual([20]);
    expect(found.tombstones.map(({ id }) => id)).toEqual(['b']);
  });

  it('does not make writes wait for the snapshot', async () => {
    const bench = new Bench();
    const gate = new EventEmitter();
    const opened = once(gate, 'open');
    const folder = bench.disk.mount();
    const slow = (file: FolderFile): FolderFile => ({
      ...file,
      append: async (bytes) => {
        await opened;
        return file.append(bytes);
      },
    });
    const create = async (name: string) =>
      name === 'snapshot-000000002.tmp' ? slow(await folder.create(name)) : folder.create(name);
    const store = bench.store({ folder: { ...folder, create } });
    await store.load();
    for (let revision = 1; revision <= 20; revision += 1) await store.write(put('a', revision));
    expect([...bench.disk.files.keys()]).toContain('snapshot-000000002.tmp');
    gate.emit('open');
    await bench.settle();
    expect([...bench.disk.files.keys()]).toContain('snapshot-000000002');
    await store.close();
  });

  it('continues without room for a snapshot, which is logged', async () => {
    const { disk, bench, store } = await started();
    disk.refuse('ENOSPC', ['create', 'rename']);
    for (let revision = 1; revision <= 20; revision += 1) await store.write(put('a', revision));
    expect(bench.log.texts('warn').join('\n')).toContain('/data grows: no new one can be begun, the disk is full');
    // tried again only when it has grown as much again
    expect(bench.log.texts('warn').length).toBeLessThan(8);
    disk.repair();
    for (let revision = 21; revision <= 40; revision += 1) await store.write(put('a', revision));
    await bench.settle();
    expect(disk.files.get('log-000000001')).toBeUndefined();
    disk.end('power');
    expect((await bench.load()).instances).toMatchObject([{ record: { revision: 40 } }]);
  });
});

describe('a registry that starts on a disk that refuses writes', () => {
  it('has all data, logs the fault, and stores new data as soon as the disk works', async () => {
    const { disk, bench, store } = await started();
    await store.write(put('a'));
    disk.end('kill');
    const next = bench.store();
    // the sync of the lock, which does not block the start, and that of the snapshot
    disk.faults.push({ verb: 'sync', code: 'EIO' }, { verb: 'sync', code: 'EIO' });
    expect(idsOf(await next.load())).toEqual(['a']);
    expect(bench.log.texts('error')).toEqual([expect.stringContaining('/data does not take writes: the disk reports')]);
    await expect(next.write(put('b'))).rejects.toThrow('EIO');
    await bench.time.advanceBy(1_000);
    await next.write(put('c'));
    disk.end('power');
    expect(idsOf(await bench.load())).toEqual(['a', 'c']);
  });
});

async function started() {
  const bench = new Bench();
  const store = bench.store();
  await store.load();
  return { bench, store, disk: bench.disk };
}
