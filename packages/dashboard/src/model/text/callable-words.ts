/** What people are told of whom callers may call, and of whom an operator keeps them away. */
import { callableText, termsOf } from '@rollcall/core';
import type { Instance, Override } from '@rollcall/core';
import type { InstanceAnswer } from '../live/answers.js';
import type { Standing } from '../live/roll.js';
import { ageText } from './age.js';
import { momentText } from './moment.js';
import { shareText } from './words.js';

/** How a service stands, for its heading: `2 of 2 HEALTHY`, or, where somebody is kept away, `0 of 2 callable: 2 drained`. */
export function standingText({ healthy, all, count }: Pick<Standing, 'healthy' | 'all' | 'count'>): string {
  return count.admin.ENABLED < all ? callableText(count) : `${shareText(healthy, all)} HEALTHY`;
}

/** What an operator wants of an instance, before its state; empty: nothing. */
export function awayText({ admin }: Pick<Instance, 'admin'>, isOld = false): string {
  if (admin === 'ENABLED') return '';
  const [has, gets] = isOld ? ['had', 'got'] : ['has', 'gets'];
  return admin === 'DRAINING'
    ? `An operator ${has} drained it: it ${gets} no calls.`
    : `An operator ${has} put it into maintenance: it ${gets} no calls.`;
}

interface KeptAwayInput {
  readonly instance: Pick<Instance, 'admin'>;
  readonly detail: Pick<InstanceAnswer, 'override'> | null;
  readonly now: number;
  /** Is the view old? Then the past is told. */
  readonly isOld?: boolean;
}

/** Who keeps callers away from an instance, since when, why and until when; empty: nobody, or the answer does not tell. */
export function keptAwayText({ instance: { admin }, detail, now, isOld = false }: KeptAwayInput): string {
  const override = detail?.override ?? null;
  if (admin === 'ENABLED' || override === null || override.admin === null) return '';
  const { by, since, reason, untilMs } = termsOf(override, 'admin');
  const deed = admin === 'DRAINING' ? 'drained' : 'put into maintenance';
  const why = reason === '' ? '' : ` (${reason})`;
  const when = isOld ? `at ${momentText(since, now)}` : `${ageText(now - since)} ago`;
  const until = untilMs === null ? '' : `, until ${momentText(untilMs, now)}`;
  return `It ${isOld ? 'got' : 'gets'} no calls: ${deed} ${when} by ${by === '' ? 'an operator' : by}${why}${until}.`;
}

/** Since when an operator keeps it away, wall clock in ms; null: none does, or it is not known. */
export function awaySince({ admin }: Pick<Instance, 'admin'>, override: Override | null): number | null {
  return admin === 'ENABLED' || override === null || override.admin === null ? null : termsOf(override, 'admin').since;
}

/** Until when an operator keeps it away; empty: not known. */
export function awayUntilText(override: Override | null, now: number): string {
  if (override === null || override.admin === null) return '';
  const { untilMs } = termsOf(override, 'admin');
  return untilMs === null ? 'until an operator enables it' : `until ${momentText(untilMs, now)}`;
}
