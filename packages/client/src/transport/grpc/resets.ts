import { constants } from 'node:http2';
import type { ClientHttp2Stream } from 'node:http2';
import type { Time, Timer } from '@rollcall/core';

/** A tenth of the burst that nghttp2 allows, … */
const AT_ONCE = 100;
/** … and slightly below its long-term rate. */
const PER_SECOND = 20;
const SWEEP_MS = 1_000;

/**
 * Ends streams of one connection that are no longer needed, no faster than servers allow: a server whose client resets many streams ends
 * the connection and all calls on it (CVE-2023-44487; nghttp2, and so Node, takes 1,000 and then 33 a second, and Envoy counts those that
 * are reset within their first second). Beyond that rate, a call with one answer continues unread; its server knows its deadline. Streams
 * that remain after a second are reset as the budget allows.
 */
export class StreamResets {
  readonly #time: Time;
  readonly #onExhausted: () => void;
  readonly #left = new Set<ClientHttp2Stream>();
  #budget = AT_ONCE;
  #at: number;
  #timer: Timer | null = null;

  /** `onExhausted`: streams without an end were reset beyond the budget, so the connection should take no more calls. */
  constructor(time: Time, onExhausted: () => void) {
    this.#time = time;
    this.#onExhausted = onExhausted;
    this.#at = time.now();
  }

  /** `mayRunOut`: the stream has one answer, which may arrive unread. */
  cancel(stream: ClientHttp2Stream, mayRunOut: boolean): void {
    if (stream.destroyed) return;
    if (this.#withdraw()) return stream.close(constants.NGHTTP2_CANCEL);
    if (mayRunOut) return this.#leave(stream);
    stream.close(constants.NGHTTP2_CANCEL);
    this.#onExhausted();
  }

  /** The connection has ended. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#left.clear();
  }

  #leave(stream: ClientHttp2Stream): void {
    this.#left.add(stream);
    stream.once('close', () => this.#left.delete(stream));
    this.#timer ??= this.#time.setTimer(SWEEP_MS, () => this.#sweep(), { background: true });
  }

  #sweep(): void {
    this.#timer = null;
    for (const stream of this.#left) {
      if (!this.#withdraw()) break;
      this.#left.delete(stream);
      stream.close(constants.NGHTTP2_CANCEL);
    }
    if (this.#left.size > 0) this.#timer = this.#time.setTimer(SWEEP_MS, () => this.#sweep(), { background: true });
  }

  #withdraw(): boolean {
    const now = this.#time.now();
    this.#budget = Math.min(AT_ONCE, this.#budget + ((now - this.#at) * PER_SECOND) / 1_000);
    this.#at = now;
    if (this.#budget < 1) return false;
    this.#budget -= 1;
    return true;
  }
}
