import { randomWord, RollcallError, sleep } from '@rollcall/core';
import type { Log, Random, Time, Timer } from '@rollcall/core';
import { codeOf, troubleText } from './folder.js';
import type { Folder } from './folder.js';

/** The process that holds a folder. */
export interface Holder {
  readonly pid: number;
  /** Distinguishes two processes with the same id; null if the system does not report it. */
  readonly startedAt: string | null;
  /** The scope in which process ids are unique: one boot of one machine, one container. */
  readonly space: string;
}

export interface Processes {
  readonly self: Holder;
  /** True or false; null if that cannot be determined from here. */
  isAlive(holder: Holder): Promise<boolean | null>;
}

export interface LockPorts {
  readonly folder: Folder;
  readonly processes: Processes;
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Interval at which a holder touches its lock, ms; after `LEASE_MS` without a touch it checks the lock before it
 * writes.
 */
const BEAT_MS = 1_000;
const LEASE_MS = 2_000;
/** A holder that cannot be seen from here and has not touched the lock for this many ms is gone. */
const WATCH_MS = 3_000;
const TRIES = 10;

/**
 * The owner of the folder at the path: `held`, this process; `lost`, another registry has taken it over; `gone`, there
 * is no folder; `displaced`, another folder without this lock.
 */
export type Standing = 'held' | 'lost' | 'gone' | 'displaced';

/**
 * The lock of a folder, as two registries must not write into one. Node has no lock that ends with its process, so the
 * lock is a file that names its holder. A lock of a dead process of this machine is taken over at once, by process id
 * and start time. If that cannot be determined (another container or machine, a system without /proc), the file is
 * watched: a live holder touches it every second.
 *
 * Locks are numbered, `lock-000000007`, and the highest one counts; once it is free (`.free`) or its holder is dead,
 * the next number may be taken, which only one of several processes can create. The highest is never removed, so that
 * no process can create, from an outdated view, a lock that would count.
 *
 * A holder that was frozen for that long checks before it writes again; should it still write into its old files, they
 * are not read any more: the new holder has begun new ones.
 *
 * A lock belongs to a folder, not to its path: the folder is ours if the lock that counts has our content. That
 * includes a copy of the folder, and the former one that returns after another was taken. In any other folder nothing
 * is touched. The folder itself is not kept open: a disk under repair must be unmountable.
 */
export class FolderLock {
  readonly #ports: LockPorts;
  readonly #text: string;
  #number: number;
  /** The folder in which our lock was last seen; null: there was none at the path since. */
  #id: string | null;
  #timer: Timer | null = null;
  #beating: Promise<void> = Promise.resolve();
  #confirmedAt: number;
  #isReleased = false;
  #isLost = false;

  /** See `lockFolder`. */
  constructor(ports: LockPorts, text: string, { number, id }: Taken) {
    this.#ports = ports;
    this.#text = text;
    this.#number = number;
    this.#id = id;
    this.#confirmedAt = ports.time.now();
    this.#beatLater();
  }

  /**
   * False once another process has taken the folder, and nothing may be written any more. Accesses the disk only if
   * needed.
   */
  async isHeld(): Promise<boolean> {
    if (this.#ports.time.now() - this.#confirmedAt > LEASE_MS) await this.#beat();
    return !this.#isLost;
  }

  /** Checks on the disk. A failing disk proves nothing: `held`. */
  async look(): Promise<Standing> {
    return this.#isLost ? 'lost' : this.#standing().catch((): Standing => 'held');
  }

  /** Takes the folder that is at the path now, which has no holder. Rejects as `lockFolder` does. */
  async take(): Promise<void> {
    const { number, id } = await takeFolder(this.#ports, this.#text);
    this.#number = number;
    this.#id = id;
    this.#confirmedAt = this.#ports.time.now();
  }

  /** May be called twice. */
  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#timer?.cancel();
    await this.#beating;
    if ((await this.look()) !== 'held') return;
    const name = lockName(this.#number);
    // a lock that cannot be renamed names a process that will be dead
    await this.#ports.folder.rename(name, `${name}${FREE}`).catch(() => undefined);
  }

  async #standing(): Promise<Standing> {
    const { folder } = this.#ports;
    const id = await folder.id();
    if (id === null) {
      // a folder created later may get the same id
      this.#id = null;
      return 'gone';
    }
    const locks = await locksIn(folder);
    const top = highest(locks);
    if (top !== null && !top.isFree && (await readText(folder, top.name)) === this.#text) {
      this.#number = top.number;
      this.#id = id;
      return 'held';
    }
    if (id !== this.#id) return 'displaced';
    if (top === null) {
      await write(folder, this.#number, this.#text);
      return 'held';
    }
    if (top.number <= this.#number) return 'displaced';
    this.#lose();
    return 'lost';
  }

  #beatLater(): void {
    if (this.#isReleased || this.#isLost) return;
    const beat = (): void => {
      this.#beating = this.#beat().then(() => this.#beatLater());
    };
    this.#timer = this.#ports.time.setTimer(BEAT_MS, beat, { background: true });
  }

  /** Touches the lock. A failing disk proves nothing: the next beat checks again. */
  async #beat(): Promise<void> {
    const { folder, log, time } = this.#ports;
    try {
      if ((await this.#standing()) !== 'held') return;
      await folder.touch(lockName(this.#number));
      this.#confirmedAt = time.now();
    } catch (error) {
      log.debug(`The lock of ${folder.path} could not be touched: ${troubleText(error)}.`);
    }
  }

  #lose(): void {
    const { folder, log } = this.#ports;
    if (!this.#isLost)
      log.error(`Another registry has taken over ${folder.path}: this one stores nothing any more. End one of them.`);
    this.#isLost = true;
  }
}

/**
 * Locks the folder, which must exist. Rejects with STORE_LOCKED while another process holds it, else with the error of
 * the disk.
 */
export async function lockFolder(ports: LockPorts): Promise<FolderLock> {
  const text = `${JSON.stringify({ ...ports.processes.self, token: randomWord(ports.random, 12) })}\n`;
  return new FolderLock(ports, text, await takeFolder(ports, text));
}

interface Taken {
  readonly number: number;
  readonly id: string | null;
}

async function takeFolder(ports: LockPorts, text: string): Promise<Taken> {
  const { folder } = ports;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const before = highest(await locksIn(folder));
    if (before !== null && !before.isFree) await refuseHeld(ports, before.name);
    const number = (before?.number ?? 0) + 1;
    if (!(await write(folder, number, text))) continue;
    const locks = await locksIn(folder);
    if (locks.some((lock) => lock.number > number || (lock.number === number && lock.isFree))) {
      await folder.remove(lockName(number));
      continue;
    }
    for (const lock of locks) if (lock.number < number) await folder.remove(lock.name);
    return { number, id: await folder.id() };
  }
  throw locked(folder, null);
}

const FREE = '.free';
const lockName = (number: number): string => `lock-${String(number).padStart(9, '0')}`;

/** True for the name of a lock, free or not. */
export const isLockName = (name: string): boolean => LOCK_NAME.test(name);

const LOCK_NAME = /^lock-(\d{9,15})(\.free)?$/;

interface LockFile {
  readonly name: string;
  readonly number: number;
  readonly isFree: boolean;
}

async function locksIn(folder: Folder): Promise<readonly LockFile[]> {
  const names = await folder.list();
  return names.flatMap((name) => {
    const [, number, free] = LOCK_NAME.exec(name) ?? [];
    return number === undefined ? [] : [{ name, number: Number(number), isFree: free !== undefined }];
  });
}

function highest(locks: readonly LockFile[]): LockFile | null {
  return locks.toSorted((a, b) => b.number - a.number || Number(b.isFree) - Number(a.isFree))[0] ?? null;
}

/** Creates the lock file; false if another process was faster. */
async function write(folder: Folder, number: number, text: string): Promise<boolean> {
  const name = lockName(number);
  const file = await folder.create(name).catch((error: unknown) => {
    if (codeOf(error) === 'EEXIST') return null;
    throw error;
  });
  if (file === null) return false;
  try {
    await file.append(Buffer.from(text));
    // so that it is still ours after a power failure or a repair; if the disk cannot sync now, it may later, and the
    // lock does not wait
    await file.sync().catch(() => undefined);
    return true;
  } catch (error) {
    await folder.remove(name).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
}

/** Throws STORE_LOCKED if the holder is alive; returns if it is gone. */
async function refuseHeld(ports: LockPorts, name: string): Promise<void> {
  const { folder, processes, log } = ports;
  const holder = parseHolder(await readText(folder, name));
  const isAlive = holder === null ? null : await processes.isAlive(holder);
  if (isAlive ?? (await isTouched(ports, name))) throw locked(folder, holder);
  const who = holder === null ? 'a process' : `process ${holder.pid}`;
  log.info(`${folder.path} was left locked by ${who} that is gone: this one takes it over.`);
}

async function isTouched({ folder, time, log }: LockPorts, name: string): Promise<boolean> {
  log.info(
    `${folder.path} is locked by a process that cannot be seen from here: looking for ${WATCH_MS / 1_000} s whether it lives.`,
  );
  const look = async (): Promise<string> => `${await readText(folder, name)} ${await folder.touchedAt(name)}`;
  try {
    const before = await look();
    await sleep(time, WATCH_MS);
    return (await look()) !== before;
  } catch (error) {
    // it was released or taken over meanwhile
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function readText(folder: Folder, name: string): Promise<string> {
  try {
    return Buffer.from(await folder.read(name)).toString('utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}

/** Null if it was not written by a registry, or not completely. */
function parseHolder(text: string): Holder | null {
  try {
    const { pid, startedAt, space } = JSON.parse(text) as Partial<Holder>;
    if (pid === undefined || !Number.isSafeInteger(pid) || pid < 1 || typeof space !== 'string') return null;
    return { pid, startedAt: typeof startedAt === 'string' ? startedAt : null, space };
  } catch {
    return null;
  }
}

function locked(folder: Folder, holder: Holder | null): RollcallError {
  const who = holder === null ? 'another process' : `process ${holder.pid}`;
  return new RollcallError(
    'STORE_LOCKED',
    `${folder.path} is in use by another registry (${who}). End that one, or name another folder.`,
  );
}
