import type { Folder, FolderFile, Place } from './folder.js';
import { encodeHeader, encodeRecord, fileName } from './record-file.js';

/** A file that others took away, or changed, while it was in use. `what`: of which file, in words. */
export class Displaced extends Error {
  readonly what: string;

  constructor(what: string) {
    super(what);
    this.what = what;
  }
}

/** What became of a file, in words; null: nothing. */
export function fateOf(name: string, place: Place): string | null {
  if (place === 'here') return null;
  return `${name} was ${place === 'gone' ? 'deleted or moved away' : 'replaced by another file'}`;
}

/** A log that is open for writing. One record at a time. */
export class LogFile {
  readonly generation: number;
  readonly #file: FolderFile;
  readonly #bareSize: number;
  /** All before it is on the disk. */
  #size: number;
  #isTrusted = true;
  /** By others, in place. */
  #isChanged = false;

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
   * Resolves when the record is on the disk, in the file that the next start reads. When it rejects (with what the disk says, or Displaced)
   * the record has been cut off again; only if the disk refuses that too, and the process dies before there is a snapshot, may it be found
   * after all.
   */
  async append(json: string): Promise<void> {
    const bytes = encodeRecord(json);
    try {
      await this.#file.append(bytes);
    } catch (error) {
      await this.#takeBack();
      throw error;
    }
    // beside the sync, which takes longer
    const looking = this.#file.place().catch((): Place => 'here');
    try {
      await this.#file.sync();
    } catch (error) {
      await this.#takeBack();
      this.#isTrusted = false;
      throw error;
    }
    const fate = fateOf(fileName('log', this.generation), await looking);
    if (fate !== null) {
      await this.#takeBack();
      throw new Displaced(fate);
    }
    this.#size += bytes.length;
  }

  async isInPlace(): Promise<boolean> {
    return (await this.#file.place()) === 'here';
  }

  /** What others did to it, in words; null: nothing. Not while a record is being appended. */
  async fate(): Promise<string | null> {
    const name = fileName('log', this.generation);
    const fate = fateOf(name, await this.#file.place());
    if (fate !== null) return fate;
    if (this.#isTrusted && (await this.#file.size()) !== this.#size) {
      this.#isChanged = true;
      this.#isTrusted = false;
    }
    return this.#isChanged ? `${name} was changed` : null;
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
