/**
 * What travels with each attempt of a call beside its payload: as a header over HTTP, as metadata over gRPC, in the `metadata` of a
 * Nest packet over TCP. Each may be missing, and a value that says nothing is as good as none: foreign callers send what they like.
 */

/** What is left of the caller's deadline when it is sent, in whole ms. Not an hour of the clock: clocks differ. */
export const DEADLINE_KEY = 'rollcall-deadline-ms';
/** Which attempt it is, from 1; missing: the first. Above 1: what it asks for may have been executed before. */
export const ATTEMPT_KEY = 'rollcall-attempt';
/** The instance that is meant, where the connection may lead to another. */
export const TARGET_KEY = 'rollcall-target';

/**
 * With an answer over HTTP that says that something failed: not this process, but what it called, and with which code. No reason to
 * leave this instance alone, nor to ask another, which would call the same.
 */
export const ERROR_KEY = 'rollcall-error';

const WHOLE_NUMBER = /^-?\d{1,12}$/;

/** What is left, ms; 0 or less: nobody waits any more. Null: nothing was said, or nothing that can be read. */
export function remainingMsOf(said: unknown): number | null {
  return wholeNumber(said);
}

/** From 1; 1 where nothing was said, or nothing that can be read. */
export function attemptOf(said: unknown): number {
  const attempt = wholeNumber(said) ?? 1;
  return attempt >= 1 ? attempt : 1;
}

function wholeNumber(said: unknown): number | null {
  if (typeof said === 'number') return Number.isFinite(said) ? said : null;
  return typeof said === 'string' && WHOLE_NUMBER.test(said) ? Number(said) : null;
}
