import { ERROR_KEY } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import type { Dispatcher, Pool } from 'undici';
import { codeOf, connectFailure, STOPPED } from '../transport.js';
import type { Exchange, Failure, FailureKind, Sink } from '../transport.js';
import type { HttpRequest } from './message.js';
import { headerOf, HttpAnswer } from './response.js';
import type { BodySource, HttpHead, RawHeaders } from './response.js';
import { Upload } from './upload.js';

/** Undici accepts more than its types allow: a Blob, and any iterable. */
type Body = NonNullable<Dispatcher.DispatchOptions['body']> | null;

export interface ExchangeParts {
  readonly sink: Sink;
  readonly time: Time;
  /** Bodies with a known length up to this are read completely. */
  readonly bufferedBytes: number;
  /** True if the request contains the id of its instance, so that 421 means that another one answered. */
  readonly isDirected: boolean;
}

/** Statuses that count as failures of the instance; all others are the handler's. */
const REFUSALS: Readonly<Record<number, FailureKind>> = {
  429: 'overloaded',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};
const MISDIRECTED = 421;
const LAST_STATUS = 599;
const BODILESS = new Set([204, 205, 304]);
/** A later time is ignored. */
const MAX_RETRY_AFTER_MS = 300_000;
const NO_TRAILERS: RawHeaders = [];

/** Error codes of undici if the request itself was invalid, or its body broke off: these do not count against the instance. */
const REQUEST_ERROR_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
]);

/** The error with which undici reports to its requests that there is no connection. */
export class ConnectError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(`no connection: ${failure.kind}`, { cause: failure.cause });
    this.failure = failure;
  }
}

/**
 * One request under way. A short response is read completely before it is delivered, so that a truncated one can still be retried. A long
 * response, or one without a length (an event stream), is delivered when its headers have arrived and is read at the consumer's pace.
 *
 * * * It implements undici's older handler interface, which the core of undici calls without a wrapper and with the raw headers.
 */
export class HttpExchange implements Exchange, BodySource, Dispatcher.DispatchHandler {
  openedAt: number | null = null;
  isSent = false;
  readonly #parts: ExchangeParts;
  #upload: Upload | null = null;
  #abort: ((reason?: Error) => void) | null = null;
  #resume: (() => void) | null = null;
  #isBegun = false;
  #isOver = false;
  #isHead = false;
  #answer: HttpAnswer | null = null;
  #size = 0;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  begin(pool: Pool, request: HttpRequest, headers: string[]): void {
    const { method, path, body } = request;
    this.#isHead = method === 'HEAD';
    if (body instanceof Upload) this.#upload = body;
    pool.dispatch({ method, path, headers, body: body as Body }, this);
    this.#isBegun = true;
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#answer = null;
    this.#abort?.(new Error('cancelled'));
  }

  // ---- the body of a delivered answer ---------------------------------------------------------------------------------

  resume(): void {
    this.#resume?.();
  }

  abort(reason: Error): void {
    this.#abort?.(reason);
  }

  // ---- DispatchHandler -----------------------------------------------------------------------------------------------

  onConnect(abort: (reason?: Error) => void): void {
    this.#abort = abort;
    // aborting here would close the connection, which can still be used
    if (this.#isOver) throw new Error('cancelled before it was sent');
    this.isSent = true;
    // otherwise it was sent within `begin`, on an open connection
    if (this.#isBegun) this.openedAt = this.#parts.time.now();
  }

  // eslint-disable-next-line max-params -- undici's
  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean {
    if (this.#isOver || status < 200) return true;
    if (status === MISDIRECTED && this.#parts.isDirected) {
      const cause = new Error('the request was answered with 421: it is for another server');
      return this.#refuse({ kind: 'misdirected', cause });
    }
    if (status > LAST_STATUS) return this.#refuse({ kind: 'garbled', cause: new Error(`HTTP status ${status}`) });
    this.#resume = resume;
    const hasBody = !this.#isHead && !BODILESS.has(status);
    this.#answer = new HttpAnswer({ status, statusText: reasonOf(statusText), headers, hasBody }, this);
    const isShort = Number(headerOf(headers, 'content-length') ?? Infinity) <= this.#parts.bufferedBytes;
    if (!isShort && hasBody && REFUSALS[status] === undefined) this.#hand(this.#answer);
    return true;
  }

  onData(chunk: Uint8Array): boolean {
    const answer = this.#answer;
    if (answer === null) return true;
    const hasRoom = answer.push(chunk);
    if (this.#isOver) return hasRoom;
    this.#size += chunk.byteLength;
    if (this.#size > this.#parts.bufferedBytes) this.#hand(answer);
    return true;
  }

  onComplete(trailers: readonly (Uint8Array | string)[] | null): void {
    const answer = this.#answer;
    if (answer === null) return;
    this.#answer = null;
    answer.end((trailers ?? NO_TRAILERS) as RawHeaders);
    if (!this.#isOver) this.#hand(answer);
  }

  onError(cause: Error): void {
    const answer = this.#answer;
    this.#answer = null;
    if (this.#isOver) return answer?.break(cause);
    if (this.#isBegun) this.#fail(this.#failureOf(cause));
    else void Promise.resolve().then(() => this.#fail(this.#failureOf(cause)));
  }

  /** Delivers a complete answer, or its head. */
  #hand(answer: HttpAnswer): void {
    const { status, headers } = answer.head;
    const kind = REFUSALS[status];
    // this header marks a reply about another call that the instance made, so it is an answer
    if (kind !== undefined && headerOf(headers, ERROR_KEY) === null) {
      return this.#fail(refusal(kind, answer, this.#parts.time));
    }
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.sink.last(answer);
  }

  /** Fails without reading the body, whatever its length. */
  #refuse(failure: Failure): true {
    this.#fail(failure);
    this.#abort?.(new Error('the answer is not needed'));
    return true;
  }

  #fail(failure: Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.sink.fail(failure);
  }

  #failureOf(error: Error): Failure {
    if (error instanceof ConnectError) return error.failure;
    const code = codeOf(error);
    if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return STOPPED;
    const broken = this.#upload?.error ?? null;
    if (broken !== null) return { kind: 'spoiled', cause: broken };
    if (REQUEST_ERROR_CODES.has(code)) return { kind: 'spoiled', cause: error };
    if (this.#abort === null) return connectFailure(error);
    return { kind: isGarbled(error) ? 'garbled' : 'closed', cause: error };
  }
}

/** True if the answer is not HTTP, or its head is larger than Node allows (`--max-http-header-size`). */
function isGarbled(error: Error): boolean {
  // undici 7.30 intends a code for the errors of its parser, but sets none
  return error.name === 'HTTPParserError' || codeOf(error) === 'UND_ERR_HEADERS_OVERFLOW';
}

/** Undici decodes the text as UTF-8; a Response accepts only latin1, and control characters must not reach a log. */
function reasonOf(statusText: string): string {
  return /^[\t -~\u00A0-\u00FF]*$/.test(statusText) ? statusText : '';
}

function refusal(kind: FailureKind, answer: HttpAnswer, time: Time): Failure {
  const { status, headers }: HttpHead = answer.head;
  const retryAfterMs = retryAfterOf(headerOf(headers, 'retry-after'), time);
  return {
    kind: status === 503 && retryAfterMs !== null ? 'overloaded' : kind,
    cause: new Error(`HTTP status ${status}`),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    fallback: { value: answer, drop: () => answer.drop() },
  };
}

/** `Retry-After` in ms: seconds or a date (RFC 9110, 10.2.3). Null if it is missing, invalid or too large. */
function retryAfterOf(text: string | null, time: Time): number | null {
  if (text === null) return null;
  if (/^\d+$/.test(text)) return plausibleDelay(Number(text) * 1_000);
  if (!text.endsWith(' GMT')) return null; // it would make something of anything
  // eslint-disable-next-line no-restricted-globals -- it asks no clock
  return plausibleDelay(Math.max(0, Date.parse(text) - time.wall()));
}

function plausibleDelay(ms: number): number | null {
  return ms <= MAX_RETRY_AFTER_MS ? ms : null;
}
