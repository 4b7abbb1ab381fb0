import { ERROR_CODES, printableText } from '@rollcall/core';
import type { ErrorCode, RollcallError } from '@rollcall/core';

/** An error as it goes to a caller over a microservice transport: what Nest sends for its own exceptions, and the code. */
export interface RemoteError {
  readonly status: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  /** Of a REMOTE error: the status 4xx that the service behind this one answered with. */
  readonly statusCode?: number;
  /** Of a REMOTE error: the words of the service behind this one, without the names that `message` has. */
  readonly detail?: string;
}

export function remoteError(error: Pick<RollcallError, 'code' | 'message' | 'retryable' | 'cause'>): RemoteError {
  const { code, message, retryable } = error;
  const { status, words } = code === 'REMOTE' ? reasonOf(error.cause) : UNSAID;
  return {
    status: 'error',
    code,
    message,
    retryable,
    ...(status === null ? {} : { statusCode: status }),
    ...(words === null ? {} : { detail: words }),
  };
}

/** Why a service refused, as far as others may know it. */
export interface RemoteReason {
  /** 400 … 499; null: it gave none, or one that means nothing to a caller further away. */
  readonly status: number | null;
  /** What its handler says, in one printable line of at most 400 UTF-16 code units; null: nothing, or nothing for others. */
  readonly words: string | null;
}

const UNSAID: RemoteReason = { status: null, words: null };

/** These speak of the connection between two processes, or of who asked: they must not travel further. */
const HOP_STATUSES: ReadonlySet<number> = new Set([407, 408, 421, 425, 426, 431, 499]);

/** gRPC codes that say the caller is at fault, as HTTP statuses: the mapping of grpc-gateway. */
const GRPC_STATUSES: Readonly<Record<number, number>> = {
  3: 400,
  5: 404,
  6: 409,
  7: 403,
  9: 400,
  10: 409,
  11: 400,
  16: 401,
};

/**
 * Reads the cause of a REMOTE error: what an `RpcException` was made of (a text or an object), an `HttpException` or its answer as JSON,
 * the answer of our own filter, or a gRPC status. Of a fault of the service itself (a status of 5xx, another gRPC code) the words stay
 * unsaid: nobody wrote them for the outside. Nest has replaced those of errors that nobody caught.
 */
export function reasonOf(cause: unknown): RemoteReason {
  if (typeof cause === 'string') return { status: null, words: wordsOf(cause) };
  if (!isRecord(cause)) return UNSAID;
  const { code } = cause;
  if (typeof code === 'number' && typeof cause['details'] === 'string') return grpcReason(code, cause['details']);
  const status = [cause['statusCode'], cause['status']].find((one) => typeof one === 'number');
  if (typeof status === 'number' && status >= 500) return UNSAID;
  return { status: passable(status), words: wordsOf(isErrorCode(code) ? cause['detail'] : messageIn(cause)) };
}

/** The code of the RollcallError that a service answered with; null: its answer was another. */
export function remoteCodeOf(cause: unknown): ErrorCode | null {
  return isRecord(cause) && isErrorCode(cause['code']) ? cause['code'] : null;
}

function grpcReason(code: number, details: string): RemoteReason {
  const status = GRPC_STATUSES[code];
  return status === undefined ? UNSAID : { status, words: wordsOf(details) };
}

function passable(status: unknown): number | null {
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 400 || status > 499) return null;
  return HOP_STATUSES.has(status) ? null : status;
}

/** An `HttpException` as JSON has its flaws in `response`, and only its name in `message`. */
function messageIn({ message, response }: Readonly<Record<string, unknown>>): unknown {
  return isRecord(response) && Array.isArray(response['message']) ? response['message'] : message;
}

/** A ValidationPipe says a list. */
function wordsOf(message: unknown): string | null {
  const text = Array.isArray(message) ? message.filter((one) => typeof one === 'string').join('; ') : message;
  return typeof text === 'string' && text !== '' ? printableText(text) : null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return ERROR_CODES.some((known) => known === code);
}
