/** What an operator has said of an instance, as a value: what a patch adds to it, and what is left of it when its time is over. */
import { termsOf } from '@rollcall/core';
import type { InstancePatch, Metadata, Override, OverrideTerms, OverrideWord } from '@rollcall/core';

/** In the order in which they are told. */
export const WORDS: readonly OverrideWord[] = ['admin', 'weight', 'metadata'];

type Values = Pick<Override, OverrideWord>;
type Terms = Partial<Readonly<Record<OverrideWord, OverrideTerms>>>;

/** When a patch comes, and from whom (empty: not known). */
export interface Said {
  readonly wall: number;
  readonly by: string;
}

/**
 * What an operator has said when `patch` is added; null when nothing is left of it. The same object when nothing changes.
 * Reason and end of a patch belong to the words that it names, or to all words where it names none: a word that is set without an end
 * has none, whatever was said before.
 */
export function withPatch(before: Override | null, patch: InstancePatch, said: Said): Override | null {
  const values: Values = {
    admin: patch.admin === undefined ? (before?.admin ?? null) : patch.admin === 'ENABLED' ? null : patch.admin,
    weight: patch.weight === undefined ? (before?.weight ?? null) : patch.weight,
    metadata: metadataAfter(before?.metadata ?? null, patch.metadata),
  };
  const terms: Terms = Object.fromEntries(
    WORDS.filter((word) => values[word] !== null).map((word) => [
      word,
      termsAfter({ word, before, patch, said, isSame: isSame(word, before, values) }),
    ]),
  );
  const isLess = before !== null && WORDS.some((word) => before[word] !== null && values[word] === null);
  // the reason of a word that was taken back is none of the others
  const { reason = isLess ? newestReason(terms) : (before?.reason ?? '') } = patch;
  const next = together(values, terms, { reason, since: said.wall });
  return before !== null && next !== null && textOf(before) === textOf(next) ? before : next;
}

/** The settings that are left when these are over; null: none. */
export function without(override: Override, over: ReadonlySet<OverrideWord>): Override | null {
  const left = WORDS.filter((word) => override[word] !== null && !over.has(word));
  const values: Values = {
    admin: over.has('admin') ? null : override.admin,
    weight: over.has('weight') ? null : override.weight,
    metadata: over.has('metadata') ? null : override.metadata,
  };
  const terms: Terms = Object.fromEntries(left.map((word) => [word, termsOf(override, word)]));
  return together(values, terms, { reason: newestReason(terms), since: override.since });
}

function newestReason(terms: Terms): string {
  return Object.values(terms).toSorted((one, other) => other.since - one.since)[0]?.reason ?? '';
}

/** Does the patch give the word its end? */
export function isEndOf(word: OverrideWord, patch: InstancePatch): boolean {
  return patch[word] !== undefined || namesNone(patch);
}

const namesNone = (patch: InstancePatch): boolean => WORDS.every((word) => patch[word] === undefined);

interface Change {
  readonly word: OverrideWord;
  readonly before: Override | null;
  readonly patch: InstancePatch;
  readonly said: Said;
  /** Does the word say what it said before? */
  readonly isSame: boolean;
}

function termsAfter({ word, before, patch, said, isSame: same }: Change): OverrideTerms {
  const known = before === null || before[word] === null ? null : termsOf(before, word);
  const { reason, untilMs } = patch;
  if (known !== null && patch[word] === undefined) {
    if (!namesNone(patch)) return known;
    return { ...known, reason: reason ?? known.reason, untilMs: untilMs === undefined ? known.untilMs : untilMs };
  }
  const since = same && known !== null ? known.since : said.wall;
  const by = same && known !== null ? known.by : said.by;
  return { reason: reason ?? '', since, untilMs: untilMs ?? null, by };
}

function isSame(word: OverrideWord, before: Override | null, values: Values): boolean {
  return before !== null && JSON.stringify(sorted(before[word])) === JSON.stringify(sorted(values[word]));
}

function together(
  values: Values,
  terms: Terms,
  last: { readonly reason: string; readonly since: number },
): Override | null {
  const ends = Object.values(terms).flatMap(({ untilMs }) => untilMs ?? []);
  if (Object.keys(terms).length === 0) return null;
  return { ...values, ...last, untilMs: ends.length === 0 ? null : Math.min(...ends), words: terms };
}

function metadataAfter(before: Metadata | null, changes: InstancePatch['metadata']): Metadata | null {
  if (changes === undefined) return before;
  if (changes === null) return null;
  const words: [string, string][] = Object.entries(before ?? {}).filter(([key]) => !Object.hasOwn(changes, key));
  for (const [key, word] of Object.entries(changes)) if (word !== null) words.push([key, word]);
  return words.length === 0 ? null : Object.fromEntries(words);
}

/** Everything but when it was said, and by whom. */
function textOf(override: Override): string {
  const words = WORDS.filter((word) => override[word] !== null).map((word) => {
    const { reason, untilMs } = termsOf(override, word);
    return [word, sorted(override[word]), reason, untilMs];
  });
  return JSON.stringify([words, override.reason]);
}

/** The order of keys does not matter. */
function sorted(value: Values[OverrideWord]): unknown {
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
}
