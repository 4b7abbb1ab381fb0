/** Selects the edges of the topology by the filters in the address. */
import type { ServiceEdge } from '../live/answers.js';
import { plural, rateText } from '../text/age.js';
import { isIdle, isImpaired } from './edge.js';
import type { Filters } from './route.js';

type Ends = Pick<ServiceEdge, 'namespace' | 'from' | 'to'>;

export const fromKey = ({ namespace, from }: Ends): string => `${namespace}/${from}`;
export const toKey = ({ namespace, to }: Ends): string => `${namespace}/${to}`;

/** `<namespace>/<name>` of all services that call or are called, sorted. */
export const servicesOf = (edges: readonly Ends[]): readonly string[] =>
  [...new Set(edges.flatMap((edge) => [fromKey(edge), toKey(edge)]))].toSorted();

/** The services that `text` means: `<namespace>/<name>`, or a name, which several namespaces may have. Empty: all. */
export const matchServices = (text: string, services: readonly string[]): readonly string[] =>
  text === '' ? services : services.filter((key) => key === text || key.slice(key.indexOf('/') + 1) === text);

/** Edges that fit the filters, those that are idle included. */
export function fittingEdges(edges: readonly ServiceEdge[], filters: Filters): readonly ServiceEdge[] {
  const wanted = filters['service'] ?? '';
  const matches = new Set(wanted === '' ? [] : matchServices(wanted, servicesOf(edges)));
  return edges.filter(
    (edge) =>
      (filters['only'] !== 'unhealthy' || isImpaired(edge)) &&
      (wanted === '' || matches.has(fromKey(edge)) || matches.has(toKey(edge))),
  );
}

/** The same without idle ones, unless the filters show them. */
export const shownEdges = (fitting: readonly ServiceEdge[], filters: Filters): readonly ServiceEdge[] =>
  filters['idle'] === 'shown' ? fitting : fitting.filter((edge) => !isIdle(edge));

/** Callers of a service that the filters leave out: how many of all that call it. */
export function hiddenCallers(key: string, all: readonly Ends[], shown: readonly Ends[]): number {
  const callersIn = (edges: readonly Ends[]): number =>
    new Set(edges.filter((edge) => toKey(edge) === key).map(fromKey)).size;
  return callersIn(all) - callersIn(shown);
}

/**
 * The line beside a service of the picture: calls per second of the callers that are drawn (null: none) and the number
 * of hidden ones. `entry` is a service without callers, also beyond the filters.
 */
export function callersText(perSecond: number | null, hidden: number): string {
  const rate = perSecond === null ? '' : `${rateText(perSecond)}/s`;
  if (hidden === 0) return rate === '' ? 'entry' : rate;
  return rate === '' ? `+${plural(hidden, 'caller')} not shown` : `${rate} +${hidden} not shown`;
}
