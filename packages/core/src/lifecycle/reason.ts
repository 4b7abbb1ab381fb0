/** Reasons for the state of an instance. docs/STATES.md lists when each is given. */
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

/** A stable code for programs and a plain sentence for users. */
export interface Reason {
  readonly code: ReasonCode;
  readonly text: string;
}

/** The sentence of each code; `detail` (a verbatim error, with its address) is appended to it. */
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

/** Between the sentence of a code and its detail. */
const DETAIL_SEPARATOR = ': ';
/** Between the rule by which self-preservation holds an instance and the failure of this instance. */
const CAUSE_SEPARATOR = '; of this one: ';

/** Why self-preservation holds an instance, `rule`, and its failure, `cause`. */
export function preservedReason(rule: string, cause: Reason): Reason {
  return reasonFor('PRESERVED', `${rule}${CAUSE_SEPARATOR}${cause.text}`);
}

/** The parts of the text of a reason. */
export interface ReasonParts {
  /** The failure; for an instance that self-preservation holds, the reason for which it would be CRITICAL. */
  readonly code: ReasonCode;
  /** The sentence of the code; the whole text if this version does not know the code. */
  readonly sentence: string;
  /** A verbatim error, with its address; empty: none. */
  readonly detail: string;
  /** The rule by which self-preservation holds the instance; null: it does not. */
  readonly rule: string | null;
}

/** Splits the texts of `reasonFor` and `preservedReason` into their parts. */
export function partsOf({ code, text }: Reason): ReasonParts {
  const known: string | undefined = REASON_TEXTS[code];
  // a newer registry may send codes and texts that this version does not know
  if (known === undefined || !isTextOf(code, text)) return { code, sentence: text, detail: '', rule: null };
  const detail = text.slice(known.length + DETAIL_SEPARATOR.length);
  const parts = { code, sentence: known, detail, rule: null };
  const at = detail.indexOf(CAUSE_SEPARATOR);
  if (code !== 'PRESERVED' || at < 0) return parts;
  const cause = detail.slice(at + CAUSE_SEPARATOR.length);
  const causeCode = REASON_CODES.find((one) => isTextOf(one, cause));
  return causeCode === undefined ? parts : { ...partsOf({ code: causeCode, text: cause }), rule: detail.slice(0, at) };
}

const isTextOf = (code: ReasonCode, text: string): boolean =>
  text === REASON_TEXTS[code] || text.startsWith(`${REASON_TEXTS[code]}${DETAIL_SEPARATOR}`);

/** `detail`: a verbatim error, with its address. */
export function reasonFor(code: ReasonCode, detail?: string): Reason {
  return {
    code,
    text:
      detail === undefined || detail === '' ? REASON_TEXTS[code] : `${REASON_TEXTS[code]}${DETAIL_SEPARATOR}${detail}`,
  };
}
