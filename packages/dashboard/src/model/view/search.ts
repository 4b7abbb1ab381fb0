/** Searches by typed text: names, ids as they are printed, addresses; before them a namespace and `/`. */
import { addressOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { printedParts } from '../text/instance-text.js';

interface Named {
  readonly namespace: string;
  readonly name: string;
}

type Found = Pick<Instance, 'id' | 'namespace' | 'service' | 'endpoints'>;

const normalized = (typed: string): string => typed.toLowerCase().trim();

/** Finds by name, the exact one first, then those that start with it; then all of a namespace of that name. */
export function findServices<Item extends Named>(services: readonly Item[], typed: string): readonly Item[] {
  const text = normalized(typed);
  if (text === '') return [];
  const ranked = services.map((service) => ({ service, rank: rankOf(service, text) }));
  return ranked
    .filter(({ rank }) => rank < NO_MATCH)
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ service }) => service);
}

const NO_MATCH = 4;

function rankOf({ namespace, name }: Named, text: string): number {
  const slash = text.indexOf('/');
  if (slash !== -1 && !namespace.startsWith(text.slice(0, slash))) return NO_MATCH;
  const wanted = text.slice(slash + 1);
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  if (name.includes(wanted)) return 2;
  return namespace.startsWith(text) ? 3 : NO_MATCH;
}

/** Finds by id, as `orders…1e07`, or by address. */
export function* findInstances<Item extends Found>(instances: Iterable<Item>, typed: string): Iterable<Item> {
  const text = normalized(typed);
  const slash = text.indexOf('/');
  const wanted = text.slice(slash + 1);
  if (wanted === '') return;
  for (const instance of instances) {
    if (slash !== -1 && instance.namespace !== text.slice(0, slash)) continue;
    if (isMatch(instance, wanted)) yield instance;
  }
}

function isMatch({ id, service, endpoints }: Found, text: string): boolean {
  const parts = printedParts(text);
  if (parts !== null) return service === parts.name && id.endsWith(parts.tail);
  // every id begins with the name, which the service has been found by
  const own = id.startsWith(`${service}-`) ? id.slice(service.length + 1) : id;
  return own.includes(text) || id === text || endpoints.some((endpoint) => addressOf(endpoint).includes(text));
}

/** True if this is its whole id, its whole address, or its host. */
export function isExactMatch({ id, endpoints }: Pick<Instance, 'id' | 'endpoints'>, typed: string): boolean {
  const text = normalized(typed);
  return id === text || endpoints.some((endpoint) => addressOf(endpoint) === text || endpoint.host === text);
}
