import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real disk that a test breaks and repairs while a registry has its folder on it. */
export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  break(): Promise<void>;
  repair(): Promise<void>;
  /** Processes with open files on it keep them. */
  unmount(): Promise<void>;
}

/** Mounts a new one; null where this user, or this system, must not. */
export type MakeDisk = () => Promise<SmallDisk | null>;

const run = (command: string, ...args: readonly string[]): unknown => execFileSync(command, args, { stdio: 'pipe' });

/** Fills the rest of the disk at `path`. */
async function fill(path: string): Promise<void> {
  const file = await open(join(path, 'ballast'), 'a');
  try {
    for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) await appendUntilFull(file, size);
  } finally {
    await file.close();
  }
}

async function appendUntilFull(file: Awaited<ReturnType<typeof open>>, size: number): Promise<void> {
  try {
    for (;;) await file.appendFile(Buffer.alloc(size));
  } catch {
    // as intended
  }
}

const freeSpace = (path: string): Promise<void> => rm(join(path, 'ballast'));

/** Makes a disk step by step in a folder of its own; `build` returns its functions, and may fail at any step. */
async function tryDisk(build: (root: string) => Promise<Omit<SmallDisk, 'unmount'>>): Promise<SmallDisk | null> {
  const root = await mkdtemp(join(tmpdir(), 'rollcall-disk-'));
  const unmount = async (): Promise<void> => {
    for (const name of ['disk', 'below']) {
      try {
        run('umount', '-l', join(root, name));
      } catch {
        // it was not mounted
      }
    }
    await rm(root, { recursive: true });
  };
  try {
    return { ...(await build(root)), unmount };
  } catch {
    await unmount();
    return null;
  }
}

async function mountMemory(path: string, size: string): Promise<string> {
  await mkdir(path);
  run('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path);
  return path;
}

async function mountImage(root: string, image: string, options: readonly string[]): Promise<string> {
  const path = join(root, 'disk');
  run('truncate', '-s', '16m', image);
  run('mkfs.ext4', '-q', '-m', '0', ...options, image);
  await mkdir(path);
  run('mount', '-o', 'loop', image, path);
  return path;
}

/** One MiB; its fault is to be full: writes fail. */
export const fullDisk: MakeDisk = () =>
  tryDisk(async (root) => {
    const path = await mountMemory(join(root, 'disk'), '1m');
    return { path, break: () => fill(path), repair: () => freeSpace(path) };
  });

/**
 * Promises more space than its backing file has; its fault is that the latter is full: writes succeed, and the sync
 * fails.
 */
export const thinDisk: MakeDisk = () =>
  tryDisk(async (root) => {
    const below = await mountMemory(join(root, 'below'), '1m');
    const path = await mountImage(root, join(below, 'image'), ['-O', '^has_journal']);
    return { path, break: () => fill(below), repair: () => freeSpace(below) };
  });

/** Its fault is to turn read-only as ext4 does after an internal error, open files too; mounting it again repairs it. */
export const readOnlyDisk: MakeDisk = () =>
  tryDisk(async (root) => {
    const image = join(root, 'image');
    const path = await mountImage(root, image, []);
    return {
      path,
      break: async () => void run('mount', '-o', 'remount,abort', path),
      repair: async () => {
        run('umount', '-l', path);
        run('mount', '-o', 'loop', image, path);
      },
    };
  });
