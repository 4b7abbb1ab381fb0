import { Malformed } from './codec.js';

/** A compression flag and the length. */
const HEAD_BYTES = 5;

/** One message as gRPC sends it. */
export function frameOf(message: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Reads the messages of one gRPC stream from pieces of any size. Holds at most `maxBytes` and one piece. */
export class FrameReader {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #wanted = HEAD_BYTES;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True within a message. */
  get isPartial(): boolean {
    return this.#bytes > 0;
  }

  /** The messages that are complete with this piece. Throws Malformed; the reader is then of no further use. */
  push(piece: Buffer): readonly Buffer[] {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    const messages: Buffer[] = [];
    // joined only once enough is there: a message in many pieces is copied once
    while (this.#bytes >= this.#wanted) {
      const all = this.#pieces.length === 1 ? (this.#pieces[0] ?? piece) : Buffer.concat(this.#pieces);
      const end = this.#endOf(all);
      if (all.length < end) {
        this.#hold(all, end);
        break;
      }
      messages.push(all.subarray(HEAD_BYTES, end));
      this.#hold(all.subarray(end), HEAD_BYTES);
    }
    return messages;
  }

  #hold(rest: Buffer, wanted: number): void {
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#wanted = wanted;
  }

  #endOf(all: Buffer): number {
    if (all[0] !== 0) throw new Malformed('a compressed message, which was not asked for');
    const length = all.readUInt32BE(1);
    if (length > this.#maxBytes) throw new Malformed(`a message of ${length} bytes; ${this.#maxBytes} are allowed`);
    return HEAD_BYTES + length;
  }
}
