import { RollcallError } from '@rollcall/core';
import { crc32 } from 'node:zlib';
import type { Write } from '../store.js';
import { isWrites } from '../stored.js';

/** The version of the file format; a later one is refused. */
const FORMAT = 1;
const NEWLINE = 10;
/** `1f3a90c2 117 ` in front of a payload of 117 bytes. */
const PREFIX = /^([0-9a-f]{8}) ([0-9]{1,10}) /;
const MAX_PREFIX = 20;

export type FileKind = 'snapshot' | 'log';

/** The first line of a file. */
export interface Header {
  readonly kind: FileKind;
  /** Files are numbered from 1; a number is never reused. */
  readonly generation: number;
  /** For a log: the log before it; a log with the number of a snapshot follows only that. */
  readonly after: number | null;
}

/** `log-000000012` */
export function fileName(kind: FileKind, generation: number): string {
  return `${kind}-${String(generation).padStart(9, '0')}`;
}

/** Parses a file name; null for other files. An unfinished one ends in `.tmp`. */
export function parseFileName(
  name: string,
): { readonly kind: FileKind; readonly generation: number; readonly isFinished: boolean } | null {
  const [, kind, number, rest] = /^(snapshot|log)-(\d{9,15})(\.tmp)?$/.exec(name) ?? [];
  if (kind !== 'snapshot' && kind !== 'log') return null;
  return { kind, generation: Number(number), isFinished: rest === undefined };
}

/**
 * A record: CRC-32 of the payload in hex, its length in bytes, the payload, a newline. The JSON contains no newline, so
 * that a bad record at the very end (torn by a crash) can be distinguished from one that others follow (damaged), and
 * people can read the file.
 */
export function encodeRecord(json: string): Uint8Array {
  return Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${Buffer.byteLength(json)} ${json}\n`);
}

export function encodeHeader({ kind, generation, after }: Header): Uint8Array {
  return encodeRecord(JSON.stringify({ rollcall: kind, format: FORMAT, generation, after }));
}

/** The last line of a snapshot: the number of its writes. */
export function encodeFooter(count: number): Uint8Array {
  return encodeRecord(JSON.stringify({ end: count }));
}

/** A file read to its end. */
export interface ReadFile {
  /** Null if not even the header was written. */
  readonly header: Header | null;
  readonly writes: readonly Write[];
  /** Where a half-written last record begins that a crash has left; null: none. */
  readonly tornAt: number | null;
}

/**
 * Reads a log, or a snapshot, which is complete only with its footer. Throws STORE_UNREADABLE for any damage, except
 * for a torn last record in a log, which was never acknowledged.
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
  /** Offset of the next record. */
  offset = 0;
  #before = 0;

  constructor(path: string, bytes: Uint8Array) {
    this.#path = path;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The next record; null at the end, and before a torn record at the end. Throws for a damaged one. */
  next(): unknown {
    const from = this.offset;
    const bytes = this.#bytes;
    const prefix = PREFIX.exec(bytes.toString('latin1', from, from + MAX_PREFIX));
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

  /** Throws for the last record, which is intact but unknown to this version. */
  refuse(): never {
    throw unreadable(
      `${this.#path} has a record at byte ${this.#before} that this version of Rollcall does not write. Nothing was changed.`,
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
    throw unreadable(`${path} is not a ${kind} of a Rollcall registry.`);
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

/** A STORE_UNREADABLE error with the fix, which is the same for all damage. */
export function unreadable(what: string, cause?: unknown): RollcallError {
  return new RollcallError(
    'STORE_UNREADABLE',
    `${what} Restore the folder, or move it away to start empty: running services register again by themselves.`,
    cause === undefined ? {} : { cause },
  );
}
