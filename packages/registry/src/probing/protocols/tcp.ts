import { isAscii } from 'node:buffer';
import { FrameDecoder, HEARTBEAT_PATTERN } from '@rollcall/core';
import type { Endpoint, HeartbeatCall } from '@rollcall/core';
import type { KeptSlot, ProbeProtocol, ProbeOutcome } from './caller.js';
import { callText, toAnswer } from './dialect.js';
import type { Answer, AnswerReader, Dialect } from './dialect.js';
import { Exchanges } from './exchange.js';
import type { ExchangeOptions } from './exchange.js';

/** A frame with the answer has about 200 bytes. */
const MAX_BYTES = 1_024;

/** Heartbeat-1 to a Nest TCP server: one request frame, one response frame. */
export class TcpCaller implements ProbeProtocol {
  readonly protocol = 'tcp';
  readonly #exchanges: Exchanges;

  constructor(options: ExchangeOptions) {
    this.#exchanges = new Exchanges(options, FRAMES);
  }

  call(
    endpoint: Endpoint,
    call: HeartbeatCall,
    timeoutMs: number,
    slot: KeptSlot | null = null,
  ): Promise<ProbeOutcome> {
    const { nonce } = call;
    const keeps = call.keep === true && slot !== null && this.#exchanges.hasRoom;
    const json = `{"pattern":"${HEARTBEAT_PATTERN}","data":${callText(call, keeps)},"id":"${nonce}"}`;
    return this.#exchanges.ask({ endpoint, text: `${json.length}#${json}`, nonce, timeoutMs, slot, keeps });
  }

  close(): void {
    this.#exchanges.close();
  }
}

const NO_FRAME: Answer = { nonsense: 'answers, but not in frames of Nest TCP' };

export const FRAMES: Dialect = {
  maxBytes: MAX_BYTES,
  reader: (nonce) => new FrameReader(nonce),
};

class FrameReader implements AnswerReader {
  readonly #nonce: string;
  #decoder: FrameDecoder | null = null;
  #at = 0;

  constructor(nonce: string) {
    this.#nonce = nonce;
  }

  read(received: Buffer): Answer | null {
    const frame = this.#at === 0 ? wholeFrame(received) : undefined;
    if (frame !== undefined) return toFrameAnswer(frame, this.#nonce);
    this.#decoder ??= new FrameDecoder(MAX_BYTES);
    // byte by byte: bytes behind the frame must not spoil it, whether they have arrived or not
    for (; this.#at < received.length; this.#at += 1) {
      const { frames, failure } = this.#decoder.push(received.subarray(this.#at, this.#at + 1));
      if (frames.length > 0) return toFrameAnswer(frames[0], this.#nonce);
      if (failure !== null) return NO_FRAME;
    }
    return null;
  }
}

const MAX_DIGITS = String(MAX_BYTES).length;
const ZERO = 48;
const HASH = 35;

/** Reads a frame that arrived in one piece, as from a Nest server, without a decoder; undefined for anything else. */
function wholeFrame(received: Buffer): unknown {
  let length = 0;
  let at = 0;
  for (; received[at] !== HASH; at += 1) {
    const digit = (received[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9 || at >= MAX_DIGITS) return undefined;
    length = length * 10 + digit;
  }
  if (at === 0 || received.length !== at + 1 + length || !isAscii(received)) return undefined;
  try {
    return JSON.parse(received.toString('latin1', at + 1));
  } catch {
    return undefined;
  }
}

/** `{ id, response, isDisposed }`, or `{ id, err }` from an application that has no such handler, or whose handler threw. */
function toFrameAnswer(frame: unknown, id: string): Answer {
  if (typeof frame !== 'object' || frame === null || !('id' in frame) || frame.id !== id) {
    return { nonsense: 'answers another request' };
  }
  if ('err' in frame && Boolean(frame.err)) return { nonsense: `answers ${HEARTBEAT_PATTERN} with an error` };
  return toAnswer('response' in frame ? frame.response : null);
}
