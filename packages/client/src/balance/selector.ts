import type { Instance, Metadata, State } from '@rollcall/core';

/** Which instances a call may go to. Two selectors with the same `key` say the same. */
export interface Selector {
  readonly key: string;
  readonly states: readonly State[];
  /** A version, or its first parts (`2` means every 2.x); empty: any. */
  readonly version: string;
  /** Words that an instance's metadata must hold, each with its value; empty: any. */
  readonly metadata: readonly (readonly [word: string, value: string])[];
}

/** What one call wishes; `undefined` is no wish. */
export interface Wishes {
  readonly states: readonly State[] | undefined;
  readonly version: string | undefined;
  readonly metadata: Metadata | undefined;
}

/** The selector for no wishes: its key is empty. */
export function standardSelector(states: readonly State[]): Selector {
  return { key: '', states, version: '', metadata: [] };
}

/** The order of the words in `metadata` does not matter. */
export function selectorFor(wishes: Wishes, standard: Selector): Selector {
  const { states, version = '' } = wishes;
  const metadata = Object.entries(wishes.metadata ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const key = states === undefined && version === '' && metadata.length === 0 ? '' : keyOf(states, version, metadata);
  return key === '' ? standard : { key, states: states ?? standard.states, version, metadata };
}

/** What leaves an instance out, of several the first. */
export interface Exclusion {
  readonly by: 'admin' | 'state' | 'version' | 'metadata';
  /** What it has; null: none. */
  readonly is: string | null;
  /** What is wanted instead; empty for `admin` and `state`. */
  readonly wanted: string;
  /** Of `metadata`: the word; else empty. */
  readonly word: string;
}

/** The same as `isSelected`, for people: null, it is selected. */
export function exclusionOf(instance: Instance, selector: Selector): Exclusion | null {
  if (isSelected(instance, selector)) return null;
  const { admin, state } = instance;
  if (admin !== 'ENABLED') return { by: 'admin', is: admin, wanted: '', word: '' };
  if (!selector.states.includes(state)) return { by: 'state', is: state, wanted: '', word: '' };
  for (const [word, wanted] of selector.metadata) {
    const is = instance.metadata[word];
    if (is !== wanted && isVersion(instance, selector)) return { by: 'metadata', is: is ?? null, wanted, word };
  }
  return { by: 'version', is: instance.version === '' ? null : instance.version, wanted: selector.version, word: '' };
}

function isVersion({ version: has }: Instance, { version }: Selector): boolean {
  return version === '' || has === version || has.startsWith(`${version}.`);
}

export function isSelected(instance: Instance, selector: Selector): boolean {
  if (instance.admin !== 'ENABLED' || !selector.states.includes(instance.state)) return false;
  if (!isVersion(instance, selector)) return false;
  for (const [word, value] of selector.metadata) if (instance.metadata[word] !== value) return false;
  return true;
}

/** Versions and words are free text: JSON keeps them apart. */
function keyOf(states: readonly State[] | undefined, version: string, metadata: Selector['metadata']): string {
  return JSON.stringify([states ?? null, version, metadata]);
}
