import { mkdir, open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder on a disk, as the cache needs it. Names are plain file names in it. Each verb may reject, with what the system says. */
export interface CacheFolder {
  /** Where it is, for people. */
  readonly path: string;
  /** All of a file; null where there is none. Rejects for one that is longer. */
  read(name: string, maxBytes: number): Promise<string | null>;
  /** At once and whole, whatever happens: before and after there is one file of this name. Makes the folder where it is missing. */
  replace(name: string, pieces: readonly string[]): Promise<void>;
}

/** Who runs what, and where, is nobody else's business. */
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** Processes that share a file write it under names of their own first; who is killed meanwhile leaves one of these behind. */
const DRAFTS = 4;

/** A folder of this machine. */
export function nodeCacheFolder(path: string): CacheFolder {
  return {
    path,
    read: async (name, maxBytes) => {
      const file = await found(join(path, name));
      if (file === null) return null;
      try {
        const { size } = await file.stat();
        if (size > maxBytes) throw new Error(`it has ${size} bytes, more than ${maxBytes}`);
        return await file.readFile('utf8');
      } finally {
        await file.close();
      }
    },
    replace: async (name, pieces) => {
      await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER });
      const [draft, file] = await newDraft(join(path, name));
      try {
        try {
          for (const piece of pieces) await file.appendFile(piece);
          await file.datasync();
        } finally {
          await file.close();
        }
        await rename(draft, join(path, name));
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
    },
  };
}

async function found(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** When all names are taken, by whoever was killed, they are freed: the next write finds one. */
async function newDraft(path: string): Promise<readonly [string, FileHandle]> {
  for (let n = 0; n < DRAFTS; n += 1) {
    const draft = `${path}.${n}.tmp`;
    try {
      return [draft, await open(draft, 'wx', PRIVATE_FILE)];
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
  }
  for (let n = 0; n < DRAFTS; n += 1) await rm(`${path}.${n}.tmp`, { force: true });
  throw new Error(`${DRAFTS} unfinished files stood in the way and were removed`);
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
