import type { Contents, Write } from '../store.js';
import type { Folder, FolderFile } from './folder.js';
import { encodeFooter, encodeHeader, encodeRecord, fileName } from './record-file.js';

/** About this many bytes are serialized at a time, some tenths of a millisecond, before other work gets its turn. */
const PART_BYTES = 65_536;

/**
 * Writes `contents` into a new file, which gets its name only once it is complete and on the disk. Rejects with the
 * error of the disk, or of `check`, which runs before the file gets its name; then no such snapshot exists. Returns its
 * size in bytes.
 */
export async function writeSnapshot(
  folder: Folder,
  generation: number,
  contents: Contents,
  check: () => Promise<void>,
): Promise<number> {
  const name = fileName('snapshot', generation);
  const draft = `${name}.tmp`;
  const file = await folder.create(draft);
  try {
    const size = await fill(file, generation, contents);
    await file.sync();
    await file.close();
    await check();
    await folder.rename(draft, name);
    await folder.sync();
    return size;
  } catch (error) {
    await file.close().catch(() => undefined);
    await folder.remove(draft).catch(() => undefined);
    throw error;
  }
}

async function fill(file: FolderFile, generation: number, contents: Contents): Promise<number> {
  let size = 0;
  const append = async (bytes: Uint8Array): Promise<void> => {
    size += bytes.length;
    await file.append(bytes);
  };
  await append(encodeHeader({ kind: 'snapshot', generation, after: null }));
  let count = 0;
  let part: string[] = [];
  let partBytes = 0;
  for (const write of writesOf(contents)) {
    const json = JSON.stringify(write);
    part.push(json);
    partBytes += json.length;
    count += 1;
    if (partBytes < PART_BYTES) continue;
    await append(encodeRecord(`[${part.join(',')}]`));
    part = [];
    partBytes = 0;
  }
  if (part.length > 0) await append(encodeRecord(`[${part.join(',')}]`));
  await append(encodeFooter(count));
  return size;
}

function* writesOf({ instances, tombstones, preservation }: Contents): Generator<Write> {
  for (const put of instances) yield { put };
  for (const bury of tombstones) yield { bury };
  if (preservation !== null) yield { preserve: preservation };
}
