import { printed } from '../options/schema.js';
import { messageOf, RollcallError } from '../runtime/errors.js';

/**
 * The frames of Nest's TCP transport: `<length>#<JSON>`, the length in UTF-16 code units of the JSON text, all encoded as UTF-8. Each side
 * can read the frames of the other. Nest reads more leniently (`parseInt` of the length, invalid UTF-8 replaced, 128 Mi characters), but
 * none of its own frames needs that.
 */

/** The default limit of a frame: 1 Mi UTF-16 code units of JSON. */
export const MAX_FRAME_LENGTH = 1_048_576;

/**
 * Encodes a value. Throws FRAME_INVALID for a value that JSON cannot represent: undefined, a function, a bigint, a
 * cycle.
 */
export function encodeFrame(value: unknown): string {
  const json = toJson(value);
  return `${json.length}#${json}`;
}

/** The frames that one chunk completed. */
export interface DecodedFrames {
  /** The values of the frames, in order; including those before a failure, unless the chunk is not UTF-8. */
  readonly frames: readonly unknown[];
  /** FRAME_INVALID once the input is not a frame: close the connection, since nothing after it can be read. */
  readonly failure: RollcallError | null;
}

/**
 * Decodes frames from chunks that may be split anywhere, even inside a character. It keeps at most `maxLength` characters of an incomplete
 * frame, and rejects a longer one as soon as it has read its length. It never throws: after the first failure it drops its buffer and
 * always returns the same failure. `isPartial` shows whether a stream ended inside a frame.
 */
export class FrameDecoder {
  readonly #maxLength: number;
  readonly #limitName: string | null;
  /** A longer run of digits is not a length; this bounds input without a `#`. */
  readonly #maxDigits: number;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  /** The first bytes of an incomplete character. */
  #cut: Uint8Array | null = null;
  /** Received, unread characters: digits, or the start of the JSON whose length is `#length`. */
  #rest = '';
  /** The length of the current frame; -1 until it is known. */
  #length = -1;
  #failure: RollcallError | null = null;

  /** `limitName` is the option that sets `maxLength`, for the advice of the error. */
  constructor(maxLength: number = MAX_FRAME_LENGTH, limitName: string | null = null) {
    this.#maxLength = maxLength;
    this.#limitName = limitName;
    this.#maxDigits = String(maxLength).length;
  }

  /** True if an incomplete frame is buffered. */
  get isPartial(): boolean {
    return this.#length >= 0 || this.#rest !== '' || this.#cut !== null;
  }

  /**
   * Takes the next chunk: bytes, or text that is already decoded; one decoder takes one kind. It keeps no reference to the bytes. If
   * `isWanted` is false, the frames that it completes are skipped without parsing.
   */
  push(chunk: string | Uint8Array, isWanted = true): DecodedFrames {
    const frames: unknown[] = [];
    if (this.#failure !== null) return { frames, failure: this.#failure };
    try {
      this.#read(typeof chunk === 'string' ? chunk : this.#decode(chunk), isWanted ? frames : null);
    } catch (error) {
      this.#fail(error instanceof RollcallError ? error : invalid('something unreadable', messageOf(error)));
    }
    return { frames, failure: this.#failure };
  }

  #read(chunk: string, frames: unknown[] | null): void {
    // V8 concatenates by reference: a long frame in many chunks is copied once, when it is complete and first read.
    const text = this.#rest + chunk;
    let at = 0;
    for (;;) {
      if (this.#length < 0) {
        const hash = this.#readLength(text, at);
        if (hash < 0) break;
        at = hash + 1;
      }
      const end = at + this.#length;
      if (end > text.length) break;
      frames?.push(parseJson(text.slice(at, end)));
      this.#length = -1;
      at = end;
    }
    this.#rest = at === 0 ? text : text.slice(at);
  }

  /** Reads the digits from `start` on and returns the position of the `#` after them; -1 if it has not arrived. */
  #readLength(text: string, start: number): number {
    let length = 0;
    let at = start;
    for (; at < text.length; at += 1) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit === HASH - ZERO && at > start) break;
      if (digit < 0 || digit > 9) throw noLengthError(text.slice(start, start + 8));
      length = length * 10 + digit;
      if (at - start < this.#maxDigits) continue;
      throw length > this.#maxLength ? this.#tooLong(length) : noLengthError(text.slice(start, start + 8));
    }
    if (length > this.#maxLength) throw this.#tooLong(length);
    if (at === text.length) return -1;
    this.#length = length;
    return at;
  }

  #decode(chunk: Uint8Array): string {
    const bytes = this.#cut === null ? chunk : join(this.#cut, chunk);
    const cut = unfinishedTail(bytes);
    this.#cut = cut === 0 ? null : new Uint8Array(bytes.subarray(bytes.length - cut));
    try {
      // One call per chunk: the streaming mode of TextDecoder is six times slower on large chunks.
      return this.#utf8.decode(cut === 0 ? bytes : bytes.subarray(0, bytes.length - cut));
    } catch {
      throw invalid('bytes that are not UTF-8', WRONG_PEER);
    }
  }

  #tooLong(length: number): RollcallError {
    const what = `a frame of ${length} characters or more, and ${this.#maxLength} are allowed`;
    const more = this.#limitName === null ? 'allow more' : `raise ${this.#limitName}`;
    return invalid(what, `Let it send less in one message, or ${more}.`);
  }

  #fail(failure: RollcallError): void {
    this.#rest = '';
    this.#cut = null;
    this.#length = -1;
    this.#failure = failure;
  }
}

const ZERO = 48;
const HASH = 35;
const WRONG_PEER = 'Check that it is a Nest TCP service, and that this is its port.';

function toJson(value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    throw new RollcallError('FRAME_INVALID', `A message cannot be sent as JSON: ${messageOf(cause)}.`, { cause });
  }
  if (json === undefined) {
    throw new RollcallError('FRAME_INVALID', `A message cannot be sent as JSON: received ${typeof value}.`);
  }
  return json;
}

/** Hides the message of the parser: it quotes the payload, which must not appear in a log. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(`a frame of ${text.length} characters that is not JSON`, WRONG_PEER);
  }
}

function noLengthError(start: string): RollcallError {
  return invalid(`${printed(start)} where a frame begins with its length`, WRONG_PEER);
}

function invalid(what: string, advice: string): RollcallError {
  return new RollcallError('FRAME_INVALID', `The peer sent ${what}. ${advice}`);
}

function join(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

/** The number of bytes at the end that begin an incomplete UTF-8 character: 0 … 3. */
function unfinishedTail(bytes: Uint8Array): number {
  for (let back = 1; back <= 3; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}
