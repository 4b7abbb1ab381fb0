import { overrideMessage, termsOf } from '@rollcall/core';
import type { Instance, InstanceId, OverrideTerms, OverrideWord } from '@rollcall/core';
import { at } from '../registry/json.js';
import type { Json } from '../registry/json.js';
import type { RegistryApi } from '../registry/registry-api.js';
import { momentText } from '../terminal/moments.js';
import { ageText, printable } from '../terminal/words.js';
import { isAway } from './outages.js';

/** What is known of one word of an operator, in an answer of the registry about one instance; null: nothing was said. */
export function overrideTerms(answer: Json, word: OverrideWord): OverrideTerms | null {
  const read = overrideMessage.parse(at(answer, 'override'));
  return read.ok && read.value[word] !== null ? termsOf(read.value, word) : null;
}

/** Instances of which it is asked: each needs a question of its own. */
const MOST_ASKED = 256;

/**
 * Who keeps instances away, why, since when and until when, as far as the registry tells: of the first 256 of those that an operator drained
 * or put into maintenance.
 */
export async function awayTerms(
  api: Pick<RegistryApi, 'details'>,
  instances: readonly Instance[],
): Promise<ReadonlyMap<InstanceId, OverrideTerms>> {
  const away = instances.filter(isAway).slice(0, MOST_ASKED);
  return away.length === 0 ? new Map() : termsIn(await api.details(away.map(({ id }) => id)));
}

/** The same, of what the registry tells of each instance. */
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

/** `drained 5 min ago by token 3f2a from 10.0.0.7 (new disk), until 14:02:23` */
export function awayText(admin: 'DRAINING' | 'MAINTENANCE', terms: OverrideTerms | null, now: number): string {
  const deed = admin === 'DRAINING' ? 'drained' : 'put into maintenance';
  if (terms === null) return `${deed} by an operator`;
  const by = terms.by === '' ? 'an operator' : printable(terms.by);
  const why = terms.reason === '' ? '' : ` (${printable(terms.reason)})`;
  const until = terms.untilMs === null ? '' : `,${untilText(terms, now)}`;
  return `${deed} ${ageText(now - terms.since)} ago by ${by}${why}${until}`;
}

/** `Drained 10 s ago by an operator (new disk).` */
export function awayTermsText(admin: Instance['admin'], { since, by, reason }: OverrideTerms, now: number): string {
  const deed = admin === 'DRAINING' ? 'Drained' : 'Put into maintenance';
  const why = reason === '' ? '' : ` (${printable(reason)})`;
  return `${deed} ${ageText(Math.max(0, now - since))} ago by ${by === '' ? 'an operator' : printable(by)}${why}.`;
}

/** `Until 14:02:23`; empty: it has no end. */
export function awayUntilText({ untilMs }: OverrideTerms, now: number): string {
  return untilMs === null ? '' : `Until ${momentText(untilMs, now)}`;
}
