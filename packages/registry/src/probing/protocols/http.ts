import { addressOf, HEARTBEAT_PATH } from '@rollcall/core';
import type { Endpoint, HeartbeatCall } from '@rollcall/core';
import type { KeptSlot, ProbeProtocol, ProbeOutcome } from './caller.js';
import { callText, toAnswer } from './dialect.js';
import type { Answer, AnswerReader, Dialect } from './dialect.js';
import { Exchanges } from './exchange.js';
import type { ExchangeOptions } from './exchange.js';

const MAX_BODY_BYTES = 1_024;
/** Security headers alone may be a kilobyte. */
const MAX_HEAD_BYTES = 8_192;
/** Leaves room for what chunked encoding adds to a body of that size. */
const MAX_BYTES = MAX_HEAD_BYTES + 4 * MAX_BODY_BYTES;
/** Maximum number of 1xx responses before the final one. */
const MAX_INTERIM = 8;

/**
 * Heartbeat-1 as one HTTP/1.1 request, on a connection of its own unless one is kept. A redirect is a failure and is
 * not followed.
 */
export class HttpCaller implements ProbeProtocol {
  readonly protocol: 'http' | 'heartbeat';
  readonly #exchanges: Exchanges;

  /** `protocol`: `heartbeat` for ports that answer nothing else. */
  constructor(options: ExchangeOptions, protocol: 'http' | 'heartbeat' = 'http') {
    this.protocol = protocol;
    this.#exchanges = new Exchanges(options, RESPONSES);
  }

  call(
    endpoint: Endpoint,
    call: HeartbeatCall,
    timeoutMs: number,
    slot: KeptSlot | null = null,
  ): Promise<ProbeOutcome> {
    const { nonce } = call;
    const keeps = call.keep === true && slot !== null && this.#exchanges.hasRoom;
    const text = requestText(endpoint, callText(call, keeps), keeps);
    return this.#exchanges.ask({ endpoint, text, nonce, timeoutMs, slot, keeps });
  }

  close(): void {
    this.#exchanges.close();
  }
}

const REQUEST_LINE = `POST ${HEARTBEAT_PATH} HTTP/1.1\r\nhost: `;
const FIELDS = [
  '',
  'user-agent: rollcall',
  'accept: application/json',
  'content-type: application/json',
  'content-length: ',
].join('\r\n');

function requestText(endpoint: Endpoint, body: string, keeps: boolean): string {
  const connection = keeps ? 'keep-alive' : 'close';
  return `${REQUEST_LINE}${addressOf(endpoint)}${FIELDS}${body.length}\r\nconnection: ${connection}\r\n\r\n${body}`;
}

export const RESPONSES: Dialect = { maxBytes: MAX_BYTES, reader: () => new ResponseReader() };

const HEAD_END = '\r\n\r\n';
const LINE_END = '\r\n';

type Headers = ReadonlyMap<string, string>;

/** Reads a response (RFC 9112). */
class ResponseReader implements AnswerReader {
  /** Offset of the unread bytes. */
  #at = 0;
  /** No end of a head or line begins before the last bytes of this offset. */
  #searched = 0;
  #interim = 0;
  /** Null until the head is complete. */
  #headers: Headers | null = null;
  /** Where the current chunk ends; null until its size is known. */
  #chunkEnd: number | null = null;
  /** The ranges of the body's chunks, and their total length. */
  readonly #chunks: (readonly [from: number, to: number])[] = [];
  #chunkBytes = 0;

  read(received: Buffer, isEnd: boolean): Answer | null {
    while (this.#headers === null) {
      const end = this.#find(received, HEAD_END);
      const known = end < 0 ? received.length - HEAD_END.length : end;
      if (known - this.#at > MAX_HEAD_BYTES) return { nonsense: 'answers with too large a head' };
      if (end < 0) return null;
      const nonsense = this.#takeHead(received.toString('latin1', this.#at, end));
      if (nonsense !== null) return { nonsense };
      this.#at = end + HEAD_END.length;
    }
    const body = this.#body(received, this.#headers, isEnd);
    if (body === null) return null;
    return body === 'malformed' || body.length > MAX_BODY_BYTES ? NO_ANSWER : toJsonAnswer(body);
  }

  #takeHead(head: string): string | null {
    const [start = '', ...fields] = head.split(LINE_END);
    const status = Number(/^HTTP\/1\.[01] (\d{3})\b/.exec(start)?.[1]);
    if (Number.isNaN(status)) return 'answers, but not in HTTP';
    if (status >= 300) return `answers ${HEARTBEAT_PATH} with status ${status}`;
    if (status >= 200) this.#headers = headersOf(fields);
    else this.#interim += 1;
    return this.#interim > MAX_INTERIM ? `answers with more than ${MAX_INTERIM} interim responses` : null;
  }

  /**
   * The body once it is complete by the framing that the headers announce; without any framing it ends with the
   * connection.
   */
  #body(received: Buffer, headers: Headers, isEnd: boolean): Buffer | 'malformed' | null {
    const encoding = headers.get('transfer-encoding');
    if (encoding !== undefined) return encoding === 'chunked' ? this.#joined(received) : 'malformed';
    const rest = received.subarray(this.#at);
    const length = headers.get('content-length');
    if (length === undefined) return isEnd || rest.length > MAX_BODY_BYTES ? rest : null;
    if (!/^\d{1,9}$/.test(length) || Number(length) > MAX_BODY_BYTES) return 'malformed';
    return rest.length >= Number(length) ? rest.subarray(0, Number(length)) : null;
  }

  /** Decodes chunked encoding; null until the last chunk, the empty one, has arrived. */
  #joined(received: Buffer): Buffer | 'malformed' | null {
    for (;;) {
      if (this.#chunkEnd === null) {
        const size = this.#chunkSize(received);
        if (size === null || size === 'malformed') return size;
        if (size === 0) return Buffer.concat(this.#chunks.map(([from, to]) => received.subarray(from, to)));
        this.#chunkEnd = this.#at + size;
        this.#chunks.push([this.#at, this.#chunkEnd]);
        this.#chunkBytes += size;
      }
      if (this.#chunkBytes > MAX_BODY_BYTES) return 'malformed';
      if (received.length < this.#chunkEnd + LINE_END.length) return null;
      this.#at = this.#chunkEnd + LINE_END.length;
      this.#chunkEnd = null;
    }
  }

  #chunkSize(received: Buffer): number | 'malformed' | null {
    const end = this.#find(received, LINE_END);
    if (end < 0) return null;
    const size = /^([0-9a-f]{1,4})(?:;|$)/i.exec(received.toString('latin1', this.#at, end))?.[1];
    this.#at = end + LINE_END.length;
    return size === undefined ? 'malformed' : Number.parseInt(size, 16);
  }

  /** Offset of the first `end` in the unread bytes; no byte is searched twice. */
  #find(received: Buffer, end: string): number {
    const at = received.indexOf(end, Math.max(this.#at, this.#searched - end.length));
    if (at < 0) this.#searched = received.length;
    return at;
  }
}

function headersOf(fields: readonly string[]): Headers {
  return new Map(
    fields.map((field) => {
      const colon = field.indexOf(':');
      return [
        field.slice(0, colon).toLowerCase(),
        field
          .slice(colon + 1)
          .trim()
          .toLowerCase(),
      ];
    }),
  );
}

const NO_ANSWER: Answer = { nonsense: 'answers, but not as Heartbeat-1 is answered' };

function toJsonAnswer(body: Buffer): Answer {
  try {
    return toAnswer(JSON.parse(body.toString('utf8')));
  } catch {
    return NO_ANSWER;
  }
}
