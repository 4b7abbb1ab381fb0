import { mkdir, open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder on a disk. File names are relative to it. Each method may reject with the error of the system. */
export interface CacheFolder {
  /** The path of the folder, for messages. */
  readonly path: string;
  /** The content of a file; null if it does not exist. Rejects if it is longer than `maxBytes`. */
  read(name: string, maxBytes: number): Promise<string | null>;
  /** Replaces a file atomically: at any time one complete file has this name. Creates the folder if it is missing. */
  replace(name: string, pieces: readonly string[]): Promise<void>;
}

/** The file mode: only the owner may read which services run where. */
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** Processes that share a file write it under temporary names first; a killed process leaves such a file behind. */
const MAX_TEMP_FILES = 4;

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
      const [draft, file] = await createTempFile(join(path, name));
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

/**
 * Creates a temporary file. If killed processes left files with all possible names, removes those and throws: the next write finds a free
 * name.
 */
async function createTempFile(path: string): Promise<readonly [string, FileHandle]> {
  for (let n = 0; n < MAX_TEMP_FILES; n += 1) {
    const draft = `${path}.${n}.tmp`;
    try {
      return [draft, await open(draft, 'wx', PRIVATE_FILE)];
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
  }
  for (let n = 0; n < MAX_TEMP_FILES; n += 1) await rm(`${path}.${n}.tmp`, { force: true });
  throw new Error(`${MAX_TEMP_FILES} temporary files blocked the write and were removed`);
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
