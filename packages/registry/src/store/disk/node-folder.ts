import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { hostname, platform } from 'node:os';
import { join } from 'node:path';
import type { Time } from '@rollcall/core';
import type { Holder, Processes } from './folder-lock.js';
import { codeOf } from './folder.js';
import type { Folder, FolderFile, Place } from './folder.js';

/** Owner only: the files hold hashes of secrets and the keys that sign calls. */
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/** A folder of this machine. `time` is used only for the marks of `touch`. */
export function nodeFolder(path: string, time: Time): Folder {
  const at = (name: string): string => join(path, name);
  return {
    path,
    make: async () => void (await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER })),
    list: () => readdir(path),
    read: (name) => readFile(at(name)),
    create: async (name) => new NodeFile(await open(at(name), 'wx', PRIVATE_FILE), at(name)),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (name) => rm(at(name), { force: true }),
    sync: () => syncFolder(path),
    touch: (name) => utimes(at(name), time.wall() / 1_000, time.wall() / 1_000),
    touchedAt: async (name) => (await stat(at(name))).mtimeMs,
    sizeOf: (name) => sizeOf(at(name)),
    id: () => idOf(path),
  };
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const markOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

async function idOf(path: string): Promise<string | null> {
  try {
    return markOf(await stat(path, { bigint: true }));
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';

class NodeFile implements FolderFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  #length = 0;
  #mark: string | null = null;

  constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#length);
      done += bytesWritten;
      this.#length += bytesWritten;
    }
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
    this.#length = length;
  }

  /**
   * Includes the length of the file, not its modification time; on macOS it reaches the platter (libuv uses
   * F_FULLFSYNC).
   */
  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** While it is open, no other file can get its inode number. */
  async place(): Promise<Place> {
    this.#mark ??= markOf(await this.#handle.stat({ bigint: true }));
    // if the system does not answer, nothing is known to be wrong
    const found = await idOf(this.#path).catch(() => this.#mark);
    if (found === null) return 'gone';
    return found === this.#mark ? 'here' : 'replaced';
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/**
 * Syncs a folder. Where that is not possible (Windows, some network disks), the system keeps the order itself, or
 * nothing can be done.
 */
async function syncFolder(path: string): Promise<void> {
  if (platform() === 'win32') return;
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } catch (error) {
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

/** The processes visible from this one. */
export async function nodeProcesses(): Promise<Processes> {
  const { pid } = process;
  const self: Holder = { pid, startedAt: await startOf(pid), space: await ownSpace() };
  return {
    self,
    isAlive: async (holder) => {
      if (holder.space !== self.space) return null;
      if (!exists(holder.pid)) return false;
      const startedAt = await startOf(holder.pid);
      // the id may have been reused since
      return startedAt === null || holder.startedAt === null ? null : startedAt === holder.startedAt;
    },
  };
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

/**
 * Start time of a process in ticks since boot; null if the system does not report it (all but Linux), or the process
 * does not exist.
 */
async function startOf(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // field 22 of proc(5), counted after the name, which may contain anything
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** The scope in which process ids are unique: one boot of one machine, and one container in it. */
async function ownSpace(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}
