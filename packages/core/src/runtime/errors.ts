const BRAND = Symbol.for('rollcall.error');

/** Stable codes; a new one only where a caller can act differently. docs/ERRORS.md has an entry for each. */
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
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** One try of a call, for the error's story. */
export interface Attempt {
  readonly instance: string;
  readonly ms: number;
  readonly outcome: string;
  /** It went beside a slow one, so their times overlap. Left out: no. */
  readonly isHedge?: boolean;
}

export interface ErrorDetails {
  /** May the same call be tried again with a chance of success and no danger? Default false. */
  readonly retryable?: boolean;
  readonly attempts?: readonly Attempt[];
  readonly cause?: unknown;
}

/** The one family of errors. The message says what happened, why, and what to do. */
export class RollcallError extends Error {
  override readonly name = 'RollcallError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly attempts: readonly Attempt[];
  /** Where the documentation tells more: `docs/ERRORS.md#no_instance`. */
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

/** Recognises the family across copies of this package in one process, where `instanceof` would not. */
export function isRollcallError(error: unknown): error is RollcallError {
  return typeof error === 'object' && error !== null && BRAND in error;
}

/** The sentence of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An expected outcome is a value: `Result` where the other side may refuse. */
export type Result<Value, Refusal> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: Refusal };
