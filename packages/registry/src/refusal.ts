import type { Problem, ProblemCode } from '@rollcall/core';
import type { Outcome } from './face.js';

const FIXES: Partial<Record<ProblemCode, string>> = {
  NOT_READY: 'Try again after Retry-After; nothing is lost meanwhile.',
  NOT_FOUND: 'Check the name; an instance that was removed registers again with the same id and secret.',
  UNAUTHORIZED: 'Send the secret of its registration as "Authorization: Bearer <secret>".',
  ID_HELD: 'Draw a new id at each process start: <service>-<UUIDv7>.',
  ENDED: 'Start with a new id: a process that has left does not come back.',
  LEAVING: 'Let it finish, and start a new process with a new id.',
  ADDRESS_TAKEN: 'Give each process a port of its own; register again with the same id and secret after 30 s.',
  TOO_MANY: 'Remove what is not needed, or raise maxInstances.',
};

/** A refusal: an expected outcome, with what happened and what to do. */
export function refuse(code: ProblemCode, detail: string): Outcome<never> {
  const problem: Problem = { code, detail, fix: FIXES[code] ?? 'See docs/PROTOCOL.md.' };
  return { ok: false, problem: code === 'NOT_READY' ? { ...problem, retryAfterMs: 1_000 } : problem };
}

/** Unsure is an error, never an empty list. */
export const notReady = (): Outcome<never> => refuse('NOT_READY', 'The registry has not yet loaded its store.');
