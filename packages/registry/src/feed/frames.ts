import { formatCursor } from '@rollcall/core';
import type { Cursor, Frame, Instance, ResetFrame, Tombstone } from '@rollcall/core';
import type { SharedFrame } from '../registry-api.js';

/** Maximum of bytes of the records in one frame: 64 KiB less the envelope. */
const PART_BYTES = 65_536 - 1_024;

/** The service of a frame. */
export interface ServiceRef {
  readonly namespace: string;
  readonly service: string;
}

/** A frame that waits to be sent. */
export interface SizedFrame {
  readonly shared: SharedFrame;
  /** Estimated size, known without encoding it. */
  readonly bytes: number;
  /** True for a part of a whole view. Those are read at the watcher's own pace and do not count as behind. */
  readonly isOfView: boolean;
}

/** A frame shared by all watchers: encoded when the first of them needs the bytes. `bytes` is its estimated size. */
export function share(frame: Frame, bytes = 256, isOfView = false): SizedFrame {
  let encoded: Uint8Array | undefined;
  const encode = (): Uint8Array => Buffer.from(`event: ${frame.event}\ndata: ${JSON.stringify(frame.data)}\n\n`);
  return { shared: { frame, bytes: () => (encoded ??= encode()) }, bytes, isOfView };
}

/**
 * The whole view of a service in parts; the last one is complete and holds the tombstones. Tombstones beyond its size
 * follow at once as changes: a watcher with the view can apply them, and no id line covers them before.
 */
export function resetFrames(
  of: ServiceRef,
  at: Pick<ResetFrame, 'epoch' | 'revision'>,
  instances: readonly Instance[],
  tombstones: readonly Tombstone[],
): readonly SizedFrame[] {
  const parts = pack(instances);
  const last = parts.at(-1) ?? { items: [], bytes: 0 };
  const [first = { items: [], bytes: 0 }] = pack(tombstones.map(toTombstone));
  const whole =
    last.bytes + first.bytes > PART_BYTES ? [...parts, { items: [], bytes: 0 }] : [...parts.slice(0, -1), last];
  const frames = whole.map(({ items, bytes }, part) => {
    const complete = part === whole.length - 1;
    const data: ResetFrame = { ...nameOf(of), ...at, part, complete, instances: items };
    return complete
      ? share({ event: 'reset', data: { ...data, removed: first.items } }, bytes + first.bytes, true)
      : share({ event: 'reset', data }, bytes, true);
  });
  const others = changeFrames(of, [], tombstones.slice(first.items.length));
  return [...frames, ...others.map((frame) => ({ ...frame, isOfView: true }))];
}

/** The latest versions of some instances of a service; no frame if there are none. */
export function changeFrames(
  of: ServiceRef,
  upsert: readonly Instance[],
  remove: readonly Tombstone[],
): readonly SizedFrame[] {
  const entries = [
    ...upsert.map((instance) => ({ instance })),
    ...remove.map((one) => ({ tombstone: toTombstone(one) })),
  ];
  const sent = (entry: (typeof entries)[number]): unknown => ('instance' in entry ? entry.instance : entry.tombstone);
  return pack(entries, sent).map(({ items, bytes }) => {
    const part = {
      upsert: items.flatMap((entry) => ('instance' in entry ? [entry.instance] : [])),
      remove: items.flatMap((entry) => ('tombstone' in entry ? [entry.tombstone] : [])),
    };
    return share({ event: 'change', data: { ...nameOf(of), ...part } }, bytes);
  });
}

/** Larger flushes are not joined: frames are shared by all, joined bytes only by watchers that get the same flush. */
const MAX_JOINED_BYTES = 65_536;

/**
 * Encodes a flush as Server-Sent Events, including its id line. Consecutive watchers that get the same flush share its
 * bytes and need one write each.
 */
export class FlushEncoder {
  #frames: readonly SharedFrame[] = [];
  #cursor: Cursor = { epoch: '', revision: -1 };
  #bytes: readonly Uint8Array[] = [];
  #beatAt = '';
  #beat: readonly Uint8Array[] = [];

  encode(frames: readonly SharedFrame[], cursor: Cursor): readonly Uint8Array[] {
    if (this.#isLast(frames, cursor)) return this.#bytes;
    const parts = [...frames.map((frame) => frame.bytes()), Buffer.from(`id: ${formatCursor(cursor)}\n\n`)];
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
    if (length > MAX_JOINED_BYTES) return parts;
    this.#frames = frames;
    this.#cursor = cursor;
    this.#bytes = [Buffer.concat(parts, length)];
    return this.#bytes;
  }

  /** A beat at the cursor of the watcher. Watchers with the same cursor share its bytes. */
  beat(cursor: Cursor): readonly Uint8Array[] {
    const text = formatCursor(cursor);
    if (text !== this.#beatAt) {
      this.#beatAt = text;
      this.#beat = [Buffer.from(`: beat\nid: ${text}\n\n`)];
    }
    return this.#beat;
  }

  #isLast(frames: readonly SharedFrame[], { epoch, revision }: Cursor): boolean {
    const known = this.#frames;
    if (revision !== this.#cursor.revision || epoch !== this.#cursor.epoch || frames.length !== known.length)
      return false;
    return frames.every((frame, index) => frame === known[index]);
  }
}

interface Part<Item> {
  readonly items: Item[];
  bytes: number;
}

/**
 * Packs items, in order, into parts of the size of a frame, by the size of `sent(item)`, the part of it that is sent.
 * One item always fits (a registration has at most 16 KiB).
 */
function pack<Item>(items: readonly Item[], sent: (item: Item) => unknown = (item) => item): Part<Item>[] {
  const parts: Part<Item>[] = [];
  for (const item of items) {
    const bytes = bytesOf(sent(item));
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

/** Size as JSON in UTF-8, with the comma behind it. */
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value)) + 1;

/** The public fields only: stored tombstones have more. */
const toTombstone = ({ id, revision, reason }: Tombstone): Tombstone => ({ id, revision, reason });
const nameOf = ({ namespace, service }: ServiceRef): ServiceRef => ({ namespace, service });
