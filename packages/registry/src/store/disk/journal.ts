import { RollcallError } from '@rollcall/core';
import type { Log, Time } from '@rollcall/core';
import type { Kept } from '../kept.js';
import type { Contents, Write } from '../store.js';
import { troubleText } from './folder.js';
import type { Folder } from './folder.js';
import { createLog, Displaced, fateOf } from './log-file.js';
import type { LogFile } from './log-file.js';
import { fileName, parseFileName } from './record-file.js';
import type { Recovered } from './recovery.js';
import { writeSnapshot } from './snapshot.js';

export interface JournalPorts {
  readonly folder: Folder;
  readonly time: Time;
  readonly log: Log;
  /** A log of max(this, the size of its snapshot) bytes is replaced by a snapshot. */
  readonly compactAtBytes: number;
  /** Throws Displaced where the folder at the path is not ours: asked before a file is made, renamed or removed there. */
  readonly check: () => Promise<void>;
}

/** A file that is not written any more, and that the next start needs. */
interface ClosedFile {
  readonly name: string;
  readonly size: number;
}

/** A disk that refused to begin a log anew is not asked again sooner: a snapshot costs more than a write. */
const RETRY_MS = 1_000;

/**
 * The files of one life of a store. What is kept is a snapshot and the log after it:
 * - it begins with a new snapshot and a new, empty log, so that what was found is on the disk for certain, also what an earlier life
 *   could read but not sync, and so that a former life that does not know it is dead writes where nobody reads;
 * - a log that has grown is left at rest and the next one begun; meanwhile a snapshot of all before that is written, part by part,
 *   then everything older is removed. Until then the older files count;
 * - after a failure that leaves the log in doubt nothing is written to it: first comes a new snapshot of all that was acknowledged;
 * - others may take its files away: what is appended is only kept where the log is still the one that has its name, `fate` says what is
 *   missing, and `renew` writes everything anew.
 */
export class Journal {
  readonly #ports: JournalPorts;
  readonly #kept: Kept;
  #generation: number;
  #log: LogFile | null = null;
  /** The snapshot, and the logs between it and this one. */
  #closed: readonly ClosedFile[] = [];
  /** What others did to the files, as long as they have not been written anew. */
  #fate: string | null = null;
  /** The numbers of files that were begun since, and did not come to anything. */
  readonly #attempts = new Set<number>();
  /** The size at which the log is due to be replaced. */
  #compactAt = 0;
  #compaction: Promise<void> | null = null;
  /** Why there is no log that may be written, and when that may be mended. */
  #trouble: unknown = null;
  #retryAt = -Infinity;

  constructor(ports: JournalPorts, { kept, generation }: Recovered) {
    this.#ports = ports;
    this.#kept = kept;
    this.#generation = generation;
  }

  contents(): Contents {
    return this.#kept.contents();
  }

  /** A disk that takes nothing now may later: until then there is only the log to say so, and each `append`. */
  async begin(): Promise<void> {
    try {
      await this.#beginAnew();
    } catch (error) {
      this.#ports.log.error(messageOf(this.#ports.folder, error));
    }
  }

  /**
   * Keeps all of `writes`, of which `json` is the text, or nothing. One call at a time. Rejects with STORE_FAILED, or with Displaced.
   */
  async append(writes: readonly Write[], json: string): Promise<void> {
    try {
      const log = await this.#trustedLog();
      await log.append(json);
    } catch (error) {
      if (error instanceof Displaced) throw error;
      throw new RollcallError('STORE_FAILED', messageOf(this.#ports.folder, error), { cause: error, retryable: true });
    }
    for (const write of writes) this.#kept.apply(write);
  }

  /** What others did to the files that the next start needs, in words; null: nothing that can be seen. Not during an `append`. */
  async fate(): Promise<string | null> {
    const fate = this.#fate ?? (await this.#log?.fate()) ?? null;
    if (fate !== null) return fate;
    for (const file of this.#closed) {
      const size = await this.#ports.folder.sizeOf(file.name);
      // a snapshot that has ended meanwhile has replaced it
      if (size !== file.size && this.#closed.includes(file))
        return fateOf(file.name, size === null ? 'gone' : 'replaced');
    }
    return null;
  }

  /**
   * After that: everything that was acknowledged into a new snapshot, and a new log. Logs and snapshots there that are not ours may be all
   * that somebody has of another registry: they are kept under names that no start reads, which are returned. Rejects with what the disk
   * says, or Displaced.
   */
  async renew(fate: string): Promise<readonly string[]> {
    const { folder } = this.#ports;
    this.#fate = fate;
    await this.#compaction;
    const aside: string[] = [];
    for (const name of await folder.list()) {
      const file = parseFileName(name);
      if (file === null) continue;
      this.#generation = Math.max(this.#generation, file.generation);
      if (!file.isFinished || this.#attempts.has(file.generation) || (await this.#isOurs(name))) continue;
      aside.push(`${name}.aside-${this.#generation}`);
      await folder.rename(name, `${name}.aside-${this.#generation}`);
    }
    await this.#beginAnew();
    return aside;
  }

  async #isOurs(name: string): Promise<boolean> {
    if (this.#log !== null && name === fileName('log', this.#log.generation)) return this.#log.isInPlace();
    const file = this.#closed.find((one) => one.name === name);
    return file !== undefined && (await this.#ports.folder.sizeOf(name)) === file.size;
  }

  /** Waits for the snapshot under way. */
  async close(): Promise<void> {
    await this.#compaction;
    await this.#log?.close().catch(() => undefined);
    this.#log = null;
  }

  async #trustedLog(): Promise<LogFile> {
    if (this.#log?.isTrusted === true) {
      const isDue = this.#log.size >= this.#compactAt && !this.#log.isEmpty;
      return isDue ? this.#nextLog(this.#log) : this.#log;
    }
    const { time, log, folder } = this.#ports;
    if (time.now() < this.#retryAt) throw this.#trouble;
    const begun = await this.#beginAnew();
    log.info(`${folder.path} takes writes again: everything acknowledged is in a new snapshot.`);
    return begun;
  }

  /** A snapshot first: what was acknowledged must not depend on a log in doubt any longer than it takes. */
  async #beginAnew(): Promise<LogFile> {
    const { folder, time, compactAtBytes, check } = this.#ports;
    await this.#compaction;
    await check();
    await this.#log?.close().catch(() => undefined);
    this.#log = null;
    try {
      this.#generation += 1;
      this.#attempts.add(this.#generation);
      const snapshotSize = await writeSnapshot(folder, this.#generation, this.contents(), check);
      this.#log = await this.#createLog(this.#generation, null);
      this.#closed = [{ name: fileName('snapshot', this.#generation), size: snapshotSize }];
      this.#compactAt = Math.max(compactAtBytes, snapshotSize);
      this.#fate = null;
      this.#attempts.clear();
    } catch (error) {
      this.#trouble = error;
      this.#retryAt = time.now() + RETRY_MS;
      throw error;
    }
    await this.#removeOlderThan(this.#generation);
    return this.#log;
  }

  /** The folder may have been replaced in that very moment: a log in another one must not be written, nor stay there. */
  async #createLog(generation: number, after: number | null): Promise<LogFile> {
    const { folder, check } = this.#ports;
    const log = await createLog(folder, generation, after);
    try {
      await check();
      return log;
    } catch (error) {
      if (await log.isInPlace()) await folder.remove(fileName('log', generation)).catch(() => undefined);
      await log.close().catch(() => undefined);
      throw error;
    }
  }

  /** Leaves a log that has grown; one that cannot be replaced now goes on, and is tried again when it has grown as much again. */
  async #nextLog(grown: LogFile): Promise<LogFile> {
    const { folder, log, compactAtBytes, check } = this.#ports;
    if (this.#compaction !== null) return grown;
    await check();
    this.#compactAt = grown.size + compactAtBytes;
    this.#generation += 1;
    const generation = this.#generation;
    try {
      this.#log = await this.#createLog(generation, grown.generation);
    } catch (error) {
      if (error instanceof Displaced) throw error;
      log.warn(`The log in ${folder.path} grows: no new one can be begun, ${troubleText(error)}.`);
      return grown;
    }
    this.#compactAt = compactAtBytes;
    this.#closed = [...this.#closed, { name: fileName('log', grown.generation), size: grown.size }];
    await grown.close().catch(() => undefined);
    this.#compaction = this.#compact(generation, this.contents()).finally(() => {
      this.#compaction = null;
    });
    return this.#log;
  }

  async #compact(generation: number, contents: Contents): Promise<void> {
    const { folder, log, compactAtBytes, check } = this.#ports;
    try {
      const snapshotSize = await writeSnapshot(folder, generation, contents, check);
      this.#closed = [{ name: fileName('snapshot', generation), size: snapshotSize }];
      this.#compactAt = Math.max(compactAtBytes, snapshotSize);
      await this.#removeOlderThan(generation);
    } catch (error) {
      // that is told by whoever mends it
      if (error instanceof Displaced) return;
      log.warn(`The logs in ${folder.path} grow: no snapshot can be written, ${troubleText(error)}.`);
    }
  }

  /** What cannot be removed is in nobody's way: the next snapshot tries again. */
  async #removeOlderThan(generation: number): Promise<void> {
    const { folder, check } = this.#ports;
    try {
      for (const name of await folder.list()) {
        const file = parseFileName(name);
        if (file === null || file.generation >= generation) continue;
        await check();
        await folder.remove(name);
      }
    } catch (error) {
      this.#ports.log.debug(`Old files stay in ${folder.path}: ${troubleText(error)}.`);
    }
  }
}

function messageOf(folder: Folder, error: unknown): string {
  return `${folder.path} does not take writes: ${troubleText(error)}. They work again as soon as the disk does.`;
}
