import { addressOf, HEARTBEAT_METADATA, HEARTBEAT_METHOD } from '@rollcall/core';
import type { Endpoint, HeartbeatCall } from '@rollcall/core';
import type { ProbeProtocol, ProbeOutcome } from './caller.js';
import { toAnswer } from './dialect.js';
import type { Answer, AnswerReader, Dialect } from './dialect.js';
import { Exchanges } from './exchange.js';
import type { ExchangeOptions } from './exchange.js';
import { readFields, writeFields } from './hpack.js';

/** A HealthCheckResponse has two bytes. */
const MAX_MESSAGE_BYTES = 1_024;
/** Head, trailers, settings. */
const MAX_BYTES = 8_192 + MAX_MESSAGE_BYTES;

/**
 * Heartbeat-1 as one unary call of the standard health service over HTTP/2 (h2c; over TLS by ALPN), on a connection of
 * its own: none is kept. The call and its answer travel as metadata. The few frames are written and read here: a gRPC
 * library would cost a channel per call, and has timers of its own.
 */
export class GrpcCaller implements ProbeProtocol {
  readonly protocol = 'grpc';
  readonly #exchanges: Exchanges;

  constructor(options: ExchangeOptions) {
    this.#exchanges = new Exchanges(options, RESPONSES);
  }

  call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number): Promise<ProbeOutcome> {
    const text = requestText(endpoint, call);
    return this.#exchanges.ask({ endpoint, text, nonce: call.nonce, timeoutMs, slot: null, keeps: false });
  }

  close(): void {
    this.#exchanges.close();
  }
}

// RFC 9113, section 6
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const END_STREAM = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 32;
const FRAME_HEAD = 9;
const MAX_FRAME_BYTES = 16_384;
/** The first stream of a client. */
const STREAM = 1;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** No table of headers to refer to (HEADER_TABLE_SIZE), no pushed responses (ENABLE_PUSH). */
const OUR_SETTINGS = frame(SETTINGS, 0, 0, '\0\x01\0\0\0\0\0\x02\0\0\0\0');
/**
 * An empty HealthCheckRequest: the server as a whole. The first byte says that it is not compressed, the next four are
 * its length.
 */
const OUR_MESSAGE = frame(DATA, END_STREAM, STREAM, '\0\0\0\0\0');

function requestText(endpoint: Endpoint, call: HeartbeatCall): string {
  const head = writeFields([
    [':method', 'POST'],
    [':scheme', endpoint.tls ? 'https' : 'http'],
    [':path', HEARTBEAT_METHOD],
    [':authority', addressOf(endpoint)],
    ['content-type', 'application/grpc'],
    ['user-agent', 'rollcall'],
    ['te', 'trailers'],
    [HEARTBEAT_METADATA.replica, call.replica],
    [HEARTBEAT_METADATA.instance, call.instance],
    [HEARTBEAT_METADATA.nonce, call.nonce],
    [HEARTBEAT_METADATA.purpose, call.purpose],
    [HEARTBEAT_METADATA.mac, call.mac],
  ]);
  return PREFACE + OUR_SETTINGS + frame(HEADERS, END_HEADERS, STREAM, head) + OUR_MESSAGE;
}

// eslint-disable-next-line max-params -- the fields of a frame
function frame(type: number, flags: number, stream: number, payload: string): string {
  const { length } = payload;
  return String.fromCharCode(length >> 16, (length >> 8) & 255, length & 255, type, flags, 0, 0, 0, stream) + payload;
}

const NO_HTTP2: Answer = { nonsense: 'answers, but not in HTTP/2' };
const TOO_LARGE: Answer = { nonsense: `answers ${HEARTBEAT_METHOD} with too large a message or head` };
const RESET: Answer = { nonsense: `resets ${HEARTBEAT_METHOD}` };

export const RESPONSES: Dialect = {
  maxBytes: MAX_BYTES,
  alpn: 'h2',
  reader: () => new ResponseReader(),
};

/** Reads frames up to the end of the response. */
class ResponseReader implements AnswerReader {
  readonly #fields = new Map<string, string>();
  #dataBytes = 0;
  /** Where the next frame begins. */
  #at = 0;

  read(received: Buffer): Answer | null {
    while (received.length - this.#at >= FRAME_HEAD) {
      const at = this.#at;
      const length = received.readUIntBE(at, 3);
      const [type = 0, flags = 0] = received.subarray(at + 3, at + 5);
      if (length > MAX_FRAME_BYTES || (at === 0 && type !== SETTINGS)) return NO_HTTP2;
      const isOurs = received.readUInt32BE(at + 5) === STREAM;
      const dataBytes = this.#dataBytes + (isOurs && type === DATA ? length : 0);
      if (dataBytes > MAX_MESSAGE_BYTES) return TOO_LARGE;
      const from = at + FRAME_HEAD;
      if (received.length < from + length) return null;
      this.#dataBytes = dataBytes;
      this.#at = from + length;
      const answer = isOurs ? this.#take(type, flags, received.subarray(from, this.#at)) : null;
      if (answer !== null) return answer;
    }
    return null;
  }

  #take(type: number, flags: number, payload: Buffer): Answer | null {
    if (type === RST_STREAM) return RESET;
    if (type !== HEADERS && type !== DATA) return null;
    const failure = type === HEADERS ? takeHead(payload, flags, this.#fields) : null;
    if (failure !== null) return failure;
    return (flags & END_STREAM) === 0 ? null : answerOf(this.#fields);
  }
}

/** Adds the fields of a HEADERS frame: the head, then the trailers. */
function takeHead(payload: Buffer, flags: number, fields: Map<string, string>): Answer | null {
  if ((flags & END_HEADERS) === 0) return TOO_LARGE; // the rest would come in a CONTINUATION
  const padding = (flags & PADDED) === 0 ? 0 : (payload[0] ?? 0);
  const start = ((flags & PADDED) === 0 ? 0 : 1) + ((flags & PRIORITY) === 0 ? 0 : 5);
  const read = readFields(payload.subarray(start, payload.length - padding));
  if (read === null) return NO_HTTP2;
  for (const [name, value] of read) fields.set(name, value);
  return null;
}

function answerOf(fields: ReadonlyMap<string, string>): Answer {
  const http = fields.get(':status') ?? '';
  const grpc = fields.get('grpc-status') ?? '';
  if (http !== '200' && /^\d{3}$/.test(http)) {
    return { nonsense: `answers ${HEARTBEAT_METHOD} with HTTP status ${http}` };
  }
  if (grpc !== '0' && /^\d{1,3}$/.test(grpc)) {
    return { nonsense: `answers ${HEARTBEAT_METHOD} with gRPC status ${grpc}` };
  }
  if (grpc !== '0') return NO_HTTP2;
  return toAnswer({
    instance: fields.get(HEARTBEAT_METADATA.instance),
    nonce: fields.get(HEARTBEAT_METADATA.nonce) ?? null,
  });
}
