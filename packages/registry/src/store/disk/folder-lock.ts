import { randomWord, RollcallError, sleep } from '@rollcall/core';
import type { Log, Random, Time, Timer } from '@rollcall/core';
import { codeOf, troubleText } from './folder.js';
import type { Folder } from './folder.js';

/** Which process holds a folder. */
export interface Holder {
  readonly pid: number;
  /** Tells two processes with the same id apart; null where the system does not say. */
  readonly startedAt: string | null;
  /** Within which ids are unique: one boot of one machine, one container. */
  readonly space: string;
}

export interface Processes {
  readonly self: Holder;
  /** Null: that cannot be told from here. */
  isAlive(holder: Holder): Promise<boolean | null>;
}

export interface LockPorts {
  readonly folder: Folder;
  readonly processes: Processes;
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
}

/** A holder touches its lock this often; one that did not get to it for a while looks before it writes. */
const BEAT_MS = 1_000;
const LEASE_MS = 2_000;
/** Who cannot be seen from here, and has not touched the lock for this long, is gone. */
const WATCH_MS = 3_000;
const TRIES = 10;

/**
 * Whose the folder at the path is: `held`, ours; `lost`, another registry has taken it over; `gone`, nothing is there; `displaced`, another
 * folder is, without our lock.
 */
export type Standing = 'held' | 'lost' | 'gone' | 'displaced';

/**
 * Two registries must not write into one folder. Node knows no lock that ends with its process, so the lock is a file that names
 * its holder. One left by a dead process of this machine is taken over at once: process id and start time tell. Where that cannot be
 * seen (another container or machine, a system without /proc) the file is watched: whoever lives touches it every second.
 *
 * Locks are numbered, `lock-000000007`, and the highest one counts; once it is free (`.free`) or dead the next number may be
 * taken, which only one of many that try can create. The highest is never removed, so that nobody can create, from an old view, a
 * lock that would count.
 *
 * Who was frozen for that long looks before it writes again; should it still write into its old files, nobody reads them any more:
 * whoever took over has begun new ones.
 *
 * A lock is of one folder, not of its path: ours is the folder in which the lock that counts says what ours says. So is a copy of it, and the
 * former one that comes back after another was taken. In any other folder nothing is touched. The folder itself is not kept open: a disk that
 * is to be mended must be unmounted.
 */
export class FolderLock {
  readonly #ports: LockPorts;
  readonly #text: string;
  #number: number;
  /** Of the folder in which our lock was seen last; null: there was none at the path since. */
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

  /** False: another process has taken the folder, and nothing may be written any more. Asks the disk only where it must. */
  async isHeld(): Promise<boolean> {
    if (this.#ports.time.now() - this.#confirmedAt > LEASE_MS) await this.#beat();
    return !this.#isLost;
  }

  /** Asks the disk. One that fails now proves nothing: `held`. */
  async look(): Promise<Standing> {
    return this.#isLost ? 'lost' : this.#standing().catch((): Standing => 'held');
  }

  /** Takes the folder that is at the path now, which is nobody's. Rejects as `lockFolder` does. */
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
    // what cannot be renamed names a process that will be dead
    await this.#ports.folder.rename(name, `${name}${FREE}`).catch(() => undefined);
  }

  async #standing(): Promise<Standing> {
    const { folder } = this.#ports;
    const id = await folder.id();
    if (id === null) {
      // a folder that is made later may get the same one
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

  /** A disk that fails now proves nothing: the next beat looks again. */
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
      log.error(`Another registry has taken over ${folder.path}: this one keeps nothing any more. End one of them.`);
    this.#isLost = true;
  }
}

/** Takes the folder, which must exist. Rejects with STORE_LOCKED while another process holds it, else with what the disk says. */
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

/** Is it the name of a lock, free or not? */
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

/** False: another process was faster. */
async function write(folder: Folder, number: number, text: string): Promise<boolean> {
  const name = lockName(number);
  const file = await folder.create(name).catch((error: unknown) => {
    if (codeOf(error) === 'EEXIST') return null;
    throw error;
  });
  if (file === null) return false;
  try {
    await file.append(Buffer.from(text));
    // so that it is ours also after a disk has lost its power, or was mended; one that cannot now may later, and holds nobody up
    await file.sync().catch(() => undefined);
    return true;
  } catch (error) {
    await folder.remove(name).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
}

/** Throws STORE_LOCKED where the holder lives; returns where it is gone. */
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
    // it was released, or taken over by another one, meanwhile
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

/** Null: nothing that a registry wrote, or half of it. */
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
