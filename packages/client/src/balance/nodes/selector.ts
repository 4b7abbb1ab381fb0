import { isCallableIn } from '@rollcall/core';
import type { Instance, Metadata, State } from '@rollcall/core';

/** The instances that a call may use. Two selectors with the same `key` are equal. */
export interface Selector {
  readonly key: string;
  readonly states: readonly State[];
  /** A version or its first parts (`2` matches every 2.x); empty: any. */
  readonly version: string;
  /** Keys and values that the metadata of an instance must have; empty: any. */
  readonly metadata: readonly (readonly [word: string, value: string])[];
}

/** The restrictions of one call; `undefined`: none. */
export interface SelectorOptions {
  readonly states: readonly State[] | undefined;
  readonly version: string | undefined;
  readonly metadata: Metadata | undefined;
}

/** The selector without restrictions: its key is empty. */
export function standardSelector(states: readonly State[]): Selector {
  return { key: '', states, version: '', metadata: [] };
}

/** The order of the entries in `metadata` does not matter. */
export function selectorFor(options: SelectorOptions, standard: Selector): Selector {
  const { states, version = '' } = options;
  const metadata = Object.entries(options.metadata ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const key = states === undefined && version === '' && metadata.length === 0 ? '' : keyOf(states, version, metadata);
  return key === '' ? standard : { key, states: states ?? standard.states, version, metadata };
}

export function isSelected(instance: Instance, selector: Selector): boolean {
  if (!isCallableIn(instance, selector.states)) return false;
  const { version, metadata } = selector;
  if (version !== '' && instance.version !== version && !instance.version.startsWith(`${version}.`)) return false;
  for (const [key, value] of metadata) if (instance.metadata[key] !== value) return false;
  return true;
}

/** JSON keeps versions and metadata apart: both are free text. */
function keyOf(states: readonly State[] | undefined, version: string, metadata: Selector['metadata']): string {
  return JSON.stringify([states ?? null, version, metadata]);
}
