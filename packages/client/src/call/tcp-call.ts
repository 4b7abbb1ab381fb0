import type { TcpCodec } from '../transport/tcp/codec.js';
import { tcpRequest } from '../transport/tcp/message.js';
import type { TcpRequest } from '../transport/tcp/message.js';
import { EVENT } from './policy/call-kind.js';
import type { CallKind } from './policy/call-kind.js';
import type { OneCall } from './policy/call-options.js';
import { methodName } from './policy/method-policy.js';
import { CallRequest } from './service/call-request.js';
import type { CallObserver } from './service/call-request.js';
import type { Upstream } from './service/upstream.js';

/** A Nest message to send. */
export interface TcpMessage {
  readonly pattern: unknown;
  readonly data: unknown;
  readonly options: OneCall | undefined;
  /** The codec of its service; undefined: plain JSON. */
  readonly codec: TcpCodec | undefined;
}

/** The request of a TCP call. Throws a TypeError for data that JSON cannot represent. */
export function tcpCallRequest(
  upstream: Upstream<TcpRequest>,
  { pattern, data, options, codec }: TcpMessage,
  callKind: CallKind,
  receiver: CallObserver,
): CallRequest<TcpRequest> {
  const method = upstream.method(methodName(pattern));
  const extras = { patternJson: method.jsonOf(pattern), metadata: options?.packetMetadata, codec };
  return new CallRequest(tcpRequest(pattern, data, callKind === EVENT, extras), method, callKind, receiver);
}
