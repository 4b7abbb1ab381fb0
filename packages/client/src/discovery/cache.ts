import { AsyncResource } from 'node:async_hooks';
import { messageOf, sleep } from '@rollcall/core';
import type { Log, Time, Timer } from '@rollcall/core';
import { decodeCopies, encodeCopies, MAX_CACHE_BYTES } from './cache-file.js';
import type { CacheOwner, KeptCopy } from './cache-file.js';
import { nodeCacheFolder } from './cache-folder.js';
import type { CacheFolder } from './cache-folder.js';

/** What the cache reads and fills. */
export interface Cached {
  /** What is worth keeping now. */
  kept(): readonly KeptCopy[];
  /** What an earlier process knew: counts for services of which nothing has been heard. */
  restore(copies: readonly KeptCopy[]): void;
}

export interface CacheParts {
  readonly time: Time;
  readonly log: Log;
  readonly folder: CacheFolder;
  /** The file in it: processes that share one overwrite each other, which does no harm. */
  readonly file: string;
  readonly owner: CacheOwner;
  readonly catalog: Cached;
}

/** A registry that is there has the first word: so long what was kept waits for it. */
const FIRST_WORD_MS = 300;
/** The first changes, of a start, are written together. */
const SOON_MS = 1_000;
/** Between two writes, however much changes. */
const GAP_MS = 5_000;
/** What does not change is written again, to tell that it is still so. */
const AGAIN_MS = 3_600_000;
/** A disk that hangs does not hold up the end of the process for longer. */
const LAST_WRITE_MS = 2_000;
/** The event loop has a turn after so many characters that were made or read: a millisecond or so. */
const TURN_CHARACTERS = 64 * 1024;

/**
 * Keeps the catalog on disk, so that a process that starts while no registry is there knows its services from the last time. Whatever
 * the disk does, calls go on: a file that cannot be used is as none, with one line in the log, and so is one that cannot be
 * written. Nothing is touched before `start`.
 */
export class Cache {
  readonly #parts: CacheParts;
  /** The first call starts it, but its request's AsyncLocalStorage must not live on in the timers. */
  readonly #outside = new AsyncResource('RollcallCache');
  /** Never rejects. */
  #reading: Promise<void> | null = null;
  /** Read, and not yet given. */
  #found: readonly KeptCopy[] = [];
  #firstWord: Timer | null = null;
  #isMissing = false;
  #timer: Timer | null = null;
  /** Is the timer set for a change? */
  #isDueSoon = false;
  /** Never rejects. */
  #writing: Promise<void> | null = null;
  #isChanged = false;
  #writtenAt = -Infinity;
  #complaint: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: CacheParts) {
    this.#parts = parts;
  }

  /** Reads what was kept. May be called twice. */
  start(): void {
    if (this.#closing === null) this.#reading ??= this.#outside.runInAsyncScope(() => this.#read());
  }

  /** No registry answers: what was kept is needed. */
  missing(): void {
    this.#isMissing = true;
    this.#give();
  }

  /** The catalog has changed. */
  changed(): void {
    this.#isChanged = true;
    this.#writeLater();
  }

  /** Writes what has changed since the last time. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // ---- reading -------------------------------------------------------------------------------------------------------

  async #read(): Promise<void> {
    const { folder, file, owner, time } = this.#parts;
    try {
      const text = await folder.read(file, MAX_CACHE_BYTES);
      if (text === null) return;
      const copies = await this.#inTurns(decodeCopies(text, owner, time.wall()), () => {});
      if (copies.ok) this.#keep(copies.value);
      else this.#ignore(copies.problem);
    } catch (error) {
      this.#ignore(messageOf(error));
    }
  }

  #keep(copies: readonly KeptCopy[]): void {
    this.#found = copies;
    if (this.#isMissing || this.#closing !== null) this.#give();
    else this.#firstWord = this.#parts.time.setTimer(FIRST_WORD_MS, () => this.#give(), { background: true });
  }

  #ignore(why: string): void {
    const { log, folder, file } = this.#parts;
    log.warn(`What was kept of the services, ${file} in ${folder.path}, is not used: ${why}. It is written anew.`);
  }

  #give(): void {
    this.#firstWord?.cancel();
    const found = this.#found;
    this.#found = [];
    if (found.length > 0) this.#parts.catalog.restore(found);
  }

  // ---- writing -------------------------------------------------------------------------------------------------------

  #writeLater(): void {
    if (this.#isDueSoon || this.#writing !== null || this.#closing !== null) return;
    this.#isDueSoon = true;
    this.#arm(Math.max(SOON_MS, this.#writtenAt + GAP_MS - this.#parts.time.now()));
  }

  #arm(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#outside.runInAsyncScope(() =>
      this.#parts.time.setTimer(
        ms,
        () => {
          this.#isDueSoon = false;
          this.#writing = this.#write();
        },
        { background: true },
      ),
    );
  }

  async #write(): Promise<void> {
    const { folder, file, owner, catalog, time, log } = this.#parts;
    await this.#reading;
    // what nobody has asked for in this process is not lost either
    this.#give();
    this.#isChanged = false;
    try {
      const pieces: string[] = [];
      await this.#inTurns(encodeCopies(owner, catalog.kept()), (piece) => pieces.push(piece));
      await folder.replace(file, pieces);
      this.#complaint = null;
    } catch (error) {
      const complaint = `What is known of the services cannot be kept in ${folder.path}: ${messageOf(error)}. Calls go on; a start without a registry will know nothing new.`;
      if (complaint !== this.#complaint) log.warn(complaint);
      this.#complaint = complaint;
    }
    this.#writtenAt = time.now();
    this.#writing = null;
    if (this.#closing !== null) return;
    if (this.#isChanged) this.#writeLater();
    else this.#arm(AGAIN_MS);
  }

  async #close(): Promise<void> {
    this.#firstWord?.cancel();
    this.#timer?.cancel();
    if (this.#reading === null) return;
    const over = new AbortController();
    const late = sleep(this.#parts.time, LAST_WRITE_MS, { signal: over.signal });
    await Promise.race([late, this.#writeLast()]);
    over.abort();
  }

  async #writeLast(): Promise<void> {
    await this.#reading;
    await this.#writing;
    const isOld = this.#parts.time.now() - this.#writtenAt > AGAIN_MS / 60;
    if (this.#isChanged || (isOld && this.#writtenAt !== -Infinity)) await this.#write();
  }

  /** Takes the steps: texts, and numbers that say how much work was done, so that the event loop has its turns. */
  async #inTurns<Result>(steps: Generator<string | number, Result>, take: (text: string) => void): Promise<Result> {
    let work = 0;
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (typeof step.value === 'string') take(step.value);
      else work += step.value;
      if (work < TURN_CHARACTERS) continue;
      work = 0;
      await sleep(this.#parts.time, 0);
    }
  }
}

/** The cache that the options ask for; null where nothing is to be kept. `registry`: the name of the link, which lists them. */
export function cacheOf(
  options: { readonly cache?: string | undefined; readonly namespace: string; readonly service?: string | undefined },
  { registry, ...parts }: Pick<CacheParts, 'time' | 'log' | 'catalog'> & { readonly registry: string },
): Cache | null {
  const { cache, namespace, service = 'client' } = options;
  if (cache === undefined) return null;
  const owner = { namespace, registries: registry.split(', ') };
  return new Cache({ ...parts, folder: nodeCacheFolder(cache), file: `${namespace}.${service}.catalog`, owner });
}
