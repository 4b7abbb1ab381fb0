import type { Frame, Instance, ResetFrame, Tombstone } from '@rollcall/core';
import type { SharedFrame } from './face.js';

/** Records in one frame: 64 KiB less what stands around them. */
const PART_BYTES = 65_536 - 1_024;

/** The one service that a frame speaks of. */
export interface ServiceRef {
  readonly namespace: string;
  readonly service: string;
}

/** A frame and about how many bytes it makes, known without encoding it. */
export interface SizedFrame {
  readonly shared: SharedFrame;
  readonly bytes: number;
}

/** The frame as all watchers get it: encoded when the first of them needs bytes. `bytes` is its estimated size. */
export function share(frame: Frame, bytes = 256): SizedFrame {
  let encoded: Uint8Array | undefined;
  const encode = (): Uint8Array => Buffer.from(`event: ${frame.event}\ndata: ${JSON.stringify(frame.data)}\n\n`);
  return { shared: { frame, bytes: () => (encoded ??= encode()) }, bytes };
}

/** The whole view of one service, in parts; the last is complete and holds every tombstone, however many. */
export function resetFrames(
  of: ServiceRef,
  at: Pick<ResetFrame, 'epoch' | 'revision'>,
  instances: readonly Instance[],
  tombstones: readonly Tombstone[],
): readonly SizedFrame[] {
  const removed = tombstones.map(toTombstone);
  const removedBytes = bytesOf(removed);
  const parts = pack(instances);
  const last = parts.at(-1);
  if (last === undefined || last.bytes + removedBytes > PART_BYTES) parts.push({ items: [], bytes: 0 });
  return parts.map(({ items, bytes }, part) => {
    const complete = part === parts.length - 1;
    const data: ResetFrame = { ...nameOf(of), ...at, part, complete, instances: items };
    return complete
      ? share({ event: 'reset', data: { ...data, removed } }, bytes + removedBytes)
      : share({ event: 'reset', data }, bytes);
  });
}

/** The last words about some instances of one service; no frame when there are none. */
export function changeFrames(
  of: ServiceRef,
  upsert: readonly Instance[],
  remove: readonly Tombstone[],
): readonly SizedFrame[] {
  const words = [
    ...upsert.map((instance) => ({ instance })),
    ...remove.map((one) => ({ tombstone: toTombstone(one) })),
  ];
  return pack(words).map(({ items, bytes }) => {
    const part = {
      upsert: items.flatMap((word) => ('instance' in word ? [word.instance] : [])),
      remove: items.flatMap((word) => ('tombstone' in word ? [word.tombstone] : [])),
    };
    return share({ event: 'change', data: { ...nameOf(of), ...part } }, bytes);
  });
}

interface Part<Item> {
  readonly items: Item[];
  bytes: number;
}

/** Packs items, in order, into parts of the size of a frame; one item always fits (a registration has at most 16 KiB). */
function pack<Item>(items: readonly Item[]): Part<Item>[] {
  const parts: Part<Item>[] = [];
  for (const item of items) {
    const bytes = bytesOf(item);
    const last = parts.at(-1);
    if (last === undefined || last.bytes + bytes > PART_BYTES) {
      parts.push({ items: [item], bytes });
    } else {
      last.items.push(item);
      last.bytes += bytes;
    }
  }
  return parts;
}

/** As JSON in UTF-8, with the comma behind it. */
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value)) + 1;

/** Only what the wire shows: whoever keeps tombstones keeps more in them. */
const toTombstone = ({ id, revision, reason }: Tombstone): Tombstone => ({ id, revision, reason });
const nameOf = ({ namespace, service }: ServiceRef): ServiceRef => ({ namespace, service });
