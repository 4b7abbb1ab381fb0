import { printableText, RollcallError } from '@rollcall/core';

/** Names and values, alternating, as bytes of latin1; a repeated name occurs repeatedly. The format of undici's parser. */
export type RawHeaders = readonly Buffer[];

/** Receives the body of an answer. `end` or `error` is called last, and once. */
export interface BodySink {
  /** Returns false to pause until `HttpAnswer.resume`. */
  data(chunk: Uint8Array): boolean;
  end(trailers: RawHeaders): void;
  error(error: Error): void;
}

/** The source of the remaining body. */
export interface BodySource {
  resume(): void;
  /** Discards the remaining body: the connection is closed. */
  abort(reason: Error): void;
}

/** The head of an answer. */
export interface HttpHead {
  readonly status: number;
  readonly statusText: string;
  readonly headers: RawHeaders;
  /** False: the protocol allows no body, regardless of the headers. */
  readonly hasBody: boolean;
}

/**
 * An HTTP answer whose body is complete or is read at the pace of its reader. It is decoded only when it is requested as a `Response`: a
 * dispatcher passes on the raw bytes.
 */
export class HttpAnswer {
  readonly head: HttpHead;
  readonly #source: BodySource;
  #queue: Uint8Array[] = [];
  #sink: BodySink | null = null;
  #isHeld = false;
  #trailers: RawHeaders | null = null;
  #error: Error | null = null;
  #isOver = false;

  constructor(head: HttpHead, source: BodySource) {
    this.head = head;
    this.#source = source;
  }

  /** True if the body is complete. */
  get isWhole(): boolean {
    return this.#trailers !== null;
  }

  // ---- for the code that receives it from the network ----------------------------------------------------------------

  /** Returns false to pause until the source is resumed. */
  push(chunk: Uint8Array): boolean {
    if (this.#isOver) return true;
    if (this.#sink === null || this.#isHeld) this.#queue.push(chunk);
    else this.#isHeld = !this.#sink.data(chunk);
    return this.#sink !== null && !this.#isHeld;
  }

  end(trailers: RawHeaders): void {
    this.#trailers = trailers;
    this.#flush();
  }

  /** Reports a broken connection at once, even if data waits to be read. */
  break(error: Error): void {
    this.#error = error;
    this.#flush();
  }

  // ---- for its reader ------------------------------------------------------------------------------------------------

  /** Delivers the body to this sink from now on. May be called once. */
  take(sink: BodySink, isHeld = false): void {
    this.#sink = sink;
    this.#isHeld = isHeld;
    this.#flush();
    if (!this.#isHeld && !this.#isOver) this.#source.resume();
  }

  /** Continues, because the reader has room again. */
  resume(): void {
    if (!this.#isHeld || this.#isOver) return;
    this.#isHeld = false;
    this.#flush();
    // delivering the waiting chunks may have paused it again
    if (this.#isReading) this.#source.resume();
  }

  /** Discards the remaining body. */
  drop(reason: Error = new Error('the answer is not needed')): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue = [];
    this.#sink = null;
    if (!this.isWhole) this.#source.abort(reason);
  }

  /**
   * The answer as `fetch` returns it. May be called once, and instead of `take`. `signal`: ends a body that is still being read, with its
   * reason. Throws a RangeError for a status that a Response cannot have.
   */
  response(bufferedBytes: number, signal: AbortSignal | null = null): Response {
    const { status, statusText, headers, hasBody } = this.head;
    try {
      return new Response(hasBody ? this.#body(bufferedBytes, signal) : null, {
        status,
        statusText,
        headers: headersOf(headers),
      });
    } catch (error) {
      this.drop();
      throw error;
    }
  }

  get #isReading(): boolean {
    return !this.#isHeld && !this.#isOver;
  }

  #body(bufferedBytes: number, signal: AbortSignal | null): Uint8Array | ReadableStream {
    if (!this.isWhole) return this.#stream(bufferedBytes, signal);
    const [first, ...others] = this.#queue;
    if (first === undefined) return new Uint8Array(0);
    return others.length === 0 ? first : Buffer.concat(this.#queue);
  }

  #stream(bufferedBytes: number, signal: AbortSignal | null): ReadableStream<Uint8Array> {
    let release: (() => void) | null = null;
    const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      if (signal !== null) release = this.#endOnAbort(signal, controller);
      this.take({
        data(chunk) {
          controller.enqueue(chunk);
          return (controller.desiredSize ?? 0) > 0;
        },
        end: () => {
          release?.();
          controller.close();
        },
        error: (error) => {
          release?.();
          controller.error(brokenOff(error));
        },
      });
    };
    const cancel = (): void => {
      release?.();
      this.drop();
    };
    const source = { start, pull: () => this.resume(), cancel };
    return new ReadableStream(source, { highWaterMark: bufferedBytes, size: (chunk) => chunk.byteLength });
  }

  /** Ends the reading when the signal is aborted. Returns a function that removes the listener. */
  #endOnAbort(signal: AbortSignal, controller: ReadableStreamDefaultController<Uint8Array>): () => void {
    const abort = (): void => {
      controller.error(signal.reason);
      this.drop();
    };
    signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  }

  #flush(): void {
    const sink = this.#sink;
    if (sink === null || this.#isOver) return;
    if (this.#error !== null) {
      this.#isOver = true;
      this.#queue = [];
      return sink.error(this.#error);
    }
    while (this.#isReading && this.#queue.length > 0) {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) this.#isHeld = !sink.data(chunk);
    }
    if (!this.#isReading || this.#trailers === null) return;
    this.#isOver = true;
    sink.end(this.#trailers);
  }
}

function brokenOff(cause: Error): RollcallError {
  const text = `The answer broke off while it was read: ${printableText(cause.message)}. The request may have been executed.`;
  return new RollcallError('TRANSPORT', text, { cause });
}

/** The value of the first header with this name (lower case), or null. */
export function headerOf(headers: RawHeaders, name: string): string | null {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const key = headers[i];
    if (key?.length === name.length && key.toString('latin1').toLowerCase() === name) {
      return headers[i + 1]?.toString('latin1') ?? '';
    }
  }
  return null;
}

function headersOf(raw: RawHeaders): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < raw.length; i += 2)
    headers.append(raw[i]?.toString('latin1') ?? '', raw[i + 1]?.toString('latin1') ?? '');
  return headers;
}
