import { heartbeatAnswerMessage } from '@rollcall/core';
import type { HeartbeatAnswer, HeartbeatCall } from '@rollcall/core';

/** What came back, once it is complete: an answer to Heartbeat-1, or why it is none. What it says otherwise is never repeated. */
export type Answer = HeartbeatAnswer | { readonly nonsense: string };

/** How answers are read over one protocol. */
export interface Dialect {
  /** More than this is not read. */
  readonly maxBytes: number;
  /** The protocol that is agreed on over TLS (ALPN); left out: none is. */
  readonly alpn?: string;
  /** For the answer to the call `nonce`. */
  reader(nonce: string): AnswerReader;
}

/** Reads one answer, in however many pieces it comes: it goes on where it stopped, so that a byte costs no more for it. */
export interface AnswerReader {
  /**
   * `received`: all that has come, each time with more behind it; `isEnd`: no more will. Null: more must come, or it was no answer.
   * Keeps no part of the bytes, which are overwritten.
   */
  read(received: Buffer, isEnd: boolean): Answer | null;
}

/** Reads the JSON of an answer to Heartbeat-1. */
export function toAnswer(value: unknown): Answer {
  const read = heartbeatAnswerMessage.parse(value);
  return read.ok ? read.value : { nonsense: 'answers, but not as Heartbeat-1 is answered' };
}

/**
 * A call as JSON, in the order of its fields; `keeps`: the called side shall leave the connection open. What a call consists of
 * are words of letters, digits and `._~-` (see `heartbeatCallMessage`), which JSON need not escape.
 */
export function callText({ replica, instance, nonce, purpose, mac }: HeartbeatCall, keeps: boolean): string {
  const words = `"replica":"${replica}","instance":"${instance}","nonce":"${nonce}","purpose":"${purpose}","mac":"${mac}"`;
  return keeps ? `{${words},"keep":true}` : `{${words}}`;
}
