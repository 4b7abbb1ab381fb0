import { overrideMessage, termsOf } from '@rollcall/core';
import type { OverrideTerms, OverrideWord } from '@rollcall/core';
import { at } from '../registry/json.js';
import type { Json } from '../registry/json.js';
import { momentText } from '../terminal/moments.js';
import { ageText, printable } from '../terminal/words.js';

/** What is known of one word of an operator, in an answer of the registry about one instance; null: nothing was said. */
export function overrideTerms(answer: Json, word: OverrideWord): OverrideTerms | null {
  const read = overrideMessage.parse(at(answer, 'override'));
  return read.ok && read.value[word] !== null ? termsOf(read.value, word) : null;
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
