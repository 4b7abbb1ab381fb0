import type { TcpCodec } from '../transport/tcp/codec.js';
import { tcpRequest } from '../transport/tcp/message.js';
import type { TcpRequest } from '../transport/tcp/message.js';
import { EVENT } from './policy/call-kind.js';
import type { Verb } from './policy/call-kind.js';
import type { OneCall } from './policy/call-options.js';
import { methodName } from './policy/method-policy.js';
import { Errand } from './service/call-request.js';
import type { Receiver } from './service/call-request.js';
import type { Lane } from './service/upstream.js';

/** A Nest message that is to be sent. */
export interface TcpMessage {
  readonly pattern: unknown;
  readonly data: unknown;
  readonly options: OneCall | undefined;
  /** What its service makes of packets; undefined: nothing. */
  readonly codec: TcpCodec | undefined;
}

/** Throws a TypeError for what JSON cannot say. */
export function tcpErrand(
  lane: Lane<TcpRequest>,
  { pattern, data, options, codec }: TcpMessage,
  verb: Verb,
  receiver: Receiver,
): Errand<TcpRequest> {
  const method = lane.method(methodName(pattern));
  const extras = { patternJson: method.jsonOf(pattern), metadata: options?.packetMetadata, codec };
  return new Errand(tcpRequest(pattern, data, verb === EVENT, extras), method, verb, receiver);
}
