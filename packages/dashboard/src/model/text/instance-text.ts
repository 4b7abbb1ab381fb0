/** Texts about an instance: state, reason, since, next, in this order everywhere. */
import { notCallableText, partsOf } from '@rollcall/core';
import type { CallableCount, Forecast, Instance, ReasonCode } from '@rollcall/core';
import { ageText, clockText, plural } from './age.js';

/** A sentence in the present tense, and one for an old view. */
interface Tenses {
  readonly live: string;
  readonly old: string;
}

const REASONS: Readonly<Record<ReasonCode, Tenses>> = {
  NEW: { live: 'It registered and is not yet proved both ways.', old: 'It had registered and was not yet proved.' },
  BOTH_WAYS_OK: { live: 'Both heartbeats work.', old: 'Both heartbeats worked.' },
  INBOUND_SILENT: {
    live: 'It does not answer, but it still sends Heartbeat-2.',
    old: 'It did not answer, but it still sent Heartbeat-2.',
  },
  INBOUND_REFUSED: {
    live: 'It cannot be reached, but it still sends Heartbeat-2.',
    old: 'It could not be reached, but it still sent Heartbeat-2.',
  },
  OUTBOUND_SILENT: {
    live: 'We reach it, but it sends no Heartbeat-2.',
    old: 'We reached it, but it sent no Heartbeat-2.',
  },
  SILENT: { live: 'Neither heartbeat works.', old: 'Neither heartbeat worked.' },
  UNPROVED: {
    live: 'It was never proved both ways since it registered.',
    old: 'It had never been proved both ways.',
  },
  PROOF_OF_DEATH: {
    live: 'It is dead: its line closed and its port refuses.',
    old: 'It was dead: its line had closed and its port refused.',
  },
  PRESERVED: {
    live: 'Self-preservation holds it, or it would be CRITICAL.',
    old: 'Self-preservation held it, or it would have been CRITICAL.',
  },
  LAST: {
    live: 'It is the last of its service that shows life, so it stays callable.',
    old: 'It was the last of its service that showed life.',
  },
  RESCUED: { live: 'Its own word saved it from removal.', old: 'Its own word had saved it from removal.' },
  MOVED: {
    live: 'It moved to another address and is not yet proved there.',
    old: 'It had moved and was not yet proved there.',
  },
  ADDRESS_SHARED: { live: 'Two processes share its address.', old: 'Two processes shared its address.' },
  ADDRESS_TAKEN: {
    live: 'Another process answers at its address.',
    old: 'Another process answered at its address.',
  },
  LEAVING: {
    live: 'It said goodbye. Calls in flight finish, it gets no new ones.',
    old: 'It had said goodbye. Calls in flight finished.',
  },
  GOODBYE: { live: 'It left.', old: 'It had left.' },
  OPERATOR: { live: 'An operator removed it.', old: 'An operator had removed it.' },
  SUPERSEDED: {
    live: 'Another process took its address, and it is gone.',
    old: 'Another process had taken its address.',
  },
};

/**
 * The reason of the state. A code that this page does not know is shown with the registry's text. For an instance that
 * self-preservation holds, the failure comes first and the hold second.
 */
export function reasonText({ reason }: Pick<Instance, 'reason'>, isOld = false): string {
  const { code, sentence, rule } = partsOf(reason);
  const texts = (REASONS as Readonly<Record<string, Tenses | undefined>>)[code];
  const unknown = `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
  const text = texts === undefined ? unknown : texts[isOld ? 'old' : 'live'];
  return rule === null ? text : `${text} Self-preservation ${isOld ? 'held' : 'holds'} it.`;
}

/** The error, verbatim, with its address; empty: none. */
export const evidenceOf = ({ reason }: Pick<Instance, 'reason'>): string => partsOf(reason).detail;

/** The next transition. `ratio`: the elapsed share of the time until then, 0 … 1; null: there is no clock to show. */
export interface NextText {
  readonly what: string;
  readonly unless: string;
  readonly state: Forecast['state'] | null;
  readonly ratio: number | null;
}

/** `now`: the registry's wall clock; null: the view is old, and the time of its last news is `asOf`. */
export function nextText(instance: Instance, now: number | null, asOf: number): NextText {
  if (now === null) return { what: `unknown after ${clockText(asOf)}`, unless: '', state: null, ratio: null };
  const { next, state } = instance;
  if (next === null) return { what: WITHOUT_DEADLINE[state], unless: '', state: null, ratio: null };
  const leftMs = instance.since + next.afterMs - now;
  const ratio = next.afterMs === 0 ? 1 : Math.min(1, Math.max(0, 1 - leftMs / next.afterMs));
  if (state === 'REGISTERING') {
    const unless = leftMs <= 0 ? 'its time is over' : `it has ${ageText(leftMs)} for that`;
    return { what: 'HEALTHY once proved', unless, state: next.state, ratio };
  }
  if (next.state === 'REMOVED' && next.unless === null) {
    return { what: 'Removed when done', unless: `in ${ageText(leftMs)} at the latest`, state: next.state, ratio };
  }
  const name = next.state === 'REMOVED' ? 'Removed' : next.state;
  const what = leftMs <= 500 ? `${name} any moment` : `${name} in ${ageText(leftMs)}`;
  return { what, unless: UNLESS[next.unless ?? 'NOTHING'], state: next.state, ratio };
}

const UNLESS = {
  HEARTBEAT_1: 'unless it answers Heartbeat-1',
  HEARTBEAT_2: 'unless it sends Heartbeat-2',
  PROOF: 'unless both heartbeats work',
  NOTHING: '',
} as const;

const WITHOUT_DEADLINE: Readonly<Record<Instance['state'], string>> = {
  HEALTHY: '',
  UNHEALTHY: 'It stays so until both heartbeats work',
  CRITICAL: 'It stays so until both heartbeats work',
  REGISTERING: 'HEALTHY once proved',
  DEREGISTERING: 'Removed when done',
};

/** Whether Heartbeat-1 and Heartbeat-2 work, as far as the state implies it; null: unknown. */
export interface Directions {
  readonly heartbeat1: boolean | null;
  readonly heartbeat2: boolean | null;
}

export function directionsOf({ state, reason }: Pick<Instance, 'state' | 'reason'>): Directions {
  if (state === 'HEALTHY') return { heartbeat1: true, heartbeat2: true };
  switch (reason.code) {
    case 'INBOUND_SILENT':
    case 'INBOUND_REFUSED':
    case 'ADDRESS_SHARED':
    case 'ADDRESS_TAKEN':
      return { heartbeat1: false, heartbeat2: true };
    case 'OUTBOUND_SILENT':
      return { heartbeat1: true, heartbeat2: false };
    case 'SILENT':
    case 'PROOF_OF_DEATH':
      return { heartbeat1: false, heartbeat2: false };
    default:
      return { heartbeat1: null, heartbeat2: null };
  }
}

/** Counts of services: those in trouble, all, those without a HEALTHY instance, and those without a callable one. */
export interface Tally {
  readonly trouble: number;
  readonly all: number;
  readonly waiting: number;
  readonly outages: readonly { readonly name: string; readonly count: CallableCount }[];
}

/** The heading of the overview: a verdict, not a title. `asOf`: the time since which the view is old. */
export function verdictText({ trouble, all, waiting, outages }: Tally, asOf: number | null): string {
  const when = asOf === null ? '' : ` at ${clockText(asOf)}`;
  const tense = (now: string, past: string): string => (asOf === null ? now : past);
  if (all === 0) return `No service ${tense('has', 'had')} registered${tense(' yet', when)}.`;
  const needs = tense(trouble === 1 ? 'needs' : 'need', 'needed');
  const troubled = `${trouble} of ${plural(all, 'service')} ${needs} attention${when}.`;
  const [first] = outages;
  if (first !== undefined) {
    const names = outages.map(({ name }) => name).slice(0, MAX_NAMED);
    const hidden = outages.length > MAX_NAMED ? ` and ${outages.length - MAX_NAMED} more` : '';
    const why = outages.length === 1 ? `: ${notCallableText(first.count)}` : '';
    const outage = `No instance of ${names.join(', ')}${hidden} ${tense('may be called', `could be called${when}`)}${why}.`;
    return trouble === outages.length ? outage : `${outage} ${troubled}`;
  }
  if (trouble > 0) return troubled;
  if (waiting > 0)
    return `${waiting} of ${plural(all, 'service')} ${tense(waiting === 1 ? 'has' : 'have', 'had')} no HEALTHY instance${tense(' yet', when)}.`;
  return `${all === 1 ? 'The one service' : `All ${all} services`} ${tense('can', 'could')} be reached${when}.`;
}

/** Services beyond this number are counted. */
const MAX_NAMED = 3;

/** The last four characters of an id, which identify it in texts. */
export const tailOf = (id: string): string => id.slice(-4);

/**
 * The parts before and after the ellipsis of a printed instance, `orders…1e07`; three dots are accepted. Null: no
 * ellipsis.
 */
export function printedParts(text: string): { readonly name: string; readonly tail: string } | null {
  const [name = '', tail] = text.split(/…|\.{3}/);
  return tail === undefined ? null : { name, tail };
}

/** Shown instead of a topology picture that would be too big. `isUnhealthyOnly`: is this filter set already? */
export const tooManyText = (services: string, isUnhealthyOnly: boolean): string =>
  `${services} are too many for a picture: choose one above${isUnhealthyOnly ? '' : ', or only what is unhealthy'}.`;
