/** Searches by typed text: names, ids as they are printed, addresses; before them a namespace and `/`. */
import { addressOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { printedParts } from '../text/words.js';

interface Named {
  readonly namespace: string;
  readonly name: string;
}

type Found = Pick<Instance, 'id' | 'namespace' | 'service' | 'endpoints'>;

const wordsOf = (typed: string): string => typed.toLowerCase().trim();

/** By name, the exact one first, then those that start with it; then all of a namespace of that name. */
export function findServices<One extends Named>(services: readonly One[], typed: string): readonly One[] {
  const words = wordsOf(typed);
  if (words === '') return [];
  const ranked = services.map((service) => ({ service, rank: rankOf(service, words) }));
  return ranked
    .filter(({ rank }) => rank < NOT_MEANT)
    .toSorted((one, other) => one.rank - other.rank)
    .map(({ service }) => service);
}

const NOT_MEANT = 4;

function rankOf({ namespace, name }: Named, words: string): number {
  const slash = words.indexOf('/');
  if (slash !== -1 && !namespace.startsWith(words.slice(0, slash))) return NOT_MEANT;
  const wanted = words.slice(slash + 1);
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  if (name.includes(wanted)) return 2;
  return namespace.startsWith(words) ? 3 : NOT_MEANT;
}

/** By id, as `orders…1e07`, or by address. */
export function* findInstances<One extends Found>(instances: Iterable<One>, typed: string): Iterable<One> {
  const words = wordsOf(typed);
  const slash = words.indexOf('/');
  const wanted = words.slice(slash + 1);
  if (wanted === '') return;
  for (const instance of instances) {
    if (slash !== -1 && instance.namespace !== words.slice(0, slash)) continue;
    if (isMeant(instance, wanted)) yield instance;
  }
}

function isMeant({ id, service, endpoints }: Found, words: string): boolean {
  const parts = printedParts(words);
  if (parts !== null) return service === parts.name && id.endsWith(parts.tail);
  // every id begins with the name, which the service has been found by
  const own = id.startsWith(`${service}-`) ? id.slice(service.length + 1) : id;
  return own.includes(words) || id === words || endpoints.some((endpoint) => addressOf(endpoint).includes(words));
}

/** True if this is its whole id, its whole address, or its host. */
export function isExactly({ id, endpoints }: Pick<Instance, 'id' | 'endpoints'>, typed: string): boolean {
  const words = wordsOf(typed);
  return id === words || endpoints.some((endpoint) => addressOf(endpoint) === words || endpoint.host === words);
}
