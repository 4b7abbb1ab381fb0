/**
 * The part of HPACK (RFC 7541) that a client needs which announces a dynamic table of size 0: it writes literals, and
 * reads fields that refer to no earlier ones.
 */

/** ASCII names and values, each at most a few hundred bytes. */
export type Fields = readonly (readonly [name: string, value: string])[];

const STATUS_NAME = ':status';
/** The only entries of the static table that are read: 8 … 14 are the status, with these values. */
const FIRST_STATUS = 8;
const STATUSES: readonly string[] = ['200', '204', '206', '304', '400', '404', '500'];
const STATIC_ENTRIES = 61;

/**
 * The characters by the length of their Huffman code (RFC 7541, appendix B). The code is canonical, so this is all of
 * it up to 15 bits; longer codes stand for characters that Rollcall does not use.
 */
const BY_LENGTH: readonly (readonly [bits: number, characters: string])[] = [
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, '\0$@[]~'],
  [14, '^}'],
  [15, '<`{'],
];
const MAX_BITS = 15;

/** Characters by code, with a leading 1 so that codes of different lengths differ. */
const CHARACTERS: ReadonlyMap<number, string> = huffmanTable();

function huffmanTable(): Map<number, string> {
  const table = new Map<number, string>();
  let code = 0;
  let length = 0;
  for (const [bits, characters] of BY_LENGTH) {
    code <<= bits - length;
    length = bits;
    for (const character of characters) {
      table.set((1 << bits) | code, character);
      code += 1;
    }
  }
  return table;
}

/** Encodes a header block, as a string of bytes (latin1). */
export function writeFields(fields: Fields): string {
  return fields.map(([name, value]) => `\0${writeString(name)}${writeString(value)}`).join('');
}

function writeString(text: string): string {
  const { length } = text;
  if (length < 127) return String.fromCharCode(length) + text;
  const rest = length - 127;
  const more = rest < 128 ? [rest] : [(rest & 127) | 128, rest >> 7];
  return String.fromCharCode(127, ...more) + text;
}

/** Decodes the fields of a header block; values that cannot be read are left out. Null if the block is malformed. */
export function readFields(block: Buffer): ReadonlyMap<string, string> | null {
  const fields = new Map<string, string>();
  const reader = new Reader(block);
  while (!reader.isAtEnd) {
    const first = reader.peek();
    if ((first & 0x80) !== 0) {
      const index = reader.integer(7);
      if (index < 1 || index > STATIC_ENTRIES) return null;
      const status = STATUSES[index - FIRST_STATUS];
      if (status !== undefined) fields.set(STATUS_NAME, status);
    } else if ((first & 0xe0) === 0x20) {
      reader.integer(5); // a dynamic table size update
    } else {
      const index = reader.integer((first & 0x40) === 0 ? 4 : 6);
      const name = index === 0 ? reader.string() : nameAt(index);
      const value = reader.string();
      if (name !== null && value !== null) fields.set(name, value);
    }
  }
  return reader.isBroken ? null : fields;
}

function nameAt(index: number): string | null {
  return STATUSES[index - FIRST_STATUS] === undefined ? null : STATUS_NAME;
}

/** Reading past the end is safe: the reader is then broken, and at its end. */
class Reader {
  isBroken = false;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  peek(): number {
    return this.#bytes[this.#at] ?? 0;
  }

  /** Reads an integer with a prefix of `bits` bits (RFC 7541, 5.1). */
  integer(bits: number): number {
    const max = (1 << bits) - 1;
    let value = this.#byte() & max;
    if (value < max) return value;
    for (let shift = 0; shift <= 14; shift += 7) {
      const byte = this.#byte();
      value += (byte & 127) << shift;
      if (byte < 128) return value;
    }
    return this.#fail();
  }

  /** Reads a string; null if it has characters outside the table. */
  string(): string | null {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) this.#fail();
    this.#at += length;
    return isHuffman ? unpacked(bytes) : bytes.toString('latin1');
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    this.#at += 1;
    return byte ?? this.#fail();
  }

  #fail(): number {
    this.isBroken = true;
    this.#at = this.#bytes.length;
    return 0;
  }
}

function unpacked(bytes: Buffer): string | null {
  let text = '';
  let code = 1;
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const byte = bytes[bit >> 3] ?? 0;
    code = (code << 1) | ((byte >> (7 - (bit & 7))) & 1);
    const character = CHARACTERS.get(code);
    if (character !== undefined) {
      text += character;
      code = 1;
    } else if (code >> MAX_BITS !== 0) return null;
  }
  return text;
}
