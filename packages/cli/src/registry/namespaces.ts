/** Namespaces: the existing ones, the place of a name, and printed names if there are several. */
import { DEFAULT_NAMESPACE, nearest, RollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { shortNames } from '../terminal/words.js';
import type { Whereabouts } from './registry-api.js';

/** More are counted. */
const MOST_LISTED = 5;

/** Sorted. */
export const namespacesOf = (known: readonly Pick<Whereabouts, 'namespace'>[]): readonly string[] =>
  [...new Set(known.map(({ namespace }) => namespace))].toSorted();

/** True if each row needs its namespace. */
export const areSeveral = (known: readonly Pick<Whereabouts, 'namespace'>[]): boolean => namespacesOf(known).length > 1;

/** Throws REGISTRY_REFUSED for a namespace without services. `default` always exists. */
export function checkNamespace({ namespace, url }: Where, known: readonly Whereabouts[]): void {
  if (!isUnknown(namespace, known)) return;
  throw new RollcallError('REGISTRY_REFUSED', unknownNamespaceText({ namespace, url }, known));
}

interface Where {
  readonly namespace: string;
  readonly url: string;
}

export function isUnknown(namespace: string, known: readonly Whereabouts[]): boolean {
  return namespace !== '*' && namespace !== DEFAULT_NAMESPACE && !known.some((one) => one.namespace === namespace);
}

/** `There is no namespace "nope" at http://…; there are default, staging.` */
export function unknownNamespaceText({ namespace, url }: Where, known: readonly Whereabouts[]): string {
  const names = namespacesOf(known);
  const rest =
    names.length === 0 ? ': nothing is registered' : `; there ${names.length === 1 ? 'is' : 'are'} ${listed(names)}`;
  return `There is no namespace "${namespace}" at ${url}${rest}.`;
}

/** The service is not in this namespace: where one of that name is, or what was probably meant. */
export function unknownServiceText(service: string, { namespace, url }: Where, known: readonly Whereabouts[]): string {
  if (isUnknown(namespace, known)) return unknownNamespaceText({ namespace, url }, known);
  const isPlain = !areSeveral(known) && known.every((one) => one.namespace === namespace);
  const text = `There is no service "${service}"${isPlain || namespace === '*' ? '' : ` in namespace ${namespace}`}.`;
  const homes = namespacesOf(known.filter(({ name }) => name === service));
  if (homes[0] !== undefined) return `${text} ${service} is in namespace ${listed(homes)}: --namespace ${homes[0]}.`;
  const here = known.filter((one) => namespace === '*' || one.namespace === namespace);
  const meant = nearest(
    service,
    here.map(({ name }) => name),
  );
  if (meant !== null) return `${text} Did you mean ${meant}?`;
  const far = nearest(
    service,
    known.map(({ name }) => name),
  );
  const home = known.find(({ name }) => name === far)?.namespace;
  if (far !== null && home !== undefined)
    return `${text} Did you mean ${far} in namespace ${home} (--namespace ${home})?`;
  return `${text} List services: rollcall ls --all-namespaces.`;
}

/** The text for an empty list of all services: others may be in other namespaces. */
export function emptyListText({ namespace, url }: Where, known: readonly Whereabouts[]): string {
  const [other] = namespacesOf(known);
  if (other === undefined || namespace === '*') return `No service is registered at ${url}.`;
  return `No service is registered in namespace ${namespace} at ${url}; there are services in ${listed(namespacesOf(known))}: --namespace ${other}, or --all-namespaces.`;
}

/**
 * `Only namespace default; 11 services in trouble in 3 others: -A`. Empty: there is no other one, or all are asked for.
 */
export function othersText(namespace: string, known: readonly Whereabouts[]): string {
  const others = namespace === '*' ? [] : known.filter((one) => one.namespace !== namespace);
  const spaces = namespacesOf(others).length;
  if (spaces === 0) return '';
  const troubled = others.filter(({ isTroubled = false }) => isTroubled).length;
  const count = troubled === 0 ? 'no service is' : `${troubled} ${troubled === 1 ? 'service' : 'services'}`;
  return `Only namespace ${namespace}; ${count} in trouble in ${spaces} ${spaces === 1 ? 'other' : 'others'}: -A`;
}

function listed(names: readonly string[]): string {
  const more = names.length - MOST_LISTED;
  return `${names.slice(0, MOST_LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** The short names of instances; if there are several namespaces each begins with its own: `staging/orders…1e07`. */
export function namesOf(
  instances: readonly Pick<Instance, 'id' | 'service' | 'namespace'>[],
  isSeveral: boolean,
): ReadonlyMap<string, string> {
  const names = shortNames(instances);
  if (!isSeveral) return names;
  return new Map(instances.map(({ id, namespace }) => [id, `${namespace}/${names.get(id) ?? id}`]));
}
