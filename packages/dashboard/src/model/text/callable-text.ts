/** Texts about callable instances, and about instances that an operator keeps from callers. */
import { AWAY_ACTIONS, callableText, termsOf } from '@rollcall/core';
import type { AwayState, CallableCount, Instance, Override, OverrideTerms } from '@rollcall/core';
import type { InstanceAnswer } from '../live/answers.js';
import type { Standing } from '../live/roll.js';
import { ageText } from './age.js';
import { momentText } from './moment.js';

/** `3 of 5`: how many instances of a service callers may call. One measure on every screen. */
export const callableShare = ({ callable, all }: CallableCount): string => `${callable} of ${all}`;

/**
 * The state of a service, for its heading: `2 of 2 callable`, `0 of 2 callable: 2 drained`. Instances that are callable
 * and yet not HEALTHY are named: `2 of 2 callable (1 UNHEALTHY)`.
 */
export function standingText(standing: Pick<Standing, 'count' | 'unwell'>): string {
  const [share = '', why] = callableText(standing.count).split(': ', 2);
  const unwell = unwellText(standing);
  return `${share}${unwell === '' ? '' : ` (${unwell})`}${why === undefined ? '' : `: ${why}`}`;
}

/** The callable instances that are not HEALTHY: `1 UNHEALTHY, 2 REGISTERING`. Empty: none. */
export const unwellText = ({ unwell }: Pick<Standing, 'unwell'>): string =>
  Object.entries(unwell)
    .filter(([, times]) => times > 0)
    .map(([state, times]) => `${times} ${state}`)
    .join(', ');

const DONE_TO_IT: Readonly<Record<AwayState, string>> = {
  DRAINING: 'drained it',
  MAINTENANCE: 'put it into maintenance',
};

/** The admin state of an instance, before its state; empty: ENABLED. */
export function awayText({ admin }: Pick<Instance, 'admin'>, isOld = false): string {
  if (admin === 'ENABLED') return '';
  const [has, gets] = isOld ? ['had', 'got'] : ['has', 'gets'];
  return `An operator ${has} ${DONE_TO_IT[admin]}: it ${gets} no calls.`;
}

interface KeptAwayInput {
  readonly instance: Pick<Instance, 'admin'>;
  readonly detail: Pick<InstanceAnswer, 'override'> | null;
  readonly now: number;
  /** True if the view is old: then the past tense is used. */
  readonly isOld?: boolean;
}

/** The operator's setting that keeps callers away from an instance, with start, reason and end; empty: none, or unknown. */
export function keptAwayText({ instance: { admin }, detail, now, isOld = false }: KeptAwayInput): string {
  const override = detail?.override ?? null;
  if (admin === 'ENABLED' || override === null || override.admin === null) return '';
  const { by, since, reason, untilMs } = termsOf(override, 'admin');
  const action = AWAY_ACTIONS[admin].done;
  const why = reason === '' ? '' : ` (${reason})`;
  const when = isOld ? `at ${momentText(since, now)}` : `${ageText(now - since)} ago`;
  const until = untilMs === null ? '' : `, until ${momentText(untilMs, now)}`;
  return `It ${isOld ? 'got' : 'gets'} no calls: ${action} ${when} by ${by === '' ? 'an operator' : by}${why}${until}.`;
}

/**
 * An operator's setting of the admin state of an instance; null: none, or unknown. An answer from before the instance
 * changed its admin state does not apply to the current one.
 */
export function awayTerms({ admin }: Pick<Instance, 'admin'>, override: Override | null): OverrideTerms | null {
  return admin === 'ENABLED' || override?.admin !== admin ? null : termsOf(override, 'admin');
}

/**
 * The start of what a row shows of an instance, wall clock in ms: its admin state, or, if that is ENABLED, its state.
 * Null: unknown.
 */
export function shownSince(instance: Pick<Instance, 'admin' | 'since'>, override: Override | null): number | null {
  return instance.admin === 'ENABLED' ? instance.since : (awayTerms(instance, override)?.since ?? null);
}

/** Instances that an operator keeps away for the same reason. */
export interface AwayInput {
  readonly admin: AwayState;
  /** One for each of them, as far as known; the reason and the operator are the same. */
  readonly terms: readonly OverrideTerms[];
  readonly now: number;
  readonly isOld?: boolean;
}

/**
 * `Drained 10 s ago by an operator (new kernel).` The first of several counts. Without any: `Drained by an operator.`
 */
export function awayReason({ admin, terms, now, isOld = false }: AwayInput): string {
  const { done } = AWAY_ACTIONS[admin];
  const action = `${done.charAt(0).toUpperCase()}${done.slice(1)}`;
  const [first] = terms.toSorted((a, b) => a.since - b.since);
  if (first === undefined) return `${action} by an operator.`;
  const when = isOld ? `at ${momentText(first.since, now)}` : `${ageText(now - first.since)} ago`;
  return `${action} ${when} by ${first.by === '' ? 'an operator' : first.by}${first.reason === '' ? '' : ` (${first.reason})`}.`;
}

/**
 * `until 14:02:23`, `until an operator enables it`; of several with ends of their own, from the first to the last.
 * Empty: not known.
 */
export function awayEnd({ admin, terms, now }: AwayInput): string {
  if (terms.length === 0) return '';
  const ends = terms.map(({ untilMs }) => untilMs).filter((end) => end !== null);
  if (ends.length < terms.length) return `until ${AWAY_ACTIONS[admin].undone} by an operator`;
  const [first, last] = [momentText(Math.min(...ends), now), momentText(Math.max(...ends), now)];
  return first === last ? `until ${first}` : `until ${first} … ${last}`;
}
