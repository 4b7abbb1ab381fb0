import type { ErrorCode } from '@rollcall/core';

/** An error as it goes to a caller over a microservice transport: what Nest sends for its own exceptions, and the code. */
export interface RemoteError {
  readonly status: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

export function remoteError(code: ErrorCode, message: string, retryable = false): RemoteError {
  return { status: 'error', code, message, retryable };
}
