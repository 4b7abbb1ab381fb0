import { printed } from '../options/schema.js';
import { messageOf, RollcallError } from '../runtime/errors.js';

/**
 * The frames of Nest's TCP transport: `<length>#<JSON>`, the length in UTF-16 code units of the JSON text, the whole in UTF-8.
 * What Nest writes is read here and the other way round. Nest is laxer about what it reads (`parseInt` of the length, wrong
 * UTF-8 replaced, 128 Mi characters); nothing that it writes needs that.
 */

/** The longest frame a decoder takes unless told otherwise: 1 Mi UTF-16 code units of JSON. */
export const MAX_FRAME_LENGTH = 1_048_576;

/** Throws FRAME_INVALID for what JSON cannot say: undefined, a function, a bigint, a circle. */
export function encodeFrame(value: unknown): string {
  const json = toJson(value);
  return `${json.length}#${json}`;
}

/** What one chunk completed. */
export interface DecodedFrames {
  /** The values of the frames, in order; those before a failure too, unless it is that the chunk is not UTF-8. */
  readonly frames: readonly unknown[];
  /** FRAME_INVALID once what came is no frame: close the connection, since nothing behind it can be read. */
  readonly failure: RollcallError | null;
}

/**
 * Reads frames from chunks that may be cut anywhere, in the middle of a character too. Of a frame that is not complete it keeps
 * at most `maxLength` characters; a longer one is refused as soon as its length has been read. It never throws: after the
 * first failure it drops what it holds and gives the same failure for ever. A stream that ends in the middle of a frame is for the
 * owner of the connection to see: `isPartial`.
 */
export class FrameDecoder {
  readonly #maxLength: number;
  readonly #limitName: string | null;
  /** A longer row of digits is no length: it stays bounded without a `#`. */
  readonly #maxDigits: number;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  /** The first bytes of a character whose last ones have not come. */
  #cut: Uint8Array | null = null;
  /** Characters that have come and are not yet read: a row of digits, or the start of the JSON whose length is `#length`. */
  #rest = '';
  /** The length of the frame that is being read; -1 before it is known. */
  #length = -1;
  #failure: RollcallError | null = null;

  /** `limitName`: the option that `maxLength` comes from, for the error's advice. */
  constructor(maxLength: number = MAX_FRAME_LENGTH, limitName: string | null = null) {
    this.#maxLength = maxLength;
    this.#limitName = limitName;
    this.#maxDigits = String(maxLength).length;
  }

  /** Has a frame begun that is not complete? */
  get isPartial(): boolean {
    return this.#length >= 0 || this.#rest !== '' || this.#cut !== null;
  }

  /**
   * Takes the next chunk: bytes, or text that somebody else decoded; one kind for one decoder. Keeps no part of the bytes.
   * Not wanted: frames that it completes are passed over, whatever is in them.
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
    // V8 joins by reference: a long frame in many chunks is copied once, when it is complete and first looked into.
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

  /** Reads the digits from `start` on and says where the `#` behind them is; -1 if it has not come. */
  #readLength(text: string, start: number): number {
    let length = 0;
    let at = start;
    for (; at < text.length; at += 1) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit === HASH - ZERO && at > start) break;
      if (digit < 0 || digit > 9) throw notALength(text.slice(start, start + 8));
      length = length * 10 + digit;
      if (at - start < this.#maxDigits) continue;
      throw length > this.#maxLength ? this.#tooLong(length) : notALength(text.slice(start, start + 8));
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
      // One call for each chunk: the streaming mode of TextDecoder is six times slower on large ones.
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
const WRONG_PEER = 'Is it a Nest TCP service, and is this its port?';

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

/** The parser's own words quote what was sent, which belongs in no log. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(`a frame of ${text.length} characters that is not JSON`, WRONG_PEER);
  }
}

function notALength(start: string): RollcallError {
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

/** How many bytes at the end begin a UTF-8 character that is not complete: 0 … 3. */
function unfinishedTail(bytes: Uint8Array): number {
  for (let back = 1; back <= 3; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}
