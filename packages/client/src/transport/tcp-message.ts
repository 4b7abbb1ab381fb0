import { ATTEMPT_KEY, DEADLINE_KEY, HEARTBEAT_PATTERN } from '@rollcall/core';
import type { Terms } from './transport.js';

/** One Nest message, its payload encoded once however often it is tried. */
export interface TcpRequest {
  /** `"pattern":…,"data":…`: the inside of the packet. */
  readonly body: string;
  /** An event is over when it has been written: nothing answers it. */
  readonly isEvent: boolean;
}

/** Throws a TypeError for what JSON cannot say (a bigint, a circle), as Nest's own client does. */
export function tcpRequest(pattern: unknown, data: unknown, isEvent: boolean): TcpRequest {
  const patternJson = typeof pattern === 'string' && PLAIN.test(pattern) ? `"${pattern}"` : JSON.stringify(pattern);
  const dataJson = JSON.stringify(data);
  return {
    body: dataJson === undefined ? `"pattern":${patternJson}` : `"pattern":${patternJson},"data":${dataJson}`,
    isEvent,
  };
}

/** Words that JSON writes as they are. */
const PLAIN = /^[\w .:/-]{1,64}$/;

/** Asks the instance for its identity: Heartbeat-1 without a nonce. */
export const IDENTITY_REQUEST: TcpRequest = { body: `"pattern":"${HEARTBEAT_PATTERN}","data":{}`, isEvent: false };

/**
 * The frame of a request. An event has no id and no deadline: nobody waits for it. The terms go where Nest's own clients put what is
 * beside the payload; a server that knows nothing of it ignores it. Null: there are none.
 */
export function requestFrame(request: TcpRequest, id: number, terms: Terms | null): string {
  const json = request.isEvent ? `{${request.body}}` : `{${request.body},"id":${id}${metadataOf(terms)}}`;
  return `${json.length}#${json}`;
}

function metadataOf(terms: Terms | null): string {
  if (terms === null) return '';
  const { remainingMs, attempt } = terms;
  const deadline = remainingMs < Infinity ? `"${DEADLINE_KEY}":${Math.ceil(remainingMs)}` : '';
  if (attempt === 1) return deadline === '' ? '' : `,"metadata":{${deadline}}`;
  return `,"metadata":{${deadline}${deadline === '' ? '' : ','}"${ATTEMPT_KEY}":${attempt}}`;
}

/** What a Nest server sends. Every field may be missing. */
export interface TcpAnswer {
  readonly id?: unknown;
  readonly err?: unknown;
  readonly response?: unknown;
  readonly isDisposed?: unknown;
}

export function isTcpAnswer(message: unknown): message is TcpAnswer {
  return typeof message === 'object' && message !== null;
}
