/** A body that can be read once: a web stream, a Node stream, a generator. */
export type Once = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>;

/**
 * A body that can be read only once. Until the first byte was requested, the request that carries it may still go to another
 * instance: one whose connection was refused has read nothing.
 */
export class Upload implements AsyncIterable<Uint8Array | string> {
  readonly #once: Once;
  #isStarted = false;
  #error: unknown = null;

  constructor(once: Once) {
    this.#once = once;
    // a Node stream that breaks before it is read must not end the process: its reader gets the error
    if ('on' in once && typeof once.on === 'function') once.on('error', () => {});
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Why it broke, which is its owner's fault; null: it did not. */
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
