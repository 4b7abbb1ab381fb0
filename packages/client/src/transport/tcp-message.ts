import { ATTEMPT_KEY, DEADLINE_KEY, HEARTBEAT_PATTERN } from '@rollcall/core';
import type { Terms } from './transport.js';

/** One Nest message, its payload encoded once however often it is tried. */
export interface TcpRequest {
  readonly patternJson: string;
  /** Undefined where nothing is sent but the pattern. */
  readonly dataJson: string | undefined;
  /** An event is over when it has been written: nothing answers it. */
  readonly isEvent: boolean;
}

/**
 * Throws a TypeError for what JSON cannot say (a bigint, a circle; a pattern that is undefined), as Nest's own client does.
 * `patternJson`: the pattern in JSON, from whoever has it at hand.
 */
export function tcpRequest(
  pattern: unknown,
  data: unknown,
  isEvent: boolean,
  patternJson: string | undefined = JSON.stringify(pattern),
): TcpRequest {
  // it would break the packet, and with it the connection that others share
  if (patternJson === undefined) throw new TypeError(`A pattern is a text or an object; received ${typeof pattern}.`);
  return { patternJson, dataJson: JSON.stringify(data), isEvent };
}

/** Asks the instance for its identity: Heartbeat-1 without a nonce. */
export const IDENTITY_REQUEST: TcpRequest = { patternJson: `"${HEARTBEAT_PATTERN}"`, dataJson: '{}', isEvent: false };

/**
 * The frame of a request. An event has no id, deadline and attempt: nobody waits for it. The terms go where Nest's own clients put what is
 * beside the payload; a server that knows nothing of it ignores it. Null: there are none.
 */
export function requestFrame(request: TcpRequest, id: number, terms: Terms | null): string {
  const { patternJson, dataJson, isEvent } = request;
  const data = dataJson === undefined ? '' : `,"data":${dataJson}`;
  const beside = isEvent ? carried(terms, '') : `,"id":${id}${metadataOf(terms)}`;
  const json = `{"pattern":${patternJson}${data}${beside}}`;
  return `${json.length}#${json}`;
}

function metadataOf(terms: Terms | null): string {
  if (terms === null) return '';
  const { remainingMs, attempt } = terms;
  const deadline = remainingMs < Infinity ? `"${DEADLINE_KEY}":${Math.ceil(remainingMs)}` : '';
  if (attempt === 1) return carried(terms, deadline);
  return carried(terms, `${deadline}${deadline === '' ? '' : ','}"${ATTEMPT_KEY}":${attempt}`);
}

/** The metadata with these words in it, and what else travels along. */
function carried(terms: Terms | null, words: string): string {
  const carrier = terms?.carrier ?? null;
  if (carrier === null) return words === '' ? '' : `,"metadata":{${words}}`;
  const inside = JSON.stringify(carrier).slice(1, -1);
  return words === '' || inside === '' ? `,"metadata":{${words}${inside}}` : `,"metadata":{${words},${inside}}`;
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
