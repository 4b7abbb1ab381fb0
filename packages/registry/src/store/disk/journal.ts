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
  /**
   * Throws Displaced if the folder at the path is not ours: called before a file is created, renamed or removed there.
   */
  readonly check: () => Promise<void>;
}

/** A file that is complete and that the next start needs. */
interface ClosedFile {
  readonly name: string;
  readonly size: number;
}

/** Minimum time before a new log is tried again after a failure, ms: a snapshot costs more than a write. */
const RETRY_MS = 1_000;

/**
 * The files of a loaded store: a snapshot and the logs after it.
 * - It begins with a new snapshot and a new, empty log, so that recovered data is on the disk for certain, also data
 *   that could be read but not synced, and so that a former process that does not know it is dead writes to files that
 *   are not read.
 * - A log that has grown is closed and the next one begun; meanwhile a snapshot of everything before is written in
 *   parts, then everything older is removed. Until then the older files count.
 * - After a failure that leaves the log in doubt, nothing is written to it until a new snapshot has everything that was
 *   acknowledged.
 * - Files may be removed from outside: appended data counts only if the log is still the file with its name; `fate`
 *   reports what is missing, and `renew` writes everything again.
 */
export class Journal {
  readonly #ports: JournalPorts;
  readonly #kept: Kept;
  #generation: number;
  #log: LogFile | null = null;
  /** The snapshot, and the logs between it and the current one. */
  #closed: readonly ClosedFile[] = [];
  /** The changes of files from outside, until they have been written again. */
  #fate: string | null = null;
  /** The numbers of files begun since that were not completed. */
  readonly #attempts = new Set<number>();
  /** The size at which the log is replaced. */
  #compactAt = 0;
  #compaction: Promise<void> | null = null;
  /** The fault of the log, and the time of the next attempt. */
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

  /**
   * Begins the files. A disk that refuses writes now may accept them later: until then the log and each `append` report
   * it.
   */
  async begin(): Promise<void> {
    try {
      await this.#beginAnew();
    } catch (error) {
      this.#ports.log.error(messageOf(this.#ports.folder, error));
    }
  }

  /**
   * Stores all of `writes` (`json` is their text) or nothing. One call at a time. Rejects with STORE_FAILED, or with
   * Displaced.
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

  /**
   * How the files that the next start needs were changed from outside, as text; null: no visible change. Not during an
   * `append`.
   */
  async fate(): Promise<string | null> {
    const fate = this.#fate ?? (await this.#log?.fate()) ?? null;
    if (fate !== null) return fate;
    for (const file of this.#closed) {
      const size = await this.#ports.folder.sizeOf(file.name);
      // a snapshot completed meanwhile has replaced it
      if (size !== file.size && this.#closed.includes(file))
        return fateOf(file.name, size === null ? 'gone' : 'replaced');
    }
    return null;
  }

  /**
   * Recovers from that: writes everything acknowledged into a new snapshot, and begins a new log. Other logs and
   * snapshots there may be the only data of another registry: they are kept under names that no start reads, which are
   * returned. Rejects with the error of the disk, or Displaced.
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

  /** Begins with a snapshot: acknowledged data must not depend on a doubtful log any longer than necessary. */
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

  /** The folder may be replaced while this runs. If `check` detects that, removes the new log and rejects. */
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

  /** Replaces a log that has grown; if that fails, it continues, and is tried again after the same growth. */
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
      // reported by the recovery
      if (error instanceof Displaced) return;
      log.warn(`The logs in ${folder.path} grow: no snapshot can be written, ${troubleText(error)}.`);
    }
  }

  /** Removes older files. Those that cannot be removed do no harm: the next snapshot tries again. */
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
