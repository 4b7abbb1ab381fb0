import { grpcMethodName } from '../transport/grpc/message.js';
import type { GrpcMethod, GrpcRequest } from '../transport/grpc/message.js';
import { CALL, ONE_WAY_CALL, ONE_WAY_STREAM, SAFE_CALL, SAFE_STREAM, STREAM } from './policy/call-kind.js';
import type { CallKind } from './policy/call-kind.js';
import type { OneCall } from './policy/call-options.js';
import { CallRequest } from './service/call-request.js';
import type { CallObserver } from './service/call-request.js';
import type { Upstream } from './service/upstream.js';

/** One gRPC call's own wishes. */
export interface GrpcCall extends OneCall {
  /**
   * gRPC metadata that is sent with it: printable ASCII, else it is a TypeError. Names are put in lower case; what belongs to the
   * connection or to this client is left out.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

type Shape = Pick<GrpcMethod, 'path' | 'requestStream' | 'responseStream' | 'options'>;

/** What is to be done for a call of the method. */
export function grpcErrand(
  upstream: Upstream<GrpcRequest>,
  method: Shape,
  request: GrpcRequest,
  receiver: CallObserver,
): CallRequest<GrpcRequest> {
  const callRequest = new CallRequest(request, upstream.method(grpcMethodName(method.path)), verbOf(method), receiver);
  const { upload } = request;
  // messages that nobody has begun to read may go elsewhere
  if (upload !== null) callRequest.isRepeatable = () => !upload.isBegun;
  return callRequest;
}

/** Why a method is not called by who sends one message and waits for one. */
export function streamText({ path, requestStream }: Shape): string {
  const what = requestStream ? 'takes a stream of messages' : 'answers with a stream';
  return `${path} ${what}: call it with grpcStream, or in Nest as a method of orders.grpc('Service').`;
}

/** By the words of descriptor.proto. */
const HARMLESS: ReadonlySet<string | undefined> = new Set(['IDEMPOTENT', 'NO_SIDE_EFFECTS']);

function verbOf({ requestStream, responseStream, options }: Shape): CallKind {
  if (requestStream) return responseStream ? ONE_WAY_STREAM : ONE_WAY_CALL;
  const isHarmless = HARMLESS.has(options?.idempotency_level);
  if (responseStream) return isHarmless ? SAFE_STREAM : STREAM;
  return isHarmless ? SAFE_CALL : CALL;
}
