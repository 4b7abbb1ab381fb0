import type { Dispatcher } from 'undici';
import type { CallObserver } from '../../call/service/call-request.js';
import { HttpAnswer } from '../../transport/http/response.js';
import type { BodySink, RawHeaders } from '../../transport/http/response.js';

/** The part of a call that a dispatcher uses. */
interface Cancellable {
  cancel(cause: unknown): void;
}

/** The handler of a request, in one of the two handler interfaces of undici. Its methods may throw. */
export interface ResponseHandler {
  /** Passes the function that aborts; the handler may call it at once. */
  start(delivery: Delivery): void;
  /** False: the response has no body yet. */
  head(answer: HttpAnswer, delivery: Delivery): boolean;
  data(chunk: Uint8Array): boolean;
  end(trailers: RawHeaders): void;
  error(error: Error): void;
}

/** Delivers the response of one call to the handler of a dispatcher: in order, at the pace of the handler, with exactly one end. */
export class Delivery implements CallObserver, BodySink {
  readonly #responseHandler: ResponseHandler;
  #call: Cancellable | null = null;
  #answer: HttpAnswer | null = null;
  #isOver = false;

  constructor(handler: ResponseHandler) {
    this.#responseHandler = handler;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Notifies the handler of the start. */
  begin(): void {
    try {
      this.#responseHandler.start(this);
    } catch (thrown) {
      this.#thrown(thrown);
    }
  }

  /** Sets the call that is under way, or already settled. */
  follow(call: Cancellable): void {
    if (this.#isOver) call.cancel(undefined);
    else this.#call = call;
  }

  /** Called when the handler aborts. The handler gets its own reason, as in undici. */
  abort(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call?.cancel(reason);
    this.#answer?.drop(reason);
    this.#fail(reason);
  }

  resume(): void {
    this.#answer?.resume();
  }

  // ---- CallObserver --------------------------------------------------------------------------------------------------

  next(value: unknown): void {
    this.#call = null;
    if (!(value instanceof HttpAnswer)) return this.abort(new TypeError('The HTTP transport gave no answer.'));
    if (this.#isOver) return value.drop();
    this.#answer = value;
    let isReady = false;
    try {
      isReady = this.#responseHandler.head(value, this);
    } catch (thrown) {
      this.#thrown(thrown);
    }
    if (!this.#isOver) value.take(this, !isReady);
  }

  complete(): void {}

  error(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#fail(error);
  }

  // ---- BodySink ------------------------------------------------------------------------------------------------------

  data(chunk: Uint8Array): boolean {
    if (this.#isOver) return true;
    try {
      return this.#responseHandler.data(chunk);
    } catch (thrown) {
      this.#thrown(thrown);
      return true;
    }
  }

  end(trailers: RawHeaders): void {
    if (this.#isOver) return;
    try {
      this.#responseHandler.end(trailers);
      this.#isOver = true;
    } catch (thrown) {
      this.#thrown(thrown);
    }
  }

  #fail(reason: Error): void {
    try {
      this.#responseHandler.error(reason);
    } catch (thrown) {
      // no handler is left to receive the error, so it becomes an unhandled rejection
      void Promise.reject(thrown);
    }
  }

  /** Runs code of the handler. The caller is a connection that many calls share, so an error of the handler must not reach it. */
  #thrown(thrown: unknown): void {
    this.abort(thrown instanceof Error ? thrown : new Error(String(thrown)));
  }
}

type Handler = Dispatcher.DispatchHandler;
/** The used part of the undici types, which this file does not load. */
export type UndiciParts = Pick<typeof import('undici'), 'errors' | 'util'>;

export function responseHandlerOf(handler: Handler, undici: UndiciParts): ResponseHandler {
  return typeof handler.onRequestStart === 'function'
    ? new ControlledResponseHandler(handler, undici)
    : new LegacyResponseHandler(handler, undici);
}

/** The interface of undici 6 and 7, and of the `fetch` of Node 20 to 24. */
class LegacyResponseHandler implements ResponseHandler {
  readonly #handler: Handler;
  readonly #undici: UndiciParts;

  constructor(handler: Handler, undici: UndiciParts) {
    this.#handler = handler;
    this.#undici = undici;
  }

  start(delivery: Delivery): void {
    const { RequestAbortedError } = this.#undici.errors;
    this.#handler.onConnect?.((reason) => delivery.abort(reason ?? new RequestAbortedError()));
  }

  head({ head }: HttpAnswer, delivery: Delivery): boolean {
    this.#handler.onResponseStarted?.();
    const headers = head.headers as Buffer[];
    return this.#handler.onHeaders?.(head.status, headers, () => delivery.resume(), head.statusText) !== false;
  }

  data(chunk: Uint8Array): boolean {
    return this.#handler.onData?.(chunk as Buffer) !== false;
  }

  end(trailers: RawHeaders): void {
    this.#handler.onComplete?.(trailers as unknown as string[]);
  }

  error(error: Error): void {
    this.#handler.onError?.(error);
  }
}

/** The interface of undici 7 and later. */
class ControlledResponseHandler implements ResponseHandler, Dispatcher.DispatchController {
  readonly #handler: Handler;
  readonly #undici: UndiciParts;
  #delivery: Delivery | null = null;
  aborted = false;
  paused = false;
  reason: Error | null = null;
  rawHeaders: Buffer[] | null = null;
  rawTrailers: Buffer[] | null = null;

  constructor(handler: Handler, undici: UndiciParts) {
    this.#handler = handler;
    this.#undici = undici;
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#delivery?.abort(reason);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#delivery?.resume();
  }

  start(delivery: Delivery): void {
    this.#delivery = delivery;
    this.#handler.onRequestStart?.(this, {});
  }

  head({ head }: HttpAnswer): boolean {
    this.rawHeaders = head.headers as Buffer[];
    this.#handler.onResponseStart?.(
      this,
      head.status,
      this.#undici.util.parseHeaders(this.rawHeaders),
      head.statusText,
    );
    return !this.paused;
  }

  data(chunk: Uint8Array): boolean {
    this.#handler.onResponseData?.(this, chunk as Buffer);
    return !this.paused;
  }

  end(trailers: RawHeaders): void {
    this.rawTrailers = trailers as Buffer[];
    this.#handler.onResponseEnd?.(this, this.#undici.util.parseHeaders(this.rawTrailers));
  }

  error(error: Error): void {
    this.#handler.onResponseError?.(this, error);
  }
}
