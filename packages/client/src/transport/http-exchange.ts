import { Readable } from 'node:stream';
import type { Time } from '@rollcall/core';
import type { Dispatcher, Pool } from 'undici';
import type { HttpRequest } from './http-message.js';
import { codeOf, connectFailure, STOPPED } from './transport.js';
import type { Exchange, Failure, FailureKind, Sink } from './transport.js';

type Controller = Dispatcher.DispatchController;
type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface ExchangeParts {
  readonly sink: Sink;
  readonly time: Time;
  /** Bodies of a known length up to this are read whole. */
  readonly bufferedBytes: number;
  /** Was the request told whom it is for, so that 421 means: I am somebody else? */
  readonly isDirected: boolean;
}

/** Statuses that say something about the instance; all others are the handler's business. */
const REFUSALS: Readonly<Record<number, FailureKind>> = {
  429: 'overloaded',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};
const MISDIRECTED = 421;
const BODILESS = new Set([204, 205, 304]);
/** A later time is not believed. */
const MOST_RETRY_AFTER_S = 300;

/** How undici tells its requests that there is no connection. */
export class ConnectError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(`no connection: ${failure.kind}`, { cause: failure.cause });
    this.failure = failure;
  }
}

interface Head {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHeaders;
}

/**
 * One request on its way. A short answer is read whole before it is handed over, since one that is cut short can then still be repeated;
 * a long one, or one without a length (an event stream), is handed over as soon as its head has come, and flows at its reader's pace.
 */
export class HttpExchange implements Exchange, Dispatcher.DispatchHandler {
  openedAt: number | null = null;
  readonly #parts: ExchangeParts;
  #controller: Controller | null = null;
  #isBegun = false;
  #isOver = false;
  #isHead = false;
  #head: Head | null = null;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #stream: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  begin(pool: Pool, request: HttpRequest, headers: string[]): void {
    const { method, path } = request;
    this.#isHead = method === 'HEAD';
    const body = request.body instanceof ReadableStream ? Readable.from(request.body) : request.body;
    pool.dispatch({ method, path, headers, body }, this);
    this.#isBegun = true;
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller?.abort(new Error('cancelled'));
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(new Error('cancelled'));
    // else it was sent within `begin`, on a connection that was open
    else if (this.#isBegun) this.openedAt = this.#parts.time.now();
  }

  onResponseStart(_controller: Controller, status: number, headers: IncomingHeaders, statusText = ''): void {
    if (this.#isOver || status < 200) return;
    if (status === MISDIRECTED && this.#parts.isDirected) {
      const cause = new Error('the request was answered with 421: it is for somebody else');
      return this.#fail({ kind: 'misdirected', cause });
    }
    this.#head = { status, statusText, headers };
    const isShort = Number(headers['content-length'] ?? Infinity) <= this.#parts.bufferedBytes;
    if (!isShort && !this.#isHead && !BODILESS.has(status) && REFUSALS[status] === undefined) this.#startStream();
  }

  onResponseData(controller: Controller, chunk: Uint8Array): void {
    if (this.#stream !== null) return this.#enqueue(controller, this.#stream, chunk);
    if (this.#isOver) return;
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    if (this.#size > this.#parts.bufferedBytes) this.#startStream();
  }

  onResponseEnd(): void {
    this.#stream?.close();
    this.#stream = null;
    if (this.#isOver || this.#head === null) return;
    const { status } = this.#head;
    this.#hand(this.#head, this.#isHead || BODILESS.has(status) ? null : Buffer.concat(this.#chunks));
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#stream?.error(error);
    this.#stream = null;
    if (this.#isOver) return;
    if (this.#isBegun) this.#fail(this.#failureOf(error));
    else void Promise.resolve().then(() => this.#fail(this.#failureOf(error)));
  }

  #startStream(): void {
    if (this.#head === null) return;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#stream = controller;
          for (const chunk of this.#chunks) controller.enqueue(chunk);
        },
        pull: () => this.#controller?.resume(),
        cancel: () => {
          this.#stream = null;
          this.#controller?.abort(new Error('cancelled'));
        },
      },
      { highWaterMark: this.#parts.bufferedBytes, size: (chunk) => chunk.byteLength },
    );
    this.#chunks = [];
    this.#hand(this.#head, stream);
  }

  #enqueue(controller: Controller, stream: ReadableStreamDefaultController<Uint8Array>, chunk: Uint8Array): void {
    stream.enqueue(chunk);
    if ((stream.desiredSize ?? 0) <= 0) controller.pause();
  }

  /** The answer is there. */
  #hand(head: Head, body: ReadableStream | Uint8Array | null): void {
    const { status, statusText, headers } = head;
    const response = new Response(body, { status, statusText, headers: headersOf(headers) });
    const kind = REFUSALS[status];
    if (kind !== undefined) return this.#fail(refusal(kind, response));
    this.#isOver = true;
    this.#parts.sink.last(response);
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
    if (this.#controller === null) return connectFailure(error);
    return { kind: code.startsWith('HPE_') ? 'garbled' : 'closed', cause: error };
  }
}

function refusal(kind: FailureKind, response: Response): Failure {
  const { status } = response;
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  const isDated = seconds >= 0 && seconds <= MOST_RETRY_AFTER_S;
  return {
    kind: status === 503 && isDated ? 'overloaded' : kind,
    cause: new Error(`HTTP status ${status}`),
    ...(isDated ? { retryAfterMs: seconds * 1000 } : {}),
    fallback: { value: response, drop: () => void response.body?.cancel() },
  };
}

function headersOf(incoming: IncomingHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming)) {
    if (typeof value === 'string') headers.append(name, value);
    else for (const one of value ?? []) headers.append(name, one);
  }
  return headers;
}
