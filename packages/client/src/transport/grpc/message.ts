import {
  ATTEMPT_KEY,
  DEADLINE_KEY,
  HEARTBEAT_METADATA,
  HEARTBEAT_METHOD,
  MISDIRECTED_METADATA,
  TARGET_KEY,
} from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import type { Failure, FailureKind } from '../transport.js';
import { framed } from './frame.js';
import { GrpcMetadata } from './metadata.js';
import type { GrpcFields } from './metadata.js';
import { GrpcUpload, isMessageSource } from './upload.js';
import type { MessageSource } from './upload.js';

/** A method as generated clients describe it: `OrdersClient.service.find` of grpc-js, or the result of proto-loader for a proto file. */
export interface GrpcMethod<Input = unknown, Output = unknown> {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Input) => Uint8Array;
  readonly responseDeserialize: (bytes: Buffer) => Output;
  /**
   * The idempotency level declared in the proto. IDEMPOTENT and NO_SIDE_EFFECTS: the call may be repeated, unless its instances or the
   * caller declare otherwise.
   */
  readonly options?: { readonly idempotency_level?: string } | undefined;
}

/** One request; its message is encoded once for all attempts. */
export interface GrpcRequest {
  readonly path: string;
  /** The message with its prefix of five bytes; empty if `upload` sends the messages. */
  readonly frame: Uint8Array;
  /** The message or source of messages as the caller passed it, for fake services in tests. */
  readonly message: unknown;
  /** The messages of a streamed request; null: the request is a single message. */
  readonly upload: GrpcUpload | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** True if each message of the answer is delivered as it arrives. Otherwise the last one is held until the status has arrived. */
  readonly isStream: boolean;
  readonly read: (bytes: Buffer) => unknown;
}

/**
 * `message`: a single message, or for a streamed request the source of its messages. Throws the errors of the serializer, and a TypeError
 * for an invalid source or for metadata that gRPC cannot carry.
 */
export function grpcRequest<Input>(
  method: GrpcMethod<Input>,
  message: Input | MessageSource<Input>,
  metadata: Readonly<Record<string, string>> = {},
): GrpcRequest {
  const { path, responseStream } = method;
  const read = (bytes: Buffer): unknown => method.responseDeserialize(bytes);
  return {
    path,
    message,
    ...bodyOf(method, message),
    metadata: sendableMetadata(metadata),
    isStream: responseStream,
    read,
  };
}

function bodyOf<Input>(
  method: GrpcMethod<Input>,
  message: Input | MessageSource<Input>,
): Pick<GrpcRequest, 'frame' | 'upload'> {
  // the method declares which of the two it takes
  const serialize = (one: unknown): Uint8Array => method.requestSerialize(one as Input);
  if (!method.requestStream) return { frame: framed(serialize(message)), upload: null };
  if (isMessageSource(message)) return { frame: new Uint8Array(), upload: new GrpcUpload(message, serialize) };
  throw new TypeError(`${method.path} takes a stream of messages: pass an Observable of them.`);
}

/** Entries of the connection or of this client: those of a caller are left out, like `OWN_HEADERS` over HTTP. */
const OWN_METADATA: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'content-type',
  'expect',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-timeout',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  ATTEMPT_KEY,
  DEADLINE_KEY,
  TARGET_KEY,
]);

/** The metadata that both grpc-js and HTTP/2 accept: HTTP/2 would refuse other entries later, without a clear cause. */
function sendableMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const left: Record<string, string> = {};
  for (const [given, value] of Object.entries(metadata)) {
    const name = given.toLowerCase();
    if (!/^[a-z0-9_.-]+$/.test(name))
      throw new TypeError(`${JSON.stringify(given)} is not a valid name of gRPC metadata.`);
    if (typeof value !== 'string' || !/^[ -~]*$/.test(value)) {
      throw new TypeError(`The gRPC metadata ${name} is not printable ASCII; encode binary data as base64.`);
    }
    if (!OWN_METADATA.has(name)) left[name] = value;
  }
  return left;
}

/** The request for the identity of the instance. */
export function identityRequest(id: InstanceId): GrpcRequest {
  return {
    path: HEARTBEAT_METHOD,
    message: null,
    frame: framed(new Uint8Array()),
    upload: null,
    metadata: { [HEARTBEAT_METADATA.instance]: id },
    isStream: false,
    read: () => undefined,
  };
}

/** `Service/Method`, without the package: the name of the published policy and of the statistics of a method. */
export function grpcMethodName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('.', path.lastIndexOf('/')), path.startsWith('/') ? 0 : -1) + 1);
}

/** A status other than OK, with `code`, `details` and `metadata` as in grpc-js. */
export class GrpcStatusError extends Error {
  /** 1 … 16. */
  readonly code: number;
  readonly details: string;
  readonly metadata: GrpcMetadata;

  /** `metadata`: created by the application, or the trailers. */
  constructor(code: number, details: string, metadata: GrpcMetadata | GrpcFields = {}) {
    super(details === '' ? `gRPC status ${code}` : details);
    this.name = 'GrpcStatusError';
    this.code = code;
    this.details = details;
    this.metadata = metadata instanceof GrpcMetadata ? metadata : GrpcMetadata.fromFields(metadata);
  }
}

/** Codes that count as failures of the instance; all others are the handler's. */
const STATUS_KINDS: Readonly<Record<number, FailureKind>> = { 4: 'timeout', 8: 'overloaded', 14: 'unavailable' };
/** A later time is ignored. */
const MAX_PUSHBACK_MS = 300_000;

/**
 * RESOURCE_EXHAUSTED for a message above the size limit of its reader (grpc-js, gRPC for Go, C++ and Java): a permanent refusal, which is
 * no sign of overload.
 */
export const isTooLarge = (details: string): boolean =>
  /message (is )?larger than max|message exceeds maximum size/i.test(details);

/** The failure of an answer, by its trailers (or by its head, if it has no trailers). Null: OK. */
export function statusFailure(fields: GrpcFields): Failure | null {
  const status = fields['grpc-status'];
  if (status === '0') return null;
  if (typeof status !== 'string' || !/^\d{1,2}$/.test(status)) {
    return { kind: 'garbled', cause: new Error('the answer has no gRPC status') };
  }
  const code = Number(status);
  const cause = new GrpcStatusError(code, detailsOf(fields['grpc-message']), fields);
  if (code === 14 && fields[MISDIRECTED_METADATA] !== undefined) return { kind: 'misdirected', cause };
  const pushbackMs = Number(fields['grpc-retry-pushback-ms'] ?? NaN);
  const isDated = pushbackMs >= 0 && pushbackMs <= MAX_PUSHBACK_MS;
  const kind = code === 8 && isTooLarge(cause.details) ? 'remote' : (STATUS_KINDS[code] ?? 'remote');
  return isDated && kind !== 'remote' ? { kind, cause, retryAfterMs: pushbackMs } : { kind, cause };
}

/** An HTTP status other than 200 comes from an intermediary. Null: it is 200. */
export function httpFailure(status: number): Failure | null {
  if (status === 200) return null;
  const kind =
    status === 429 ? 'overloaded' : status === 502 || status === 503 || status === 504 ? 'unavailable' : 'garbled';
  return { kind, cause: new Error(`HTTP status ${status}`) };
}

/** The text is usually percent-encoded. */
function detailsOf(message: string | string[] | undefined): string {
  if (typeof message !== 'string') return '';
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
