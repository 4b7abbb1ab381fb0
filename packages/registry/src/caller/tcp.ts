import { encodeFrame, FrameDecoder, HEARTBEAT_PATTERN } from '@rollcall/core';
import type { Endpoint, HeartbeatCall } from '@rollcall/core';
import type { Caller, CallOutcome } from './caller.js';
import { Exchanges, toAnswer } from './exchange.js';
import type { Answer, AnswerReader, ExchangeOptions } from './exchange.js';

/** A frame with the answer is some 200 bytes long. */
const MAX_BYTES = 1_024;

/** Heartbeat-1 to a Nest TCP server: one request frame, one response frame. */
export class TcpCaller implements Caller {
  readonly protocol = 'tcp';
  readonly #exchanges: Exchanges;

  constructor(options: ExchangeOptions) {
    this.#exchanges = new Exchanges(options);
  }

  call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number): Promise<CallOutcome> {
    const text = encodeFrame({ pattern: HEARTBEAT_PATTERN, data: call, id: call.nonce });
    return this.#exchanges.ask({ endpoint, text, timeoutMs, maxBytes: MAX_BYTES, reader: frameReader(call.nonce) });
  }

  close(): void {
    this.#exchanges.close();
  }
}

function frameReader(id: string): AnswerReader {
  const decoder = new FrameDecoder(MAX_BYTES);
  return {
    read(bytes) {
      const { frames, failure } = decoder.push(bytes);
      if (frames.length > 0) return toFrameAnswer(frames[0], id);
      return failure === null ? null : { nonsense: 'answers, but not in frames of Nest TCP' };
    },
    end: () => null,
  };
}

/** `{ id, response, isDisposed }`, or `{ id, err }` from an application that has no such handler, or whose handler threw. */
function toFrameAnswer(frame: unknown, id: string): Answer {
  if (typeof frame !== 'object' || frame === null || !('id' in frame) || frame.id !== id) {
    return { nonsense: 'answers another request' };
  }
  if ('err' in frame && Boolean(frame.err)) return { nonsense: `answers ${HEARTBEAT_PATTERN} with an error` };
  return toAnswer('response' in frame ? frame.response : null);
}
