/** What the search finds by what is typed: names, ids as they are printed, addresses; before them a namespace and `/`. */
import { addressOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { printedParts } from '../text/words.js';

interface Named {
  readonly namespace: string;
  readonly name: string;
}

type Found = Pick<Instance, 'id' | 'namespace' | 'service' | 'endpoints'>;

const wordsOf = (typed: string): string => typed.toLowerCase().trim();

/** By name, the exact one first, then those that begin so; then all of a namespace of that name. */
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

/** An instance that is typed exactly, by its id, an address or a host, comes before everything but a service of that very name. */
export interface Hits<Service, One> {
  /** Instances that are meant exactly. */
  readonly exact: readonly One[];
  /** Services, the exact one first. */
  readonly services: readonly Service[];
  /** The other instances. */
  readonly instances: readonly One[];
}

/** What the search shows, best first; each list at most `most` long. */
export function findHits<Service extends Named, One extends Found>(
  services: readonly Service[],
  instances: Iterable<One>,
  { typed, most }: { readonly typed: string; readonly most: number },
): Hits<Service, One> {
  const exact: One[] = [];
  const others: One[] = [];
  const { namespace, wanted } = partsOf(typed);
  for (const instance of findInstances(instances, typed)) {
    if (isExact(instance, wanted)) exact.push(instance);
    else if (others.length < most) others.push(instance);
  }
  const found = findServices(services, typed);
  const isName = found.some((service) => service.name === wanted && (namespace === null || namespace === service.namespace));
  return isName
    ? { exact: [], services: found.slice(0, most), instances: [...exact, ...others].slice(0, most) }
    : { exact: exact.slice(0, most), services: found.slice(0, most), instances: others };
}

function isExact({ id, endpoints }: Found, words: string): boolean {
  return id.toLowerCase() === words || endpoints.some((endpoint) => endpoint.host === words || addressOf(endpoint) === words);
}

/** By id, as `orders…1e07`, or by address. */
export function* findInstances<One extends Found>(instances: Iterable<One>, typed: string): Iterable<One> {
  const { namespace, wanted } = partsOf(typed);
  if (wanted === '') return;
  for (const instance of instances) {
    if (namespace !== null && instance.namespace !== namespace) continue;
    if (isMeant(instance, wanted)) yield instance;
  }
}

/** `staging/ord` is the namespace `staging` and `ord`; a namespace of null: none is typed. */
function partsOf(typed: string): { readonly namespace: string | null; readonly wanted: string } {
  const words = wordsOf(typed);
  const slash = words.indexOf('/');
  return { namespace: slash === -1 ? null : words.slice(0, slash), wanted: words.slice(slash + 1) };
}

function isMeant({ id, service, endpoints }: Found, words: string): boolean {
  const parts = printedParts(words);
  if (parts !== null) return service === parts.name && id.endsWith(parts.tail);
  // every id begins with the name, which the service has been found by
  const own = id.startsWith(`${service}-`) ? id.slice(service.length + 1) : id;
  return own.includes(words) || id === words || endpoints.some((endpoint) => addressOf(endpoint).includes(words));
}
