import { AsyncResource } from 'node:async_hooks';
import { messageOf, sleep } from '@rollcall/core';
import type { Log, Time, Timer } from '@rollcall/core';
import { decodeCopies, encodeCopies, MAX_CACHE_BYTES } from './cache-file.js';
import type { CacheOwner, KeptCopy } from './cache-file.js';
import { nodeCacheFolder } from './cache-folder.js';
import type { CacheFolder } from './cache-folder.js';

/** The catalog that the cache stores and restores. */
export interface Cached {
  /** The copies to store now. */
  kept(): readonly KeptCopy[];
  /** Adds the copies of an earlier process, for services without an answer. */
  restore(copies: readonly KeptCopy[]): void;
}

export interface CacheParts {
  readonly time: Time;
  readonly log: Log;
  readonly folder: CacheFolder;
  /** The file in the folder. Processes that share it overwrite each other, which is harmless. */
  readonly file: string;
  readonly owner: CacheOwner;
  readonly catalog: Cached;
}

/** How long stored copies wait for a registry, whose answer takes precedence. */
const FIRST_ANSWER_MS = 300;
/** The wait after the first change, so that the changes at the start are written together. */
const WRITE_DELAY_MS = 1_000;
/** The minimum time between two writes. */
const GAP_MS = 5_000;
/** An unchanged catalog is written again after this time, to record that it is still current. */
const REWRITE_MS = 3_600_000;
/** The maximum time that the last write may delay the end of the process, for a disk that does not respond. */
const LAST_WRITE_MS = 2_000;
/** The event loop takes a turn after this many written or read characters: about a millisecond. */
const TURN_CHARACTERS = 64 * 1024;

/**
 * Stores the catalog on disk, so that a process that starts without a registry knows its services. A failing disk never affects calls: an
 * unusable file counts as missing, and a failed write is skipped, each with one line in the log. It accesses no file before `start`.
 */
export class Cache {
  readonly #parts: CacheParts;
  /** The first call starts the cache, but the AsyncLocalStorage of its request must not be kept by the timers. */
  readonly #runOutside = new AsyncResource('RollcallCache');
  /** Never rejects. */
  #reading: Promise<void> | null = null;
  /** The copies that were read but not yet restored. */
  #found: readonly KeptCopy[] = [];
  #firstAnswer: Timer | null = null;
  #isMissing = false;
  #timer: Timer | null = null;
  /** True if the timer is set for a changed catalog. */
  #isDueSoon = false;
  /** Never rejects. */
  #writing: Promise<void> | null = null;
  #isChanged = false;
  #writtenAt = -Infinity;
  #loggedProblem: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: CacheParts) {
    this.#parts = parts;
  }

  /** Reads the stored copies. May be called twice. */
  start(): void {
    if (this.#closing === null) this.#reading ??= this.#runOutside.runInAsyncScope(() => this.#read());
  }

  /** Restores the stored copies at once, because no registry answers. */
  missing(): void {
    this.#isMissing = true;
    this.#restoreFound();
  }

  /** Schedules a write, because the catalog has changed. */
  changed(): void {
    this.#isChanged = true;
    this.#writeLater();
  }

  /** Writes the changes since the last write. May be called twice. */
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
      const copies = await this.#runSteps(decodeCopies(text, owner, time.wall()), () => {});
      if (copies.ok) this.#keep(copies.value);
      else this.#ignore(copies.problem);
    } catch (error) {
      this.#ignore(messageOf(error));
    }
  }

  #keep(copies: readonly KeptCopy[]): void {
    this.#found = copies;
    if (this.#isMissing || this.#closing !== null) this.#restoreFound();
    else
      this.#firstAnswer = this.#parts.time.setTimer(FIRST_ANSWER_MS, () => this.#restoreFound(), { background: true });
  }

  #ignore(why: string): void {
    const { log, folder, file } = this.#parts;
    log.warn(`The cache of the services, ${file} in ${folder.path}, is not used: ${why}. It is written again.`);
  }

  #restoreFound(): void {
    this.#firstAnswer?.cancel();
    const found = this.#found;
    this.#found = [];
    if (found.length > 0) this.#parts.catalog.restore(found);
  }

  // ---- writing -------------------------------------------------------------------------------------------------------

  #writeLater(): void {
    if (this.#isDueSoon || this.#writing !== null || this.#closing !== null) return;
    this.#isDueSoon = true;
    this.#arm(Math.max(WRITE_DELAY_MS, this.#writtenAt + GAP_MS - this.#parts.time.now()));
  }

  #arm(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#runOutside.runInAsyncScope(() =>
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
    // copies of services that this process has not requested must not be lost
    this.#restoreFound();
    this.#isChanged = false;
    try {
      const pieces: string[] = [];
      await this.#runSteps(encodeCopies(owner, catalog.kept()), (piece) => pieces.push(piece));
      await folder.replace(file, pieces);
      this.#loggedProblem = null;
    } catch (error) {
      const problem = `The cache of the services cannot be written in ${folder.path}: ${messageOf(error)}. Calls continue; a start without a registry uses the old cache.`;
      if (problem !== this.#loggedProblem) log.warn(problem);
      this.#loggedProblem = problem;
    }
    this.#writtenAt = time.now();
    this.#writing = null;
    if (this.#closing !== null) return;
    if (this.#isChanged) this.#writeLater();
    else this.#arm(REWRITE_MS);
  }

  async #close(): Promise<void> {
    this.#firstAnswer?.cancel();
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
    const isOld = this.#parts.time.now() - this.#writtenAt > REWRITE_MS / 60;
    if (this.#isChanged || (isOld && this.#writtenAt !== -Infinity)) await this.#write();
  }

  /**
   * Runs the steps: collects the texts, and lets the event loop take a turn according to the sum of the numbers, which measure the work.
   */
  async #runSteps<Result>(steps: Generator<string | number, Result>, take: (text: string) => void): Promise<Result> {
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

/** The cache that the options configure; null if they do not. `registry`: the name of the client, which lists the registries. */
export function cacheOf(
  options: { readonly cache?: string | undefined; readonly namespace: string; readonly service?: string | undefined },
  { registry, ...parts }: Pick<CacheParts, 'time' | 'log' | 'catalog'> & { readonly registry: string },
): Cache | null {
  const { cache, namespace, service = 'client' } = options;
  if (cache === undefined) return null;
  const owner = { namespace, registries: registry.split(', ') };
  return new Cache({ ...parts, folder: nodeCacheFolder(cache), file: `${namespace}.${service}.catalog`, owner });
}
