import { nearest, RollcallError } from '@rollcall/core';
import type { Instance, InstanceId } from '@rollcall/core';
import { shortName, shortNames } from '../terminal/texts.js';
import { recordsAt } from './json.js';
import { checkNamespace, namesOf, namespacesOf } from './namespaces.js';
import type { RegistryApi, Whereabouts } from './registry-api.js';

type Named = Pick<Instance, 'id' | 'service'>;
type NamespacedInstance = Pick<Instance, 'id' | 'service' | 'namespace'>;

/** The maximum number of names that are listed if several match. */
const MAX_LISTED = 5;

/**
 * The instances that a typed text can mean: a whole id, one as it is printed (`orders…1e07`, without UTF-8
 * `orders~1e07`), `orders-1e07`, or any end of an id. A whole id means one; else all that match.
 */
export function matchInstances<Item extends Named>(typed: string, instances: readonly Item[]): readonly Item[] {
  const exact = instances.filter(({ id }) => id === typed);
  if (exact.length > 0) return exact;
  const parts = /^(.+?)(?:…|\.\.\.|~)(.+)$/.exec(typed);
  if (parts !== null) return matchShortName(instances, parts[1] ?? '', parts[2] ?? '');
  const dashed = [...typed.matchAll(/-/g)].flatMap(({ index }) =>
    matchService(instances, typed.slice(0, index), typed.slice(index + 1)),
  );
  return dashed.length > 0 ? dashed : instances.filter(({ id }) => id.endsWith(typed));
}

/** A narrow terminal shows only the start of a service's name. */
function matchShortName<Item extends Named>(instances: readonly Item[], service: string, end: string): readonly Item[] {
  const exact = matchService(instances, service, end);
  if (exact.length > 0) return exact;
  return instances.filter((item) => item.service.startsWith(service) && item.id.endsWith(end));
}

function matchService<Item extends Named>(instances: readonly Item[], service: string, end: string): readonly Item[] {
  return end === '' ? [] : instances.filter((item) => item.service === service && item.id.endsWith(end));
}

/** Every instance of a namespace, in any state. Rejects as the routes do. */
async function allInstances(api: RegistryApi): Promise<readonly Instance[]> {
  const names = await api.services();
  const answers = await Promise.all(names.map((name) => api.service(name)));
  return answers.flatMap(({ instances }) => instances);
}

/** A resolved instance: its whole id and its printed name. */
export interface ResolvedInstance {
  readonly id: InstanceId;
  readonly name: string;
  /** The same registry, for the namespace of the instance. */
  readonly api: RegistryApi;
}

/**
 * Resolves the typed text to an instance in the namespace of `api`, or in the one that is typed before it
 * (`staging/orders…1e07`); a whole id is found in any. Rejects with OPTION_INVALID if several match, and with
 * REGISTRY_REFUSED if none does, with the namespaces where one would. `gone`: whether it may be one that was removed
 * recently.
 */
export async function resolveInstance(
  typed: string,
  api: RegistryApi,
  gone: 'refused' | 'allowed' = 'refused',
): Promise<ResolvedInstance> {
  const { name, namespace } = splitNamespace(typed);
  if (namespace !== null)
    return resolveInstance(name, api.within(expandNamespace(namespace, await api.everywhere())), gone);
  const instances = await allInstances(api);
  const matches = matchInstances(typed, instances);
  const [only, other] = matches;
  if (only !== undefined && other === undefined) return toResolved(only, instances, api);
  if (only !== undefined) throw ambiguousError(typed, matches);
  const removed = gone === 'allowed' ? matchInstances(typed, await recentlyRemoved(api)) : [];
  if (removed[0] !== undefined && removed[1] === undefined) return toResolved(removed[0], removed, api);
  if (removed.length > 0) throw ambiguousError(typed, removed);
  return resolveElsewhere(typed, api, { here: instances, gone });
}

/** The typed text without the namespace before it: `staging/orders…1e07`; null: none was given. */
export function splitNamespace(typed: string): { readonly namespace: string | null; readonly name: string } {
  const slash = typed.indexOf('/');
  return slash > 0
    ? { namespace: typed.slice(0, slash), name: typed.slice(slash + 1) }
    : { namespace: null, name: typed };
}

/**
 * Expands the start of a namespace, as a narrow terminal shows it: `team-p…`. Throws OPTION_INVALID if several match.
 */
export function expandNamespace(typed: string, known: readonly Pick<Whereabouts, 'namespace'>[]): string {
  const [, beginning] = /^(.+?)(?:…|\.\.\.|~)$/.exec(typed) ?? [];
  if (beginning === undefined) return typed;
  const matches = namespacesOf(known).filter((name) => name.startsWith(beginning));
  const [only, other] = matches;
  if (only === undefined || other === undefined) return only ?? typed;
  const listed = matches.slice(0, MAX_LISTED).join(', ');
  const hidden = matches.length > MAX_LISTED ? `, and ${matches.length - MAX_LISTED} more` : '';
  const text = `"${typed}" may be any of ${matches.length} namespaces: ${listed}${hidden}. Write more of its name.`;
  throw new RollcallError('OPTION_INVALID', text);
}

const toResolved = (instance: Named, among: readonly Named[], api: RegistryApi): ResolvedInstance => ({
  id: instance.id,
  name: shortName(instance, among),
  api,
});

/** No instance of this namespace matches. */
async function resolveElsewhere(
  typed: string,
  api: RegistryApi,
  { here, gone }: { readonly here: readonly Named[]; readonly gone: 'refused' | 'allowed' },
): Promise<ResolvedInstance> {
  checkNamespace(api, await api.everywhere());
  const everywhere = api.within('*');
  const removed = gone === 'allowed' ? await recentlyRemoved(everywhere) : [];
  const live = await allInstances(everywhere);
  const all = uniqueById([...live, ...removed]);
  const matches = matchInstances(typed, all);
  const [only, other] = matches;
  if (only === undefined) throw noInstanceError(typed, here.length > 0 ? here : all, api.url);
  if (other === undefined && only.id === typed) return toResolved(only, all, api.within(only.namespace));
  const names = namesOf(matches, other !== undefined);
  const listed = [...names.values()].slice(0, MAX_LISTED).join(', ');
  const where = other === undefined ? `${listed} in namespace ${only.namespace}` : listed;
  throw new RollcallError('REGISTRY_REFUSED', `"${typed}" is ${where}: --namespace ${only.namespace}.`);
}

/** Unique by id: the same id may be removed, registered and removed again. */
const uniqueById = (all: readonly NamespacedInstance[]): readonly NamespacedInstance[] => [
  ...new Map(all.map((instance) => [instance.id, instance])).values(),
];

/** The instances whose removal is among the newest 1,000. */
async function recentlyRemoved(api: RegistryApi): Promise<readonly NamespacedInstance[]> {
  const answer = await api.events([
    ['kind', 'removed'],
    ['limit', '1000'],
  ]);
  const removed = recordsAt(answer, 'events').flatMap(({ instance, service, namespace }) =>
    typeof instance === 'string' && typeof service === 'string' && typeof namespace === 'string'
      ? [{ id: instance, service, namespace }]
      : [],
  );
  return uniqueById(removed);
}

/** The error for a text that matches no instance at `url`. */
export function noInstanceError(typed: string, instances: readonly Named[], url: string): RollcallError {
  const names = instances.flatMap(({ id, service }) => [id, `${service}-${id.slice(-4)}`]);
  const close = nearest(typed, names);
  const hint = close === null ? `List instances: rollcall ls --url ${url}.` : `Did you mean ${close}?`;
  return new RollcallError('REGISTRY_REFUSED', `There is no instance "${typed}" at ${url}. ${hint}`);
}

function ambiguousError(typed: string, matches: readonly Named[]): RollcallError {
  const names = [...shortNames(matches).values()];
  const listed = names.slice(0, MAX_LISTED).join(', ');
  const hidden = names.length > MAX_LISTED ? `, and ${names.length - MAX_LISTED} more` : '';
  return new RollcallError(
    'OPTION_INVALID',
    `"${typed}" may be any of ${names.length}: ${listed}${hidden}. Write more of its end, or the whole id.`,
  );
}
