import { AsyncResource } from 'node:async_hooks';
import type { Writable } from 'node:stream';
import { framed } from './frame.js';

/** A sequence of messages; an Observable of RxJS is one. */
export interface MessageSource<Message> {
  subscribe(observer: { next(message: Message): void; error(error: unknown): void; complete(): void }): {
    unsubscribe(): void;
  };
}

export function isMessageSource(value: unknown): value is MessageSource<unknown> {
  return typeof value === 'object' && value !== null && 'subscribe' in value && typeof value.subscribe === 'function';
}

/** The maximum number of bytes that may wait to be written: the source of messages cannot be slowed down. */
const MAX_WAITING_BYTES = 16_777_216;

/**
 * The messages of one request, each written as it arrives. The upload subscribes to the source once the connection is open, in the
 * AsyncLocalStorage of the call; from then on the request cannot be repeated, since sent messages are not kept.
 */
export class GrpcUpload {
  readonly #messages: MessageSource<unknown>;
  readonly #serialize: (message: unknown) => Uint8Array;
  readonly #home = new AsyncResource('rollcall.grpc.upload');
  #subscription: { unsubscribe(): void } | null = null;
  #stage: 'waiting' | 'flowing' | 'over' = 'waiting';

  constructor(messages: MessageSource<unknown>, serialize: (message: unknown) => Uint8Array) {
    this.#messages = messages;
    this.#serialize = serialize;
  }

  /** True once it has subscribed; then it cannot be sent again. */
  get isBegun(): boolean {
    return this.#stage !== 'waiting';
  }

  /**
   * `spoiled` is called at most once, after `begin` has returned: the source failed, a message was invalid, or messages arrive too fast.
   */
  begin(stream: Writable, onError: (cause: unknown) => void): void {
    this.#stage = 'flowing';
    const fail = (cause: unknown): void => {
      if (this.#stage !== 'flowing') return;
      this.end();
      void Promise.resolve().then(() => onError(cause));
    };
    this.#home.runInAsyncScope(() => {
      try {
        this.#subscribe(stream, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Stops writing and unsubscribes from the source. A no-op before `begin`: another attempt may follow. */
  end(): void {
    if (this.#stage !== 'flowing') return;
    this.#stage = 'over';
    this.#subscription?.unsubscribe();
  }

  #subscribe(stream: Writable, fail: (cause: unknown) => void): void {
    const subscription = this.#messages.subscribe({
      next: (message) => {
        if (this.#stage !== 'flowing') return;
        try {
          this.#write(stream, message);
        } catch (error) {
          fail(error);
        }
      },
      error: fail,
      complete: () => {
        if (this.#stage !== 'flowing') return;
        this.#stage = 'over';
        stream.end();
      },
    });
    this.#subscription = subscription;
    // the source may have completed synchronously
    if (this.#stage !== 'flowing') subscription.unsubscribe();
  }

  #write(stream: Writable, message: unknown): void {
    if (stream.writableLength > MAX_WAITING_BYTES) {
      throw new Error(`more than ${MAX_WAITING_BYTES} bytes wait to be written: send the messages more slowly`);
    }
    if (!stream.destroyed) stream.write(framed(this.#serialize(message)));
  }
}
