/** Why an instance is in its state. docs/STATES.md lists when each is given. */
export const REASON_CODES = [
  'NEW',
  'BOTH_WAYS_OK',
  'INBOUND_SILENT',
  'INBOUND_REFUSED',
  'OUTBOUND_SILENT',
  'SILENT',
  'UNPROVED',
  'PROOF_OF_DEATH',
  'PRESERVED',
  'LAST',
  'RESCUED',
  'MOVED',
  'ADDRESS_SHARED',
  'ADDRESS_TAKEN',
  'LEAVING',
  'GOODBYE',
  'OPERATOR',
  'SUPERSEDED',
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

/** A stable word for programs and a plain sentence for people. */
export interface Reason {
  readonly code: ReasonCode;
  readonly text: string;
}

/** The sentence of each code; `detail` (an error verbatim, with its address) is set behind it. */
export const REASON_TEXTS: Readonly<Record<ReasonCode, string>> = {
  NEW: 'registered; not yet proved both ways',
  BOTH_WAYS_OK: 'answers Heartbeat-1 and sends Heartbeat-2',
  INBOUND_SILENT: 'it does not answer Heartbeat-1',
  INBOUND_REFUSED: 'it cannot be reached',
  OUTBOUND_SILENT: 'it answers Heartbeat-1 but sends no Heartbeat-2',
  SILENT: 'it neither answers Heartbeat-1 nor sends Heartbeat-2',
  UNPROVED: 'never proved both ways since it registered',
  PROOF_OF_DEATH: 'dead: its line closed and its address refuses',
  PRESERVED: 'held by self-preservation',
  LAST: 'the last instance of its service that shows life, so it stays callable',
  RESCUED: 'it registered or sent a heartbeat before it was removed',
  MOVED: 'registered another address; not yet proved there',
  ADDRESS_SHARED: 'another process answers at its address in turns with it; each process needs a port of its own',
  ADDRESS_TAKEN: 'another process answers at the address it registered',
  LEAVING: 'it said goodbye and finishes what is in flight',
  GOODBYE: 'it left',
  OPERATOR: 'removed by an operator',
  SUPERSEDED: 'another process took its address and it is gone',
};

/** Between the rule by which self-preservation holds an instance and what fails there. */
const CAUSE_SEPARATOR = '; of this one: ';

/** Why self-preservation holds an instance, `rule`, and what fails there, `cause`. */
export function preservedReason(rule: string, cause: Reason): Reason {
  return reasonFor('PRESERVED', `${rule}${CAUSE_SEPARATOR}${cause.text}`);
}

/** A reason in two parts: what fails, and the rule by which self-preservation still holds the instance (null: it does not). */
export function unheld(reason: Reason): { readonly cause: Reason; readonly rule: string | null } {
  const start = `${REASON_TEXTS.PRESERVED}: `;
  const at = reason.text.indexOf(CAUSE_SEPARATOR);
  if (reason.code !== 'PRESERVED' || !reason.text.startsWith(start) || at < 0) return { cause: reason, rule: null };
  const text = reason.text.slice(at + CAUSE_SEPARATOR.length);
  const code = REASON_CODES.find(
    (known) => text === REASON_TEXTS[known] || text.startsWith(`${REASON_TEXTS[known]}: `),
  );
  return code === undefined
    ? { cause: reason, rule: null }
    : { cause: { code, text }, rule: reason.text.slice(start.length, at) };
}

export function reasonFor(code: ReasonCode, detail?: string): Reason {
  return {
    code,
    text: detail === undefined || detail === '' ? REASON_TEXTS[code] : `${REASON_TEXTS[code]}: ${detail}`,
  };
}
