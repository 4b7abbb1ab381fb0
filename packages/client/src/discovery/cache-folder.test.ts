import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeCacheFolder } from './cache-folder.js';

describe('a folder of this machine', () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'rollcall-cache-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  it('reads null if the file or the folder does not exist', async () => {
    await expect(nodeCacheFolder(root).read('a', 100)).resolves.toBeNull();
    await expect(nodeCacheFolder(join(root, 'x', 'y')).read('a', 100)).resolves.toBeNull();
  });

  it('creates the folder, replaces the file, and leaves no other file', async () => {
    const path = join(root, 'x', 'y');
    const folder = nodeCacheFolder(path);
    await folder.replace('a', ['one ', 'two']);
    await folder.replace('a', ['Grüße 🚀']);
    await expect(folder.read('a', 100)).resolves.toBe('Grüße 🚀');
    await expect(readdir(path)).resolves.toEqual(['a']);
    expect((await stat(join(path, 'a'))).mode & 0o077).toBe(0);
  });

  it('does not read a file that is too large', async () => {
    const folder = nodeCacheFolder(root);
    await folder.replace('a', ['x'.repeat(101)]);
    await expect(folder.read('a', 100)).rejects.toThrow('101 bytes');
  });

  it('shows only complete files to readers while many processes write', async () => {
    const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(50_000));
    const write = async (text: string): Promise<void> => {
      for (let i = 0; i < 10; i += 1) await nodeCacheFolder(root).replace('f', [text.slice(0, 9), text.slice(9)]);
    };
    const writing = Promise.all(texts.map(write));
    const over = new AbortController();
    void writing.then(() => over.abort());
    while (!over.signal.aborted) {
      const seen = await nodeCacheFolder(root).read('f', 100_000);
      if (seen !== null) expect(texts).toContain(seen);
    }
    await writing;
    await expect(readdir(root)).resolves.toEqual(['f']);
  });

  it('removes the temporary files of killed processes', async () => {
    const folder = nodeCacheFolder(root);
    for (let n = 0; n < 4; n += 1) await writeFile(join(root, `a.${n}.tmp`), 'half');
    await expect(folder.replace('a', ['whole'])).rejects.toThrow('temporary files');
    await folder.replace('a', ['whole']);
    await expect(readdir(root)).resolves.toEqual(['a']);
  });

  it('keeps the old file if the new file cannot replace it', async () => {
    const folder = nodeCacheFolder(root);
    await folder.replace('a', ['old']);
    const other = nodeCacheFolder(join(root, 'a'));
    await expect(other.replace('b', ['new'])).rejects.toThrow(/ENOTDIR|EEXIST/);
    await expect(readFile(join(root, 'a'), 'utf8')).resolves.toBe('old');
  });
});
