/**
 * Metadata of each attempt of a call, beside its payload: a header over HTTP, metadata over gRPC, the `metadata` of a Nest packet over TCP.
 * Each entry may be missing, and an unreadable value counts as missing, since callers without Rollcall may send any value.
 */

/**
 * The remaining time of the caller's deadline at the time of sending, in whole ms. It is a duration, not a time of day, because clocks
 * differ.
 */
export const DEADLINE_KEY = 'rollcall-deadline-ms';
/** The number of the attempt, from 1; missing: the first. Above 1, the request may have been executed before. */
export const ATTEMPT_KEY = 'rollcall-attempt';
/** The id of the intended instance, since the connection may lead to another. */
export const TARGET_KEY = 'rollcall-target';

/**
 * On an HTTP error response: the failure is not that of this process but of a service that it called, with this code. The caller neither
 * ejects this instance nor retries another one, which would call the same service.
 */
export const ERROR_KEY = 'rollcall-error';

const WHOLE_NUMBER = /^-?\d{1,12}$/;

/** The remaining time of the deadline in ms; at 0 or less the caller no longer waits. Null if it is missing or unreadable. */
export function remainingMsOf(received: unknown): number | null {
  return wholeNumber(received);
}

/** The number of the attempt, from 1; 1 if it is missing or unreadable. */
export function attemptOf(received: unknown): number {
  const attempt = wholeNumber(received) ?? 1;
  return attempt >= 1 ? attempt : 1;
}

function wholeNumber(received: unknown): number | null {
  if (typeof received === 'number') return Number.isFinite(received) ? received : null;
  return typeof received === 'string' && WHOLE_NUMBER.test(received) ? Number(received) : null;
}
