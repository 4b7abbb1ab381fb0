import type { Folder, FolderFile } from './folder.js';
import { encodeHeader, encodeRecord, fileName } from './record-file.js';

/** A log that is open for writing. One record at a time. */
export class LogFile {
  readonly generation: number;
  readonly #file: FolderFile;
  readonly #bareSize: number;
  /** All before it is on the disk. */
  #size: number;
  #isTrusted = true;

  /** See `createLog`. */
  constructor(generation: number, file: FolderFile, size: number) {
    this.generation = generation;
    this.#file = file;
    this.#bareSize = size;
    this.#size = size;
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  /** Has it no record? Then it is not left for another: the one after it would follow a log that says nothing. */
  get isEmpty(): boolean {
    return this.#size === this.#bareSize;
  }

  /**
   * May it be written to? Not after a sync that failed: the system may have dropped what it could not write and call the next sync a
   * success (LWN 752063, "fsyncgate"). Not either when half a record could not be cut off.
   */
  get isTrusted(): boolean {
    return this.#isTrusted;
  }

  /**
   * Resolves when the record is on the disk. When it rejects (with what the disk says) the record has been cut off again; only if
   * the disk refuses that too, and the process dies before there is a snapshot, may it be found after all.
   */
  async append(json: string): Promise<void> {
    const bytes = encodeRecord(json);
    try {
      await this.#file.append(bytes);
    } catch (error) {
      await this.#takeBack();
      throw error;
    }
    try {
      await this.#file.sync();
    } catch (error) {
      await this.#takeBack();
      this.#isTrusted = false;
      throw error;
    }
    this.#size += bytes.length;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #takeBack(): Promise<void> {
    try {
      await this.#file.truncate(this.#size);
      await this.#file.sync();
    } catch {
      this.#isTrusted = false;
    }
  }
}

/** A new log, which survives a loss of power. `after`: the log that is written until now. Rejects with what the disk says. */
export async function createLog(folder: Folder, generation: number, after: number | null): Promise<LogFile> {
  const file = await folder.create(fileName('log', generation));
  try {
    const header = encodeHeader({ kind: 'log', generation, after });
    await file.append(header);
    await file.sync();
    await folder.sync();
    return new LogFile(generation, file, header.length);
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
}
