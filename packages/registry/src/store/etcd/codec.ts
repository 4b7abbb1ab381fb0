/**
 * The wire format of Protocol Buffers, as far as the messages of etcd need it: varints and length-delimited fields.
 * https://protobuf.dev/programming-guides/encoding
 */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/** Bytes that are not a valid message. The text names the place. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** Builds one message, field by field. */
export class MessageWriter {
  readonly #parts: Buffer[] = [];

  /** An integer from 0 to 2^53 − 1, also 0, which a field of a oneof needs. */
  integer(field: number, value: number): this {
    this.#parts.push(Buffer.from([...varint(field * 8 + VARINT), ...varint(value)]));
    return this;
  }

  boolean(field: number, value: boolean): this {
    return this.integer(field, value ? 1 : 0);
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(Buffer.from([...varint(field * 8 + DELIMITED), ...varint(value.length)]), Buffer.from(value));
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value));
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

/** One field of a message. `integer` is 0 for bytes; `bytes` is empty for an integer. */
export interface ReadField {
  readonly field: number;
  /** Exact from −(2^53 − 1) to 2^53 − 1; larger ones, which only ids have, are rounded. */
  readonly integer: number;
  readonly bytes: Buffer;
}

const NO_BYTES = Buffer.alloc(0);

/** The fields of a message in their order; fields of fixed width are left out. Throws Malformed. */
export function* readFields(message: Buffer): Generator<ReadField, void> {
  const reader = { message, at: 0 };
  while (reader.at < message.length) {
    const tag = readVarint(reader);
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (field < 1 || field > 536_870_911) throw new Malformed(`no field has the number ${field}`);
    if (kind === VARINT) yield { field, integer: readVarint(reader), bytes: NO_BYTES };
    else if (kind === DELIMITED) yield { field, integer: 0, bytes: take(reader, readVarint(reader)) };
    else if (kind === FIXED64) take(reader, 8);
    else if (kind === FIXED32) take(reader, 4);
    else throw new Malformed(`no field has the type ${kind}`);
  }
}

interface Reader {
  readonly message: Buffer;
  at: number;
}

function readVarint(reader: Reader): number {
  let value = 0;
  let scale = 1;
  for (let count = 0; count < MAX_VARINT_BYTES; count += 1) {
    const byte = reader.message[reader.at];
    if (byte === undefined) throw new Malformed('it ends within a number');
    reader.at += 1;
    value += (byte & 127) * scale;
    if (byte < 128) return value >= 2 ** 63 ? value - 2 ** 64 : value;
    scale *= 128;
  }
  throw new Malformed('a number has more than 10 bytes');
}

function take(reader: Reader, length: number): Buffer {
  const end = reader.at + length;
  if (length < 0 || end > reader.message.length) throw new Malformed('a field is longer than the message');
  const bytes = reader.message.subarray(reader.at, end);
  reader.at = end;
  return bytes;
}
