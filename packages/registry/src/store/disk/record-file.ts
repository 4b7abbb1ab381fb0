import { RollcallError } from '@rollcall/core';
import { crc32 } from 'node:zlib';
import type { Write } from '../store.js';
import { isWrites } from '../stored.js';

/** What the format of the files is called now; a file of a later one is refused, not guessed at. */
const FORMAT = 1;
const NEWLINE = 10;
/** `1f3a90c2 117 ` in front of a payload of 117 bytes. */
const PREFIX = /^([0-9a-f]{8}) ([0-9]{1,10}) /;
const LONGEST_PREFIX = 20;

export type FileKind = 'snapshot' | 'log';

/** The first line of a file. */
export interface Header {
  readonly kind: FileKind;
  /** Files are numbered from 1 on; a number is never used again. */
  readonly generation: number;
  /** Of a log: the log that was written before it; a log whose number a snapshot has stands on that alone. */
  readonly after: number | null;
}

/** `log-000000012` */
export function fileName(kind: FileKind, generation: number): string {
  return `${kind}-${String(generation).padStart(9, '0')}`;
}

/** Null for a name that is none of ours; an unfinished one ends in `.tmp`. */
export function parseFileName(
  name: string,
): { readonly kind: FileKind; readonly generation: number; readonly isFinished: boolean } | null {
  const [, kind, number, rest] = /^(snapshot|log)-(\d{9,15})(\.tmp)?$/.exec(name) ?? [];
  if (kind !== 'snapshot' && kind !== 'log') return null;
  return { kind, generation: Number(number), isFinished: rest === undefined };
}

/**
 * One record: CRC-32 of the payload in hex, its length in bytes, the payload, a newline. JSON has no newline inside, so that a bad
 * record at the very end (torn by a crash) can be told from one that others follow (damaged), and people can read the file.
 */
export function encodeRecord(json: string): Uint8Array {
  return Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${Buffer.byteLength(json)} ${json}\n`);
}

export function encodeHeader({ kind, generation, after }: Header): Uint8Array {
  return encodeRecord(JSON.stringify({ rollcall: kind, format: FORMAT, generation, after }));
}

/** The last line of a snapshot: how many writes are in it. */
export function encodeFooter(count: number): Uint8Array {
  return encodeRecord(JSON.stringify({ end: count }));
}

/** A file that was read to its end. */
export interface ReadFile {
  /** Null: not even that was written. */
  readonly header: Header | null;
  readonly writes: readonly Write[];
  /** Where the half of a last record begins that a crash has left; null: there is none. */
  readonly tornAt: number | null;
}

/**
 * Reads a log, or a snapshot, which is only whole with its footer. Throws STORE_UNREADABLE for whatever is damaged, except for a
 * torn last record in a log: that one was never acknowledged.
 */
export function readRecords(path: string, kind: FileKind, bytes: Uint8Array): ReadFile {
  const reader = new RecordReader(path, bytes);
  const first = reader.next();
  if (first === null) {
    if (kind === 'snapshot') throw reader.damaged();
    return { header: null, writes: [], tornAt: reader.offset < bytes.length ? reader.offset : null };
  }
  const header = parseHeader(path, kind, first);
  const writes: Write[] = [];
  let end: number | null = null;
  for (let payload = reader.next(); payload !== null; payload = reader.next()) {
    if (end === null && isWrites(payload)) for (const write of payload) writes.push(write);
    else if (end === null && kind === 'snapshot') end = endOf(payload) ?? reader.refuse();
    else reader.refuse();
  }
  const isWhole = reader.offset === bytes.length;
  if (kind === 'snapshot' && (!isWhole || end !== writes.length)) throw reader.damaged();
  return { header, writes, tornAt: isWhole ? null : reader.offset };
}

class RecordReader {
  readonly #path: string;
  readonly #bytes: Buffer;
  /** Where the next record begins. */
  offset = 0;
  #before = 0;

  constructor(path: string, bytes: Uint8Array) {
    this.#path = path;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Null at the end, and before a torn record at the end. Throws for one that is damaged. */
  next(): unknown {
    const from = this.offset;
    const bytes = this.#bytes;
    const prefix = PREFIX.exec(bytes.toString('latin1', from, from + LONGEST_PREFIX));
    const start = from + (prefix?.[0].length ?? 0);
    const stop = start + Number(prefix?.[2] ?? Infinity);
    if (
      stop < bytes.length &&
      bytes[stop] === NEWLINE &&
      crc32(bytes.subarray(start, stop)) === parseInt(prefix?.[1] ?? '', 16)
    ) {
      this.#before = from;
      this.offset = stop + 1;
      return this.#parse(bytes.toString('utf8', start, stop));
    }
    const newline = bytes.indexOf(NEWLINE, from);
    const isLast = (newline === -1 || newline === bytes.length - 1) && !(stop + 1 < bytes.length);
    if (!isLast) throw this.damaged();
    return null;
  }

  damaged(): RollcallError {
    return unreadable(
      `${this.#path} is damaged at byte ${this.offset}: the checksum does not fit what stands there. Nothing was changed.`,
    );
  }

  /** The record that was read last is whole, but says nothing that this version knows. */
  refuse(): never {
    throw unreadable(
      `${this.#path} says at byte ${this.#before} what no Rollcall of this version writes. Nothing was changed.`,
    );
  }

  #parse(json: string): unknown {
    try {
      return JSON.parse(json);
    } catch {
      return this.refuse();
    }
  }
}

function parseHeader(path: string, kind: FileKind, payload: unknown): Header {
  const { rollcall, format, generation, after } = (payload ?? {}) as Readonly<Record<string, unknown>>;
  if (rollcall !== kind || typeof format !== 'number' || typeof generation !== 'number') {
    throw unreadable(`${path} is no ${kind} of a Rollcall registry.`);
  }
  if (format > FORMAT) {
    throw new RollcallError(
      'STORE_UNREADABLE',
      `${path} was written by a newer Rollcall (format ${format}; this one reads up to ${FORMAT}). Start that version again, or ` +
        'name another folder.',
    );
  }
  return { kind, generation, after: typeof after === 'number' ? after : null };
}

function endOf(payload: unknown): number | null {
  const { end } = (payload ?? {}) as Readonly<Record<string, unknown>>;
  return typeof end === 'number' ? end : null;
}

/** What is wrong, and the way out, which is the same for all that is wrong with files. */
export function unreadable(what: string, cause?: unknown): RollcallError {
  return new RollcallError(
    'STORE_UNREADABLE',
    `${what} Restore the folder, or move it away to begin anew: running services register again by themselves.`,
    cause === undefined ? {} : { cause },
  );
}
