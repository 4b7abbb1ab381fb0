import type { Selector } from '../../balance/nodes/selector.js';
import type { HedgeAfter } from './hedge.js';

/** The properties that a kind of call (send, emit, fetch, …) implies. */
export interface CallKind {
  readonly shape: ResolvedCallOptions['shape'];
  /** When it is idempotent: only if declared, unless declared otherwise, or never. */
  readonly idempotent: 'if-said' | 'unless-said' | 'never';
}

/** The resolved options of a call. Independent of time, so calls without own options share them. */
export interface ResolvedCallOptions {
  /** Total time of the call, ms; the request that it belongs to may leave less. */
  readonly deadlineMs: number;
  /** Longest time between two values of a stream after the first, ms. */
  readonly idleMs: number;
  /** True if it may be repeated after it may have been executed. */
  readonly isIdempotent: boolean;
  /**
   * True if it belongs to a request that was retried one level up after it may have been executed; then it is not
   * repeated here as well.
   */
  readonly isRetry: boolean;
  /**
   * `value`: the last value is the response; `stream`: each is passed on, and the first ends the deadline; `event`:
   * no response.
   */
  readonly shape: 'value' | 'stream' | 'event';
  readonly selector: Selector;
  /** Calls with the same key go to the same instance; null: no key. */
  readonly hashKey: string | null;
  /** Longest time of one attempt, ms; a response is not awaited longer. Infinity: not set. */
  readonly timeoutMs: number;
  /** When to make a second attempt beside a slow first one. */
  readonly hedge: HedgeAfter;
}

export const CALL: CallKind = { shape: 'value', idempotent: 'if-said' };
export const STREAM: CallKind = { shape: 'stream', idempotent: 'if-said' };
export const EVENT: CallKind = { shape: 'event', idempotent: 'never' };
/** An HTTP request by a verb that is idempotent by RFC 9110, or a gRPC method that is by its proto. */
export const SAFE_CALL: CallKind = { shape: 'value', idempotent: 'unless-said' };
export const SAFE_STREAM: CallKind = { shape: 'stream', idempotent: 'unless-said' };
/** A request that can be read only once, so it is never idempotent. */
export const ONE_WAY_CALL: CallKind = { shape: 'value', idempotent: 'never' };
export const ONE_WAY_STREAM: CallKind = { shape: 'stream', idempotent: 'never' };
