import { AWAY_ACTIONS, overrideMessage, termsOf } from '@rollcall/core';
import type { AwayState, Instance, InstanceId, OverrideTerms, OverrideSetting } from '@rollcall/core';
import { at } from '../registry/json.js';
import type { Json } from '../registry/json.js';
import type { RegistryApi } from '../registry/registry-api.js';
import { momentText } from '../terminal/moments.js';
import { ageText, printable } from '../terminal/texts.js';
import { isAway } from './outages.js';

/** One setting of an operator, from the registry's answer about an instance; null: not set. */
export function overrideTerms(answer: Json, setting: OverrideSetting): OverrideTerms | null {
  const read = overrideMessage.parse(at(answer, 'override'));
  return read.ok && read.value[setting] !== null ? termsOf(read.value, setting) : null;
}

/**
 * The operators' settings that keep instances from callers, with reason, start and end, as far as the registry reports them.
 * Requested only if one of these is drained or in maintenance.
 */
export async function awayTerms(
  api: Pick<RegistryApi, 'keptAway'>,
  instances: readonly Instance[],
): Promise<ReadonlyMap<InstanceId, OverrideTerms>> {
  return instances.some(isAway) ? termsIn(await api.keptAway()) : new Map();
}

/** The same, from the answers about the instances. */
export function termsIn(details: ReadonlyMap<InstanceId, Json>): ReadonlyMap<InstanceId, OverrideTerms> {
  const found = new Map<InstanceId, OverrideTerms>();
  for (const [id, answer] of details) {
    const terms = overrideTerms(answer, 'admin');
    if (terms !== null) found.set(id, terms);
  }
  return found;
}

/** ` until 14:02:23`, with the date if it is of another day; empty: it has no end. */
export function untilText(terms: OverrideTerms | null, now = Date.now()): string {
  return terms === null || terms.untilMs === null ? '' : ` until ${momentText(terms.untilMs, now)}`;
}

/** `drained 5 min ago by token 3f2a from 10.0.0.7 (new disk)` */
export function awayAction(admin: AwayState, terms: OverrideTerms | null, now: number): string {
  const action = AWAY_ACTIONS[admin].done;
  if (terms === null) return `${action} by an operator`;
  const by = terms.by === '' ? 'an operator' : printable(terms.by);
  const why = terms.reason === '' ? '' : ` (${printable(terms.reason)})`;
  return `${action} ${ageText(now - terms.since)} ago by ${by}${why}`;
}

/** The same with `, until 14:02:23`, if the end is known. */
export function awayText(admin: AwayState, terms: OverrideTerms | null, now: number): string {
  const until = untilText(terms, now);
  return `${awayAction(admin, terms, now)}${until === '' ? '' : `,${until}`}`;
}
