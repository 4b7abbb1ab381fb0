import { printableText } from '@rollcall/core';
import type { Problem, ProblemCode, Reason, ReasonCode } from '@rollcall/core';

/** Of all that is wrong: ten flaws may be far longer, and people still have to see what to do. */
const MAX_FLAWS = 1_200;

/** `never` again; `unknown` to the registry; refused, so `later`, and people are told why; or not now, so `soon`. */
export type Meaning = 'never' | 'unknown' | 'later' | 'soon';

const MEANINGS: Readonly<Record<ProblemCode, Meaning>> = {
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
 * To a beat: another process has our address, or our id. A certificate that is not trusted says nothing of that: it may be renewed, or the
 * registry have the list that it misses, before anybody would notice.
 */
const OUSTED: ReadonlySet<ProblemCode> = new Set(['ADDRESS_TAKEN', 'UNAUTHORIZED']);

/** What a registry's refusal means for who wants to be, or stay, registered. */
export function meaningOf({ code }: Problem): Meaning {
  return MEANINGS[code];
}

/** As the answer to a beat: another process has our address, or our id. */
export function isOusted({ code }: Problem): boolean {
  return OUSTED.has(code);
}

/** For people: what is refused, why, and what to do. `name`: whose. */
export function refusalText(name: string, problem: Problem): string {
  const flaws = (problem.flaws ?? []).map(
    (flaw) => ` ${flaw.path}: received ${flaw.received}, allowed is ${flaw.allowed}.`,
  );
  return `The registry refuses ${name}: ${problem.detail}${printableText(flaws.join(''), MAX_FLAWS)} ${problem.fix}`;
}

/** After these the id is not taken again, or another process has the address. */
const FINAL: ReadonlySet<ReasonCode> = new Set(['OPERATOR', 'SUPERSEDED', 'ADDRESS_TAKEN', 'GOODBYE', 'LEAVING']);

/** For people: why the registry took an instance off its record, and what comes next. `name`: whose. */
export function removedText(name: string, { code, text }: Reason): string {
  const next = FINAL.has(code) ? '' : '. It registers again with its next heartbeat.';
  return `The registry removed ${name}: ${printableText(text)}${next}`;
}
