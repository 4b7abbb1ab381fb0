import type { Selector } from '../../balance/nodes/selector.js';
import type { HedgeAfter } from './hedge.js';

/** What a verb brings with it. */
export interface CallKind {
  readonly shape: ResolvedCallOptions['shape'];
  /** Does it no harm to execute it twice? `unless-said`: yes, if nobody says otherwise. */
  readonly idempotent: 'if-said' | 'unless-said' | 'never';
}

/** What holds for a call, whenever it is made: calls that wish nothing of their own share it. */
export interface ResolvedCallOptions {
  /** In all; a request that the call is a part of may leave less. */
  readonly deadlineMs: number;
  /** Between two values of a stream, once the first has come. */
  readonly idleMs: number;
  /** May it be repeated here when it may have been executed? */
  readonly isIdempotent: boolean;
  /** A repetition of what may have been executed once already, one level up: it is not repeated here as well. */
  readonly isRetry: boolean;
  /** `value`: the last value is the answer; `stream`: each is passed on, and the first ends the deadline; `event`: no answer. */
  readonly shape: 'value' | 'stream' | 'event';
  readonly selector: Selector;
  /** What is to go to the same instance each time; null: nothing. */
  readonly hashKey: string | null;
  /** No answer comes later than this after an attempt was begun, so none is waited for; Infinity: nobody says. */
  readonly timeoutMs: number;
  /** When a second attempt is made beside a slow first one. */
  readonly hedge: HedgeAfter;
}

export const CALL: CallKind = { shape: 'value', idempotent: 'if-said' };
export const STREAM: CallKind = { shape: 'stream', idempotent: 'if-said' };
export const EVENT: CallKind = { shape: 'event', idempotent: 'never' };
/** An HTTP request by a verb that is idempotent by RFC 9110, or a gRPC method that is by its proto. */
export const SAFE_CALL: CallKind = { shape: 'value', idempotent: 'unless-said' };
export const SAFE_STREAM: CallKind = { shape: 'stream', idempotent: 'unless-said' };
/** What is sent can be read only once. */
export const ONE_WAY_CALL: CallKind = { shape: 'value', idempotent: 'never' };
export const ONE_WAY_STREAM: CallKind = { shape: 'stream', idempotent: 'never' };
