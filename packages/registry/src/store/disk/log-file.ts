import type { Folder, FolderFile, Place } from './folder.js';
import { encodeHeader, encodeRecord, fileName } from './record-file.js';

/** A file that was removed or changed from outside while in use. `what`: which file and how. */
export class Displaced extends Error {
  readonly what: string;

  constructor(what: string) {
    super(what);
    this.what = what;
  }
}

/** The text for the fate of a file; null: it is in place. */
export function fateOf(name: string, place: Place): string | null {
  if (place === 'here') return null;
  return `${name} was ${place === 'gone' ? 'deleted or moved away' : 'replaced by another file'}`;
}

/** A log open for writing, one record at a time. */
export class LogFile {
  readonly generation: number;
  readonly #file: FolderFile;
  readonly #bareSize: number;
  /** Everything before this offset is on the disk. */
  #size: number;
  #isTrusted = true;
  /** True once it was changed in place from outside. */
  #isChanged = false;

  /** See `createLog`. */
  constructor(generation: number, file: FolderFile, size: number) {
    this.generation = generation;
    this.#file = file;
    this.#bareSize = size;
    this.#size = size;
  }

  /** Size in bytes. */
  get size(): number {
    return this.#size;
  }

  /** True without a record. Then it is not replaced: the next log would follow one without content. */
  get isEmpty(): boolean {
    return this.#size === this.#bareSize;
  }

  /**
   * True if it may be written to: not after a failed sync, as the system may have dropped data that it could not write
   * and report the next sync as a success (LWN 752063, "fsyncgate"), nor if half a record could not be cut off.
   */
  get isTrusted(): boolean {
    return this.#isTrusted;
  }

  /**
   * Resolves once the record is on the disk, in the file that the next start reads. If it rejects (with the error of
   * the disk, or Displaced), the record has been cut off again; only if the disk refuses that, too, and the process
   * dies before the next snapshot, may it be found later.
   */
  async append(json: string): Promise<void> {
    const bytes = encodeRecord(json);
    try {
      await this.#file.append(bytes);
    } catch (error) {
      await this.#rollBack();
      throw error;
    }
    // concurrently with the sync, which takes longer
    const placeCheck = this.#file.place().catch((): Place => 'here');
    try {
      await this.#file.sync();
    } catch (error) {
      await this.#rollBack();
      this.#isTrusted = false;
      throw error;
    }
    const fate = fateOf(fileName('log', this.generation), await placeCheck);
    if (fate !== null) {
      await this.#rollBack();
      throw new Displaced(fate);
    }
    this.#size += bytes.length;
  }

  async isInPlace(): Promise<boolean> {
    return (await this.#file.place()) === 'here';
  }

  /** Its change from outside, as text; null: none. Not while a record is being appended. */
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

  async #rollBack(): Promise<void> {
    try {
      await this.#file.truncate(this.#size);
      await this.#file.sync();
    } catch {
      this.#isTrusted = false;
    }
  }
}

/** Creates a log that survives a power failure. `after`: the current log. Rejects with the error of the disk. */
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
