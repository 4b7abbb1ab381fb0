/** Selects and sorts the instances and services of the lists, by the address. */
import type { Instance, State } from '@rollcall/core';
import { addressOf, countCallable, isCallable, isOutage } from '@rollcall/core';
import { byTrouble, servicesByTrouble } from '../live/roll.js';
import type { ServiceNode } from '../live/roll.js';
import { printedParts } from '../text/instance-text.js';
import type { CircuitsById } from './circuits.js';
import type { Filters } from './route.js';

/** Filters of the list of instances that compare one field; an empty one matches everything. */
export const FIELDS = ['admin', 'zone', 'version'] as const;

const addressTexts = ({ endpoints }: Instance): string[] => endpoints.map(addressOf);

/**
 * `state`: one or more, separated by commas · `service`: its name, alone or as `<namespace>/<name>` · `callable`: `yes`
 * or `no` · `q`: terms that all occur in the name, id, version, zone, namespace, address or metadata, in any case;
 * `orders…1e07` fits as it is printed · `weight`: a number. The namespace (`ns`) and `circuit` are for the caller.
 */
export function instanceFilter(filters: Filters): (instance: Instance) => boolean {
  const states = new Set((filters['state'] ?? '').split(',').filter((term) => term !== ''));
  const terms = searchTerms(filters['q']);
  const { callable, weight = '' } = filters;
  return (instance) => {
    if (states.size > 0 && !states.has(instance.state)) return false;
    if (callable !== undefined && callable !== '' && isCallable(instance) !== (callable === 'yes')) return false;
    if (weight !== '' && String(instance.weight) !== weight) return false;
    if (!isService(instance, filters['service'] ?? '')) return false;
    if (FIELDS.some((field) => (filters[field] ?? '') !== '' && instance[field] !== filters[field])) return false;
    return terms.length === 0 || containsAll(instance, terms);
  };
}

/** True if it is of that service, or of one of that name. Empty: true. */
const isService = ({ namespace, service }: Instance, text: string): boolean =>
  text === '' || text === service || text === `${namespace}/${service}`;

const searchTerms = (typed: string | undefined): string[] =>
  (typed ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter((term) => term !== '');

function containsAll(instance: Instance, terms: readonly string[]): boolean {
  const { id, service, namespace, version, zone, metadata } = instance;
  const fields = [service, id, version, zone, namespace, ...addressTexts(instance), ...Object.values(metadata)];
  const text = fields.join('\n').toLowerCase();
  return terms.every((term) => {
    const parts = printedParts(term);
    return parts === null ? text.includes(term) : service.includes(parts.name) && id.toLowerCase().endsWith(parts.tail);
  });
}

/** Sort keys of the list of instances; with a `-` before it the order is reversed. */
export const INSTANCE_SORTS = [
  'state',
  'instance',
  'admin',
  'callable',
  'circuits',
  'version',
  'zone',
  'namespace',
  'address',
  'since',
] as const;
export type InstanceSort = (typeof INSTANCE_SORTS)[number];

type Compare<Row> = (one: Row, other: Row) => number;

const byText =
  (textOf: (instance: Instance) => string): Compare<Instance> =>
  (one, other) => {
    const [a, b] = [textOf(one), textOf(other)];
    if (a === b) return 0;
    return a < b ? -1 : 1;
  };

const COMPARE: Readonly<Record<Exclude<InstanceSort, 'circuits'>, Compare<Instance>>> = {
  state: byTrouble,
  instance: byText(({ service, id }) => `${service}/${id}`),
  admin: byText(({ admin }) => admin),
  callable: (a, b) => Number(isCallable(a)) - Number(isCallable(b)) || a.weight - b.weight,
  version: byText(({ version }) => version),
  zone: byText(({ zone }) => zone),
  namespace: byText(({ namespace }) => namespace),
  address: byText((instance) => addressTexts(instance)[0] ?? ''),
  since: (a, b) => b.since - a.since,
};

/** The order in the address; anything else is the default: the worst first. */
export function parseSort<Choice extends string>(
  choices: readonly Choice[],
  typed: string | undefined,
): readonly [Choice | null, boolean] {
  const isDescending = typed?.startsWith('-') === true;
  return [choices.find((choice) => choice === typed?.replace(/^-/, '')) ?? null, isDescending];
}

const byCircuits =
  (circuits: CircuitsById): Compare<Instance> =>
  ({ id: a }, { id: b }) =>
    (circuits.get(b)?.open ?? -1) - (circuits.get(a)?.open ?? -1);

/**
 * Returns a new list. Equal ones are in the order of trouble; by `circuits`, those with the most open circuits come
 * first.
 */
export function sortInstances(
  instances: readonly Instance[],
  typed: string | undefined,
  circuits: CircuitsById = new Map(),
): Instance[] {
  const [sort, isDescending] = parseSort(INSTANCE_SORTS, typed);
  const compare = sort === 'circuits' ? byCircuits(circuits) : COMPARE[sort ?? 'state'];
  const sign = isDescending ? -1 : 1;
  return instances.toSorted((a, b) => sign * compare(a, b) || byTrouble(a, b));
}

/** Sort keys of the list of services. */
export const SERVICE_SORTS = ['trouble', 'rate', 'name'] as const;
export type ServiceSort = (typeof SERVICE_SORTS)[number];

/**
 * `q`: terms that all occur in the name · `state`: the state of one of its instances · `callable=no`: none of its instances is
 * callable.
 */
export const serviceFilter =
  (filters: Filters): ((node: ServiceNode) => boolean) =>
  (node) =>
    searchTerms(filters['q']).every((term) => node.name.includes(term)) &&
    hasInstanceIn(node, filters['state'] ?? '') &&
    (filters['callable'] !== 'no' || hasNoneCallable(node));

/** True if one of its instances is in that state. Empty: true. */
export function hasInstanceIn(node: ServiceNode, state: string): boolean {
  return state === '' || [...node.instances.value.values()].some((instance) => instance.state === (state as State));
}

/** True if it has instances, none of which is callable. */
export const hasNoneCallable = ({ instances }: ServiceNode): boolean =>
  isOutage(countCallable(instances.value.values()));

/** `rateOf`: calls per second; null: none were reported. */
export function sortServices(
  nodes: readonly ServiceNode[],
  typed: string | undefined,
  rateOf: (node: ServiceNode) => number | null,
): ServiceNode[] {
  const [sort] = parseSort(SERVICE_SORTS, typed);
  const troubled = servicesByTrouble(nodes);
  if (sort === 'name') return [...nodes]; // in the order of the roll
  if (sort !== 'rate') return troubled;
  const rates = new Map(troubled.map((node) => [node, rateOf(node) ?? -1]));
  return troubled.toSorted((a, b) => (rates.get(b) ?? 0) - (rates.get(a) ?? 0));
}
