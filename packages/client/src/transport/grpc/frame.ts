/** The prefix of each message: a flag for compression, and the length. */
const PREFIX_BYTES = 5;

/** Returns a message with its prefix. */
export function framed(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.byteLength);
  frame[0] = 0; // not compressed
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** Extracts messages from a body that arrives in pieces of any size. */
export class MessageReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = PREFIX_BYTES;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True if a message has begun and is not complete. */
  get isPartial(): boolean {
    return this.#size > 0;
  }

  /** Delivers each complete message; returns the flaw of the body, or null. After a flaw the reader cannot be used. */
  push(chunk: Buffer, take: (message: Buffer) => void): string | null {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#needed) return null;
    const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    let at = 0;
    for (this.#needed = PREFIX_BYTES; all.length - at >= this.#needed; this.#needed = PREFIX_BYTES) {
      const length = all.readUInt32BE(at + 1);
      if (all[at] !== 0) return 'a compressed message, although none was requested';
      if (length > this.#maxBytes)
        return `a message of ${length} bytes, more than the limit of ${this.#maxBytes}: send less data in one message, or raise calls.grpc.maxMessageBytes`;
      this.#needed = PREFIX_BYTES + length;
      if (all.length - at < this.#needed) break;
      take(all.subarray(at + PREFIX_BYTES, at + this.#needed));
      at += this.#needed;
    }
    this.#chunks = at === all.length ? [] : [all.subarray(at)];
    this.#size = all.length - at;
    return null;
  }
}
