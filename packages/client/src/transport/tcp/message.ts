import { ATTEMPT_KEY, DEADLINE_KEY, HEARTBEAT_PATTERN, isRecord } from '@rollcall/core';
import type { Terms } from '../transport.js';
import { codedFrame } from './codec.js';
import type { TcpCodec, TcpPacket } from './codec.js';

/** One Nest message; its payload is encoded once for all attempts. */
export interface TcpRequest {
  readonly patternJson: string;
  /** Undefined if only the pattern is sent. */
  readonly dataJson: string | undefined;
  /** An event has ended when it is written, since it has no answer. */
  readonly isEvent: boolean;
  /** The metadata that the caller adds to the payload: the members of a JSON object, without its braces. Empty: none. */
  readonly metadataJson: string;
  /** The message for a service with a codec, which encodes it at each attempt; otherwise null. */
  readonly packet: TcpPacket | null;
}

/** The options that a caller may add to a message. */
export interface TcpExtras {
  /** The pattern as JSON, if the caller has encoded it already. */
  readonly patternJson?: string | undefined;
  /** The metadata that is sent beside the payload. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly codec?: TcpCodec | undefined;
}

/**
 * Throws a TypeError for data that JSON cannot represent (a bigint, a cycle; an undefined pattern), like Nest's own client. With a codec
 * the data is not checked.
 */
export function tcpRequest(pattern: unknown, data: unknown, isEvent: boolean, extras: TcpExtras = {}): TcpRequest {
  const { patternJson = JSON.stringify(pattern), metadata, codec } = extras;
  // an invalid pattern would break the packet, and with it the connection that other requests share
  if (patternJson === undefined)
    throw new TypeError(`A pattern must be a string or an object; received ${typeof pattern}.`);
  if (codec === undefined)
    return { patternJson, dataJson: JSON.stringify(data), isEvent, metadataJson: membersOf(metadata), packet: null };
  const packet = { codec, pattern, data, metadata };
  return { patternJson, dataJson: undefined, isEvent, metadataJson: '', packet };
}

function membersOf(metadata: TcpExtras['metadata']): string {
  if (metadata === undefined) return '';
  if (!isRecord(metadata) || Array.isArray(metadata)) {
    throw new TypeError(`The metadata of a packet has to be an object; received ${typeof metadata}.`);
  }
  return JSON.stringify(metadata).slice(1, -1);
}

/** Asks the instance for its identity: Heartbeat-1 without a nonce. */
export const IDENTITY_REQUEST: TcpRequest = tcpRequest(HEARTBEAT_PATTERN, {}, false);

/** The same for servers without Rollcall's registration, which answer it before their deserializer. */
export function codedIdentityRequest(codec: TcpCodec): TcpRequest {
  return tcpRequest(HEARTBEAT_PATTERN, {}, false, { codec });
}

/**
 * The frame of a request. An event has no id, deadline and attempt: no response is awaited. The terms are sent as the metadata of Nest's
 * own clients, which older servers ignore. Null: no terms. For a request with a codec it throws the errors of `codedFrame`.
 */
export function requestFrame(request: TcpRequest, id: number, terms: Terms | null): string {
  const { patternJson, dataJson, isEvent, metadataJson, packet } = request;
  if (packet !== null) return codedFrame(packet, isEvent ? null : id, terms);
  const data = dataJson === undefined ? '' : `,"data":${dataJson}`;
  const idAndMetadata = isEvent ? metadataMember(terms, metadataJson) : `,"id":${id}${metadataOf(terms, metadataJson)}`;
  const json = `{"pattern":${patternJson}${data}${idAndMetadata}}`;
  return `${json.length}#${json}`;
}

/** If two members have the same name, the last one counts: our members follow those of the caller. */
function metadataOf(terms: Terms | null, own: string): string {
  if (terms === null) return metadataMember(terms, own);
  const { remainingMs, attempt } = terms;
  const deadline = remainingMs < Infinity ? joinMembers(own, `"${DEADLINE_KEY}":${Math.ceil(remainingMs)}`) : own;
  return metadataMember(terms, attempt === 1 ? deadline : joinMembers(deadline, `"${ATTEMPT_KEY}":${attempt}`));
}

function joinMembers(members: string, member: string): string {
  return members === '' ? member : `${members},${member}`;
}

/** The member `metadata` with these members, and those of the carrier. */
function metadataMember(terms: Terms | null, members: string): string {
  const carrier = terms?.carrier ?? null;
  if (carrier === null) return members === '' ? '' : `,"metadata":{${members}}`;
  const inside = JSON.stringify(carrier).slice(1, -1);
  return members === '' || inside === '' ? `,"metadata":{${members}${inside}}` : `,"metadata":{${members},${inside}}`;
}

/** A packet of a Nest server. Every field may be missing. */
export interface TcpAnswer {
  readonly id?: unknown;
  readonly err?: unknown;
  readonly response?: unknown;
  readonly isDisposed?: unknown;
}

export function isTcpAnswer(message: unknown): message is TcpAnswer {
  return typeof message === 'object' && message !== null;
}
