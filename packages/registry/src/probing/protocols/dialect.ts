import { heartbeatAnswerMessage } from '@rollcall/core';
import type { HeartbeatAnswer, HeartbeatCall } from '@rollcall/core';

/** A complete response: an answer to Heartbeat-1, or why it is not one. No other part of it is repeated. */
export type Answer = HeartbeatAnswer | { readonly nonsense: string };

/** The parser of the answers of one protocol. */
export interface Dialect {
  /** Maximum size of an answer. */
  readonly maxBytes: number;
  /** The protocol negotiated over TLS (ALPN); omitted: none is. */
  readonly alpn?: string;
  /** A reader for the answer to the call with this nonce. */
  reader(nonce: string): AnswerReader;
}

/** Reads one answer incrementally: each call continues where the last one stopped, so no byte is read twice. */
export interface AnswerReader {
  /**
   * `received`: all bytes so far, more each time; `isEnd`: no more will come. Null: the answer is not complete (with
   * `isEnd`: there was none). Keeps no reference to the bytes, which are overwritten.
   */
  read(received: Buffer, isEnd: boolean): Answer | null;
}

/** Validates the JSON of an answer to Heartbeat-1. */
export function toAnswer(value: unknown): Answer {
  const read = heartbeatAnswerMessage.parse(value);
  return read.ok ? read.value : { nonsense: 'answers, but not as Heartbeat-1 is answered' };
}

/**
 * A call as JSON, in the order of its fields; `keeps`: asks the called side to leave the connection open. The fields
 * consist of letters, digits and `._~-` (see `heartbeatCallMessage`), which JSON need not escape.
 */
export function callText({ replica, instance, nonce, purpose, mac }: HeartbeatCall, keeps: boolean): string {
  const words = `"replica":"${replica}","instance":"${instance}","nonce":"${nonce}","purpose":"${purpose}","mac":"${mac}"`;
  return keeps ? `{${words},"keep":true}` : `{${words}}`;
}
