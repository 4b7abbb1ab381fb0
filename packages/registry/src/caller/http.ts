import { addressOf, HEARTBEAT_PATH } from '@rollcall/core';
import type { Endpoint, HeartbeatCall } from '@rollcall/core';
import type { Berth, Caller, CallOutcome } from './caller.js';
import { callText, toAnswer } from './dialect.js';
import type { Answer } from './dialect.js';
import { Exchanges } from './exchange.js';
import type { ExchangeOptions } from './exchange.js';

const MAX_BODY_BYTES = 1_024;
/** Security headers alone may be a kilobyte. */
const MAX_HEAD_BYTES = 8_192;
/** What chunked encoding may add to a body of that size, with room to spare. */
const MAX_BYTES = MAX_HEAD_BYTES + 4 * MAX_BODY_BYTES;

/** Heartbeat-1 as one HTTP/1.1 request, on a connection of its own unless one is kept. Redirects are no answer and are not followed. */
export class HttpCaller implements Caller {
  readonly protocol: 'http' | 'heartbeat';
  readonly #exchanges: Exchanges;

  /** `protocol`: `heartbeat` for the ports where nothing else is answered. */
  constructor(options: ExchangeOptions, protocol: 'http' | 'heartbeat' = 'http') {
    this.protocol = protocol;
    this.#exchanges = new Exchanges(options, { maxBytes: MAX_BYTES, read: readResponse });
  }

  call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number, berth: Berth | null = null): Promise<CallOutcome> {
    const { nonce } = call;
    const keeps = call.keep === true && berth !== null && this.#exchanges.hasRoom;
    const text = requestText(endpoint, callText(call, keeps), keeps);
    return this.#exchanges.ask({ endpoint, text, nonce, timeoutMs, berth, keeps });
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

/** Reads a response (RFC 9112) from all that has come; null while it is not complete. */
export function readResponse(received: Buffer, isEnd: boolean): Answer | null {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return received.length > MAX_HEAD_BYTES ? { nonsense: 'answers with too large a head' } : null;
  const [start = '', ...fields] = received.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})\b/.exec(start)?.[1]);
  if (Number.isNaN(status)) return { nonsense: 'answers, but not in HTTP' };
  const rest = received.subarray(end + 4);
  if (status < 200) return readResponse(rest, isEnd);
  if (status >= 300) return { nonsense: `answers ${HEARTBEAT_PATH} with status ${status}` };
  const body = bodyOf(rest, headersOf(fields), isEnd);
  if (body === null) return null;
  return body === 'malformed' || body.length > MAX_BODY_BYTES ? NO_ANSWER : toJsonAnswer(body);
}

function headersOf(fields: readonly string[]): ReadonlyMap<string, string> {
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

/** The body, once it is complete by the framing that the headers announce; without any it ends with the connection. */
function bodyOf(rest: Buffer, headers: ReadonlyMap<string, string>, isEnd: boolean): Buffer | 'malformed' | null {
  const encoding = headers.get('transfer-encoding');
  if (encoding !== undefined) return encoding === 'chunked' ? joinChunks(rest) : 'malformed';
  const length = headers.get('content-length');
  if (length === undefined) return isEnd || rest.length > MAX_BODY_BYTES ? rest : null;
  if (!/^\d{1,9}$/.test(length) || Number(length) > MAX_BODY_BYTES) return 'malformed';
  return rest.length >= Number(length) ? rest.subarray(0, Number(length)) : null;
}

/** Undoes chunked encoding; null before the last chunk, the empty one, has come. */
function joinChunks(rest: Buffer): Buffer | 'malformed' | null {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const line = rest.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = /^([0-9a-f]{1,4})(?:;|$)/i.exec(rest.toString('latin1', at, line))?.[1];
    if (size === undefined) return 'malformed';
    const from = line + 2;
    const to = from + Number.parseInt(size, 16);
    if (to === from) return Buffer.concat(chunks);
    if (rest.length < to + 2) return null;
    chunks.push(rest.subarray(from, to));
    at = to + 2;
  }
}

const NO_ANSWER: Answer = { nonsense: 'answers, but not as Heartbeat-1 is answered' };

function toJsonAnswer(body: Buffer): Answer {
  try {
    return toAnswer(JSON.parse(body.toString('utf8')));
  } catch {
    return NO_ANSWER;
  }
}
