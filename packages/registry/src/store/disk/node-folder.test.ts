import { systemTime } from '@rollcall/core';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Folder } from './folder.js';
import { nodeFolder, nodeProcesses } from './node-folder.js';

describe('a folder of this machine', () => {
  let root = '';
  let folder: Folder;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'rollcall-folder-'));
    folder = nodeFolder(join(root, 'a', 'b'), systemTime);
    await folder.make();
  });
  afterEach(() => rm(root, { recursive: true }));

  it('may be created twice', async () => {
    await folder.make();
    expect(await folder.list()).toEqual([]);
  });

  it('appends to the rest after a truncation', async () => {
    const file = await folder.create('log');
    await file.append(Buffer.from('one two'));
    await file.truncate(4);
    await file.append(Buffer.from('three'));
    await file.sync();
    await file.close();
    await folder.sync();
    expect(Buffer.from(await folder.read('log')).toString()).toBe('one three');
  });

  it('creates no file twice, and renames over another', async () => {
    await (await folder.create('one')).close();
    await expect(folder.create('one')).rejects.toMatchObject({ code: 'EEXIST' });
    await (await folder.create('two')).close();
    await folder.rename('one', 'two');
    expect(await folder.list()).toEqual(['two']);
    await folder.remove('two');
    await folder.remove('two');
    await expect(folder.read('two')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('distinguishes a file from one that is gone or replaced, also with the same content and length', async () => {
    const file = await folder.create('one');
    await file.append(Buffer.from('abc'));
    expect([await file.place(), await file.size(), await folder.sizeOf('one')]).toEqual(['here', 3, 3]);
    await folder.remove('one');
    expect([await file.place(), await folder.sizeOf('one')]).toEqual(['gone', null]);
    const other = await folder.create('one');
    await other.append(Buffer.from('abc'));
    expect([await file.place(), await other.place()]).toEqual(['replaced', 'here']);
    await file.close();
    await other.close();
  });

  it('detects another folder at its path', async () => {
    const before = await folder.id();
    expect(await folder.id()).toBe(before);
    await rename(folder.path, `${folder.path}-away`);
    expect(await folder.id()).toBeNull();
    await folder.make();
    expect(await folder.id()).not.toBe(before);
  });

  it('updates the time of a touched file', async () => {
    await (await folder.create('lock')).close();
    const marked = nodeFolder(folder.path, { ...systemTime, wall: () => 1_234_567_000 });
    await marked.touch('lock');
    expect(await folder.touchedAt('lock')).toBe(1_234_567_000);
  });
});

describe('the processes of this machine', () => {
  it('include this process as alive', async () => {
    const processes = await nodeProcesses();
    const { self } = processes;
    expect(self.pid).toBe(process.pid);
    expect(await processes.isAlive(self)).toBe(self.startedAt === null ? null : true);
  });

  it('detect a dead process', async () => {
    const processes = await nodeProcesses();
    const { self } = processes;
    // beyond the highest id that Linux gives
    expect(await processes.isAlive({ ...self, pid: 4_194_305 })).toBe(false);
  });

  it.skipIf(platform() !== 'linux')('distinguish two processes with the same id', async () => {
    const processes = await nodeProcesses();
    const { self } = processes;
    expect(self.startedAt).toMatch(/^\d+$/);
    expect(await processes.isAlive({ ...self, startedAt: '1' })).toBe(false);
  });

  it('do not judge those of another machine or container', async () => {
    const processes = await nodeProcesses();
    const { self } = processes;
    expect(await processes.isAlive({ ...self, space: 'elsewhere' })).toBe(null);
  });
});
