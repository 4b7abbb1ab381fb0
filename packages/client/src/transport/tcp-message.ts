import { HEARTBEAT_PATTERN } from '@rollcall/core';

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

/** The frame of a request; an event has no id. */
export function requestFrame(request: TcpRequest, id: number): string {
  const json = request.isEvent ? `{${request.body}}` : `{${request.body},"id":${id}}`;
  return `${json.length}#${json}`;
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
