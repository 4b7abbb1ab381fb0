import { ATTEMPT_KEY, DEADLINE_KEY, encodeFrame } from '@rollcall/core';
import type { Terms } from '../transport.js';

/**
 * The encoding of Nest's packets inside the frames of Nest's TCP transport: the `serializer` and the `deserializer` that Nest's own TCP
 * client would use for the service. Default: the plain packet.
 */
export interface TcpCodec {
  /** `{ pattern, data, id, metadata }` → the value that is sent as JSON; an event has no id. Must not return a promise. */
  readonly serializer?: { serialize(packet: object): unknown } | undefined;
  /** The received packet → `{ id, err, response, isDisposed }`, or a promise of it. */
  readonly deserializer?: { deserialize(message: unknown): unknown } | undefined;
}

/** The codecs of services, by name. */
export type TcpCodecs = ReadonlyMap<string, TcpCodec>;

/** The packet before a codec adds the id and the terms of an attempt. */
export interface TcpPacket {
  readonly codec: TcpCodec;
  readonly pattern: unknown;
  readonly data: unknown;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
}

/** Throws the errors of the serializer, a TypeError for a promise, and FRAME_INVALID for data that JSON cannot represent. */
export function codedFrame(
  { codec, pattern, data, metadata }: TcpPacket,
  id: number | null,
  terms: Terms | null,
): string {
  const packet = {
    pattern,
    data,
    ...(id === null ? {} : { id: String(id) }), // as Nest's own clients number them
    ...metadataFields(metadata, id === null ? null : terms, terms),
  };
  const coded = codec.serializer === undefined ? packet : codec.serializer.serialize(packet);
  if (coded instanceof Promise) {
    throw new TypeError(
      'The serializer of a TCP service returned a promise. Over TCP it has to return the value itself.',
    );
  }
  return encodeFrame(coded);
}

function metadataFields(
  metadata: TcpPacket['metadata'],
  awaited: Terms | null,
  terms: Terms | null,
): { readonly metadata?: Readonly<Record<string, unknown>> } {
  const fields = {
    ...metadata,
    ...(awaited !== null && awaited.remainingMs < Infinity ? { [DEADLINE_KEY]: Math.ceil(awaited.remainingMs) } : {}),
    ...(awaited !== null && awaited.attempt > 1 ? { [ATTEMPT_KEY]: awaited.attempt } : {}),
    ...terms?.carrier,
  };
  return Object.keys(fields).length === 0 ? {} : { metadata: fields };
}
