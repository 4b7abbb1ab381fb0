import { ERROR_CODES, printableText } from '@rollcall/core';
import type { ErrorCode, RollcallError } from '@rollcall/core';

/** An error as a microservice transport sends it to the caller: the fields of Nest's own exceptions, and the code. */
export interface RemoteError {
  readonly status: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  /** The 4xx status with which the called service answered; only for a REMOTE error. */
  readonly statusCode?: number;
  /** The text of the called service, without the names that `message` has; only for a REMOTE error. */
  readonly detail?: string;
}

export function remoteError(error: Pick<RollcallError, 'code' | 'message' | 'retryable' | 'cause'>): RemoteError {
  const { code, message, retryable } = error;
  const { status, text } = code === 'REMOTE' ? reasonOf(error.cause) : NO_REASON;
  return {
    status: 'error',
    code,
    message,
    retryable,
    ...(status === null ? {} : { statusCode: status }),
    ...(text === null ? {} : { detail: text }),
  };
}

/** Why a service refused, as far as it may be passed on. */
export interface RemoteReason {
  /** 400 … 499; null if it gave none, or one that does not concern a more distant caller. */
  readonly status: number | null;
  /**
   * The text of its handler, in one printable line of at most 400 UTF-16 code units; null if there is none for others.
   */
  readonly text: string | null;
}

const NO_REASON: RemoteReason = { status: null, text: null };

/**
 * Statuses about the connection between two processes, or about the identity of the caller: they must not be passed on.
 */
const HOP_STATUSES: ReadonlySet<number> = new Set([407, 408, 421, 425, 426, 431, 499]);

/** gRPC codes that blame the caller, as HTTP statuses: the mapping of grpc-gateway. */
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
 * Reads the cause of a REMOTE error: the content of an `RpcException` (a text or an object), an `HttpException` or its
 * answer as JSON, the answer of our own filter, or a gRPC status. For a fault of the service itself (a status of 5xx,
 * another gRPC code) it omits the text, which was not written for others. Nest has replaced the text of uncaught
 * errors.
 */
export function reasonOf(cause: unknown): RemoteReason {
  if (typeof cause === 'string') return { status: null, text: textOf(cause) };
  if (!isRecord(cause)) return NO_REASON;
  const { code } = cause;
  if (typeof code === 'number' && typeof cause['details'] === 'string') return grpcReason(code, cause['details']);
  const status = [cause['statusCode'], cause['status']].find((one) => typeof one === 'number');
  if (typeof status === 'number' && status >= 500) return NO_REASON;
  return { status: passable(status), text: textOf(isErrorCode(code) ? cause['detail'] : messageIn(cause)) };
}

/** The code of the RollcallError with which a service answered; null for another answer. */
export function remoteCodeOf(cause: unknown): ErrorCode | null {
  return isRecord(cause) && isErrorCode(cause['code']) ? cause['code'] : null;
}

function grpcReason(code: number, details: string): RemoteReason {
  const status = GRPC_STATUSES[code];
  return status === undefined ? NO_REASON : { status, text: textOf(details) };
}

function passable(status: unknown): number | null {
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 400 || status > 499) return null;
  return HOP_STATUSES.has(status) ? null : status;
}

/** An `HttpException` as JSON has its flaws in `response`, and only its name in `message`. */
function messageIn({ message, response }: Readonly<Record<string, unknown>>): unknown {
  return isRecord(response) && Array.isArray(response['message']) ? response['message'] : message;
}

/** A ValidationPipe answers with a list. */
function textOf(message: unknown): string | null {
  const text = Array.isArray(message) ? message.filter((one) => typeof one === 'string').join('; ') : message;
  return typeof text === 'string' && text !== '' ? printableText(text) : null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return ERROR_CODES.some((known) => known === code);
}
