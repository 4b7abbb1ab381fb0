import { Malformed } from './codec.js';

/** A compression flag and the length. */
const HEAD_BYTES = 5;
/** The size of the first buffer of a message that arrives in pieces. */
const FIRST_BYTES = 1_024;

/** One message as gRPC sends it. */
export function frameOf(message: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/**
 * Reads the messages of one gRPC stream from pieces of any size. Holds at most twice the bytes that have arrived, and a
 * message of at most `maxBytes`, however small its pieces are.
 */
export class FrameReader {
  readonly #maxBytes: number;
  /** The received part of a message; grows by doubling, so that each byte is copied a constant number of times. */
  #held = Buffer.alloc(0);
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True within a message. */
  get isPartial(): boolean {
    return this.#bytes > 0;
  }

  /** The messages that are complete with this piece. Throws Malformed; the reader is then of no further use. */
  push(piece: Buffer): readonly Buffer[] {
    const messages: Buffer[] = [];
    let rest = piece;
    while (this.#bytes + rest.length >= HEAD_BYTES) {
      const missing = this.#endOf(rest) - this.#bytes;
      if (rest.length < missing) break;
      if (this.#bytes === 0) messages.push(rest.subarray(HEAD_BYTES, missing));
      else {
        this.#hold(rest.subarray(0, missing));
        messages.push(this.#held.subarray(HEAD_BYTES, this.#bytes));
        this.#held = Buffer.alloc(0);
        this.#bytes = 0;
      }
      rest = rest.subarray(missing);
    }
    if (rest.length > 0) this.#hold(rest);
    return messages;
  }

  #hold(piece: Buffer): void {
    const bytes = this.#bytes + piece.length;
    if (bytes > this.#held.length) {
      const grown = Buffer.alloc(Math.max(FIRST_BYTES, bytes, 2 * this.#bytes));
      this.#held.copy(grown, 0, 0, this.#bytes);
      this.#held = grown;
    }
    piece.copy(this.#held, this.#bytes);
    this.#bytes = bytes;
  }

  /** Where the current message ends, from its first byte on. At least HEAD_BYTES are there with `rest`. */
  #endOf(rest: Buffer): number {
    const head =
      this.#bytes >= HEAD_BYTES
        ? this.#held
        : Buffer.concat([this.#held.subarray(0, this.#bytes), rest.subarray(0, HEAD_BYTES - this.#bytes)]);
    if (head[0] !== 0) throw new Malformed('a compressed message, which was not asked for');
    const length = head.readUInt32BE(1);
    if (length > this.#maxBytes) throw new Malformed(`a message of ${length} bytes; ${this.#maxBytes} are allowed`);
    return HEAD_BYTES + length;
  }
}
