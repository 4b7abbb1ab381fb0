/** A body that can be read once: a web stream, a Node stream or a generator. */
export type SingleUseBody =
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

/**
 * A body that can be read only once. Until the first byte was requested, its request may still move to another instance, for example after
 * a refused connection.
 */
export class Upload implements AsyncIterable<Uint8Array | string> {
  readonly #once: SingleUseBody;
  #isStarted = false;
  #error: unknown = null;

  constructor(once: SingleUseBody) {
    this.#once = once;
    // an error of a Node stream before it is read must not end the process: its reader gets the error
    if ('on' in once && typeof once.on === 'function') once.on('error', () => {});
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** The error of the body, which is a fault of the caller; null: none. */
  get error(): unknown {
    return this.#error;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array | string> {
    this.#isStarted = true;
    return this.#read();
  }

  async *#read(): AsyncGenerator<Uint8Array | string> {
    const once = this.#once;
    try {
      yield* once;
    } catch (error) {
      this.#error = error ?? new Error('the body broke off');
      throw error;
    }
  }
}
