const BRAND = Symbol.for('rollcall.error');

/** Stable error codes. Add one only if a caller can act on it differently. docs/ERRORS.md has an entry for each. */
export const ERROR_CODES = [
  'NO_INSTANCE',
  'UNKNOWN_SERVICE',
  'NO_ENDPOINT',
  'NO_CATALOG',
  'ALL_EJECTED',
  'OVERLOADED',
  'DEADLINE_EXCEEDED',
  'BULKHEAD_FULL',
  'REMOTE',
  'TRANSPORT',
  'CANCELLED',
  'CLOSED',
  'OPTION_INVALID',
  'PROTOCOL',
  'REGISTRY_REFUSED',
  'REGISTRY_UNREACHABLE',
  'PORT_TAKEN',
  'NOT_LOOPBACK',
  'FRAME_INVALID',
  'STORE_LOCKED',
  'STORE_UNREADABLE',
  'STORE_FAILED',
  'STORE_UNREACHABLE',
  'STORE_REFUSED',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** One attempt of a call, as an error reports it. */
export interface Attempt {
  readonly instance: string;
  readonly ms: number;
  readonly outcome: string;
  /** True if the attempt was a hedge: it ran beside a slow one, so their times overlap. Default false. */
  readonly isHedge?: boolean;
}

export interface ErrorDetails {
  /** True if retrying the same call is safe and may succeed. Default false. */
  readonly retryable?: boolean;
  readonly attempts?: readonly Attempt[];
  readonly cause?: unknown;
}

/** The error class of Rollcall. The message contains the problem, the cause and the fix. */
export class RollcallError extends Error {
  override readonly name = 'RollcallError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly attempts: readonly Attempt[];
  /** The entry of this code in the documentation: `docs/ERRORS.md#no_instance`. */
  readonly help: string;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.attempts = details.attempts ?? [];
    this.help = `docs/ERRORS.md#${code.toLowerCase()}`;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** True for a `RollcallError` of any copy of this package in the process, where `instanceof` would fail. */
export function isRollcallError(error: unknown): error is RollcallError {
  return typeof error === 'object' && error !== null && BRAND in error;
}

/** The message of any thrown value: of an Error its `message`, otherwise the value as a string. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The result of an operation that may be refused: an expected failure is a value, not an exception. */
export type Result<Value, Refusal> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: Refusal };
