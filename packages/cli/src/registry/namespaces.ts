/** Namespaces: the existing ones, the place of a name, and printed names if there are several. */
import { DEFAULT_NAMESPACE, nearest, RollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { shortNames } from '../terminal/texts.js';
import type { Whereabouts } from './registry-api.js';

/** Further names are counted. */
const MAX_LISTED = 5;

/** Sorted. */
export const namespacesOf = (known: readonly Pick<Whereabouts, 'namespace'>[]): readonly string[] =>
  [...new Set(known.map(({ namespace }) => namespace))].toSorted();

/** True if each row needs its namespace. */
export const hasSeveralNamespaces = (known: readonly Pick<Whereabouts, 'namespace'>[]): boolean =>
  namespacesOf(known).length > 1;

/** Throws REGISTRY_REFUSED for a namespace without services. `default` always exists. */
export function checkNamespace({ namespace, url }: NamespaceScope, known: readonly Whereabouts[]): void {
  if (!isUnknownNamespace(namespace, known)) return;
  throw new RollcallError('REGISTRY_REFUSED', unknownNamespaceText({ namespace, url }, known));
}

interface NamespaceScope {
  readonly namespace: string;
  readonly url: string;
}

export function isUnknownNamespace(namespace: string, known: readonly Whereabouts[]): boolean {
  return (
    namespace !== '*' && namespace !== DEFAULT_NAMESPACE && !known.some((service) => service.namespace === namespace)
  );
}

/** `There is no namespace "nope" at http://…; there are default, staging.` */
export function unknownNamespaceText({ namespace, url }: NamespaceScope, known: readonly Whereabouts[]): string {
  const names = namespacesOf(known);
  const existing =
    names.length === 0 ? ': nothing is registered' : `; there ${names.length === 1 ? 'is' : 'are'} ${listText(names)}`;
  return `There is no namespace "${namespace}" at ${url}${existing}.`;
}

/** The error text for a service that is not in this namespace: the namespaces that have it, or a suggestion. */
export function unknownServiceText(
  service: string,
  { namespace, url }: NamespaceScope,
  known: readonly Whereabouts[],
): string {
  if (isUnknownNamespace(namespace, known)) return unknownNamespaceText({ namespace, url }, known);
  const isSingleNamespace =
    !hasSeveralNamespaces(known) && known.every((candidate) => candidate.namespace === namespace);
  const text = `There is no service "${service}"${isSingleNamespace || namespace === '*' ? '' : ` in namespace ${namespace}`}.`;
  const homes = namespacesOf(known.filter(({ name }) => name === service));
  if (homes[0] !== undefined) return `${text} ${service} is in namespace ${listText(homes)}: --namespace ${homes[0]}.`;
  const here = known.filter((candidate) => namespace === '*' || candidate.namespace === namespace);
  const suggestion = nearest(
    service,
    here.map(({ name }) => name),
  );
  if (suggestion !== null) return `${text} Did you mean ${suggestion}?`;
  const distant = nearest(
    service,
    known.map(({ name }) => name),
  );
  const home = known.find(({ name }) => name === distant)?.namespace;
  if (distant !== null && home !== undefined)
    return `${text} Did you mean ${distant} in namespace ${home} (--namespace ${home})?`;
  return `${text} List services: rollcall ls --all-namespaces.`;
}

/** The text for an empty list of all services: others may be in other namespaces. */
export function emptyListText({ namespace, url }: NamespaceScope, known: readonly Whereabouts[]): string {
  const [other] = namespacesOf(known);
  if (other === undefined || namespace === '*') return `No service is registered at ${url}.`;
  return `No service is registered in namespace ${namespace} at ${url}; there are services in ${listText(namespacesOf(known))}: --namespace ${other}, or --all-namespaces.`;
}

/**
 * `Only namespace default; 11 services in trouble in 3 others: -A`. Empty: there is no other one, or all are asked for.
 */
export function otherNamespacesText(namespace: string, known: readonly Whereabouts[]): string {
  const others = namespace === '*' ? [] : known.filter((service) => service.namespace !== namespace);
  const spaces = namespacesOf(others).length;
  if (spaces === 0) return '';
  const troubled = others.filter(({ isTroubled = false }) => isTroubled).length;
  const count = troubled === 0 ? 'no service is' : `${troubled} ${troubled === 1 ? 'service' : 'services'}`;
  return `Only namespace ${namespace}; ${count} in trouble in ${spaces} ${spaces === 1 ? 'other' : 'others'}: -A`;
}

function listText(names: readonly string[]): string {
  const hiddenCount = names.length - MAX_LISTED;
  return `${names.slice(0, MAX_LISTED).join(', ')}${hiddenCount > 0 ? ` and ${hiddenCount} more` : ''}`;
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
