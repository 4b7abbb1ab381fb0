import type { Log } from '@rollcall/core';
import { Kept } from '../kept.js';
import { troubleText } from './folder.js';
import type { Folder } from './folder.js';
import { fileName, parseFileName, readRecords, unreadable } from './record-file.js';
import type { FileKind, ReadFile } from './record-file.js';

/** The content of a folder. */
export interface Recovered {
  readonly kept: Kept;
  /** The highest number of any file; 0 in a new folder. */
  readonly generation: number;
}

/**
 * Reads the newest snapshot and, in order, the logs from its number on; older files are leftovers. Changes nothing.
 *
 * A torn last record is left by a crash and was never acknowledged: it is skipped and logged. It can only be in the
 * last log with content, as each log is complete before the next one begins. A log without a record has no content: it
 * was only being created. Throws STORE_UNREADABLE for any other inconsistency.
 */
export async function recover(folder: Folder, log: Log): Promise<Recovered> {
  const files = (await folder.list()).map(parseFileName).filter((file) => file !== null);
  const generation = Math.max(0, ...files.map((file) => file.generation));
  const numbers = (kind: FileKind): number[] =>
    files.filter((file) => file.isFinished && file.kind === kind).map((file) => file.generation);
  const kept = new Kept();
  const base = Math.max(0, ...numbers('snapshot'));
  if (base > 0) replay(kept, await readOne(folder, 'snapshot', base));
  const logs = numbers('log').filter((number) => number >= base);
  if (base === 0 && logs.length > 0) throw missing(folder, 'every snapshot');
  await replayLogs(
    { folder, log, kept, base },
    logs.toSorted((a, b) => a - b),
  );
  return { kept, generation };
}

async function replayLogs(
  { folder, log, kept, base }: { folder: Folder; log: Log; kept: Kept; base: number },
  logs: readonly number[],
): Promise<void> {
  /** The last log with content. */
  let last: number | null = null;
  let torn: string | null = null;
  for (const number of logs) {
    const file = await readOne(folder, 'log', number);
    const at = `${folder.path}/${fileName('log', number)}`;
    if (file.header === null) {
      if (file.tornAt !== null)
        log.warn(`${at} has no complete head: its creation was interrupted, and it is skipped.`);
      continue;
    }
    if (file.tornAt !== null) {
      log.warn(
        `${at} ends at byte ${file.tornAt} in the middle of a record that a crash cut off before it was acknowledged: it is left out.`,
      );
    }
    if (file.writes.length > 0) {
      if (torn !== null) throw unreadable(`${torn} ends in the middle of a record, although ${at} goes on.`);
      const before = file.header?.after ?? null;
      if (number !== base && before !== last)
        throw missing(folder, before === null ? 'a snapshot' : fileName('log', before));
      replay(kept, file);
      last = number;
    }
    if (file.tornAt !== null) torn = at;
  }
}

function replay(kept: Kept, { writes }: ReadFile): void {
  for (const write of writes) kept.apply(write);
}

async function readOne(folder: Folder, kind: FileKind, generation: number): Promise<ReadFile> {
  const name = fileName(kind, generation);
  const path = `${folder.path}/${name}`;
  const bytes = await folder.read(name).catch((error: unknown) => {
    throw unreadable(`${path} cannot be read: ${troubleText(error, 'read')}.`, error);
  });
  const file = readRecords(path, kind, bytes);
  if (file.header !== null && file.header.generation !== generation) {
    throw unreadable(`${path} is ${fileName(kind, file.header.generation)} under another name.`);
  }
  return file;
}

const missing = (folder: Folder, what: string): Error =>
  unreadable(`In ${folder.path} ${what} is missing; what follows it is there. Nothing was changed.`);
