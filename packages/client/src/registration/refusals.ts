import { printableText } from '@rollcall/core';
import type { Problem, ProblemCode, Reason, ReasonCode } from '@rollcall/core';

/**
 * The longest text of all flaws, in characters: ten flaws may be far longer, and the advice after them must stay
 * visible.
 */
const MAX_FLAWS = 1_200;

/** How to react: `never` registers again; `unknown` to the registry; `later`, after a refusal that is logged; or `soon`. */
export type Reaction = 'never' | 'unknown' | 'later' | 'soon';

const REACTIONS: Readonly<Record<ProblemCode, Reaction>> = {
  ENDED: 'never',
  NOT_FOUND: 'unknown',
  TOKEN_LAPSED: 'unknown',
  ADDRESS_TAKEN: 'later',
  ID_HELD: 'later',
  LEAVING: 'later',
  INVALID: 'later',
  UNAUTHORIZED: 'later',
  CERTIFICATE_UNTRUSTED: 'later',
  FORBIDDEN: 'later',
  METHOD_NOT_ALLOWED: 'later',
  TOO_LARGE: 'later',
  UNSUPPORTED_MEDIA_TYPE: 'later',
  MISDIRECTED: 'later',
  ADDRESS_NOT_ALLOWED: 'later',
  TOO_SLOW: 'soon',
  TOO_MANY: 'soon',
  INTERNAL: 'soon',
  NOT_READY: 'soon',
};

/**
 * In the answer to a beat, these codes mean that another process has our address or our id. An untrusted certificate does not mean that:
 * the certificate may be renewed, or the registry may receive its missing list, before the instance counts as failed.
 */
const OUSTED: ReadonlySet<ProblemCode> = new Set(['ADDRESS_TAKEN', 'UNAUTHORIZED']);

/** How an instance that should be registered must react to a refusal. */
export function meaningOf({ code }: Problem): Reaction {
  return REACTIONS[code];
}

/** True if this answer to a beat means that another process has our address or our id. */
export function isOusted({ code }: Problem): boolean {
  return OUSTED.has(code);
}

/** The log text of a refusal: the refused instance, the reason, and the fix. `name` is the instance. */
export function refusalText(name: string, problem: Problem): string {
  const flaws = (problem.flaws ?? []).map(
    (flaw) => ` ${flaw.path}: received ${flaw.received}, allowed is ${flaw.allowed}.`,
  );
  return `The registry refuses ${name}: ${problem.detail}${printableText(flaws.join(''), MAX_FLAWS)} ${problem.fix}`;
}

/** After a removal with one of these reasons the id is not accepted again, or another process has the address. */
const FINAL: ReadonlySet<ReasonCode> = new Set(['OPERATOR', 'SUPERSEDED', 'ADDRESS_TAKEN', 'GOODBYE', 'LEAVING']);

/** The log text of a removal: the reason for the removal, and the next step. `name` is the instance. */
export function removedText(name: string, { code, text }: Reason): string {
  const next = FINAL.has(code) ? '' : '. It registers again with its next heartbeat.';
  return `The registry removed ${name}: ${printableText(text)}${next}`;
}
