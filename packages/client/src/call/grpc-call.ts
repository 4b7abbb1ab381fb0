import { grpcMethodName } from '../transport/grpc/message.js';
import type { GrpcMethod, GrpcRequest } from '../transport/grpc/message.js';
import { CALL, ONE_WAY_CALL, ONE_WAY_STREAM, SAFE_CALL, SAFE_STREAM, STREAM } from './policy/call-kind.js';
import type { CallKind } from './policy/call-kind.js';
import type { OneCall } from './policy/call-options.js';
import { CallRequest } from './service/call-request.js';
import type { CallObserver } from './service/call-request.js';
import type { Upstream } from './service/upstream.js';

/** The options of one gRPC call. */
export interface GrpcCall extends OneCall {
  /**
   * gRPC metadata that is sent with the call: printable ASCII, otherwise a TypeError is thrown. Names are lower-cased; entries that belong
   * to the connection or to this client are left out.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

type Shape = Pick<GrpcMethod, 'path' | 'requestStream' | 'responseStream' | 'options'>;

/** The request of a call to the method. */
export function grpcCallRequest(
  upstream: Upstream<GrpcRequest>,
  method: Shape,
  request: GrpcRequest,
  receiver: CallObserver,
): CallRequest<GrpcRequest> {
  const callRequest = new CallRequest(request, upstream.method(grpcMethodName(method.path)), verbOf(method), receiver);
  const { upload } = request;
  // a stream without a subscription may be sent to another instance
  if (upload !== null) callRequest.isRepeatable = () => !upload.isBegun;
  return callRequest;
}

/** The error text for a streaming method that is called as a unary one. */
export function streamText({ path, requestStream }: Shape): string {
  const what = requestStream ? 'takes a stream of messages' : 'answers with a stream';
  return `${path} ${what}: call it with grpcStream, or in Nest as a method of orders.grpc('Service').`;
}

/** Values of `idempotency_level` in descriptor.proto. */
const HARMLESS: ReadonlySet<string | undefined> = new Set(['IDEMPOTENT', 'NO_SIDE_EFFECTS']);

function verbOf({ requestStream, responseStream, options }: Shape): CallKind {
  if (requestStream) return responseStream ? ONE_WAY_STREAM : ONE_WAY_CALL;
  const isHarmless = HARMLESS.has(options?.idempotency_level);
  if (responseStream) return isHarmless ? SAFE_STREAM : STREAM;
  return isHarmless ? SAFE_CALL : CALL;
}
