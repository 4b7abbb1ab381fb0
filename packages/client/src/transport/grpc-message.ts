import {
  ATTEMPT_KEY,
  DEADLINE_KEY,
  HEARTBEAT_METADATA,
  HEARTBEAT_METHOD,
  MISDIRECTED_METADATA,
  TARGET_KEY,
} from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import type { Failure, FailureKind } from './transport.js';

/**
 * A method as generated clients describe it: `OrdersClient.service.find` of grpc-js, or what proto-loader makes of a proto file. The
 * request is one message; the answer is one, or a stream of them.
 */
export interface GrpcMethod<Input = unknown, Output = unknown> {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Input) => Uint8Array;
  readonly responseDeserialize: (bytes: Buffer) => Output;
}

/** One request, its message encoded once however often it is tried. */
export interface GrpcRequest {
  readonly path: string;
  /** The message behind the five bytes that say how long it is. */
  readonly frame: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
  /** Is each message of the answer passed on as it comes? Else the last one is held until the status has come. */
  readonly isStream: boolean;
  readonly read: (bytes: Buffer) => unknown;
}

/**
 * Throws what the serializer throws, and a TypeError for a method whose request is a stream, and for metadata that gRPC cannot carry.
 */
export function grpcRequest<Input>(
  method: GrpcMethod<Input>,
  message: Input,
  metadata: Readonly<Record<string, string>> = {},
): GrpcRequest {
  const { path, requestStream, responseStream } = method;
  if (requestStream) throw new TypeError(`${path} takes a stream of messages, which cannot be sent by name.`);
  const frame = framed(method.requestSerialize(message));
  const read = (bytes: Buffer): unknown => method.responseDeserialize(bytes);
  return { path, frame, metadata: carriable(metadata), isStream: responseStream, read };
}

/** Belong to the connection, or to this client: a caller's are left out, as `OWN_HEADERS` are over HTTP. */
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

/** What grpc-js takes, and HTTP/2 can carry: HTTP/2 would refuse others when it is too late to say whose fault it is. */
function carriable(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const left: Record<string, string> = {};
  for (const [given, value] of Object.entries(metadata)) {
    const name = given.toLowerCase();
    if (!/^[a-z0-9_.-]+$/.test(name)) throw new TypeError(`${JSON.stringify(given)} is no name of gRPC metadata.`);
    if (typeof value !== 'string' || !/^[ -~]*$/.test(value)) {
      throw new TypeError(`The gRPC metadata ${name} is not printable ASCII; what is binary goes in base64.`);
    }
    if (!OWN_METADATA.has(name)) left[name] = value;
  }
  return left;
}

const PREFIX_BYTES = 5;

function framed(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.byteLength);
  frame[0] = 0; // not compressed
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** Asks the instance for its identity. */
export function identityRequest(id: InstanceId): GrpcRequest {
  return {
    path: HEARTBEAT_METHOD,
    frame: framed(new Uint8Array()),
    metadata: { [HEARTBEAT_METADATA.instance]: id },
    isStream: false,
    read: () => undefined,
  };
}

/** `Service/Method`, without the package: under this name a method's policy is published, and its latency kept. */
export function grpcMethodName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('.', path.lastIndexOf('/')), path.startsWith('/') ? 0 : -1) + 1);
}

/** Takes messages out of a body that comes in any pieces. */
export class MessageReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = PREFIX_BYTES;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Has a message begun that is not complete? */
  get isPartial(): boolean {
    return this.#size > 0;
  }

  /** Hands over each message that is complete now; returns what is wrong with the body, or null. After that it is of no use. */
  push(chunk: Buffer, take: (message: Buffer) => void): string | null {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#needed) return null;
    const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    let at = 0;
    for (this.#needed = PREFIX_BYTES; all.length - at >= this.#needed; this.#needed = PREFIX_BYTES) {
      const length = all.readUInt32BE(at + 1);
      if (all[at] !== 0) return 'a compressed message, which was not asked for';
      if (length > this.#maxBytes)
        return `a message of ${length} bytes; at most ${this.#maxBytes} are read (maxMessageBytes)`;
      this.#needed = PREFIX_BYTES + length;
      if (all.length - at < this.#needed) break;
      take(all.subarray(at + PREFIX_BYTES, at + this.#needed));
      at += this.#needed;
    }
    this.#chunks = at === all.length ? [] : [all.subarray(at)];
    this.#size = all.length - at;
    return null;
  }
}

/** A status other than OK: `code`, `details` and `metadata` are where grpc-js has them. */
export class GrpcStatusError extends Error {
  /** 1 … 16. */
  readonly code: number;
  readonly details: string;
  readonly metadata: GrpcFields;

  constructor(code: number, details: string, metadata: GrpcFields) {
    super(details === '' ? `gRPC status ${code}` : details);
    this.name = 'GrpcStatusError';
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }
}

/** Headers or trailers as HTTP/2 brings them. */
export type GrpcFields = Readonly<Record<string, string | string[] | undefined>>;

/** Codes that say something about the instance; all others are the handler's business. */
const STATUS_KINDS: Readonly<Record<number, FailureKind>> = { 4: 'timeout', 8: 'overloaded', 14: 'unavailable' };
/** A later time is not believed. */
const MOST_PUSHBACK_MS = 300_000;

/** What an answer comes to, by its trailers (or its head, where nothing else comes). Null: OK. */
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
  const isDated = pushbackMs >= 0 && pushbackMs <= MOST_PUSHBACK_MS;
  const kind = STATUS_KINDS[code] ?? 'remote';
  return isDated && kind !== 'remote' ? { kind, cause, retryAfterMs: pushbackMs } : { kind, cause };
}

/** An HTTP status other than 200 comes from somebody in between. Null: it is 200. */
export function httpFailure(status: number): Failure | null {
  if (status === 200) return null;
  const kind =
    status === 429 ? 'overloaded' : status === 502 || status === 503 || status === 504 ? 'unavailable' : 'garbled';
  return { kind, cause: new Error(`HTTP status ${status}`) };
}

/** It is percent-encoded, mostly. */
function detailsOf(message: string | string[] | undefined): string {
  if (typeof message !== 'string') return '';
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
