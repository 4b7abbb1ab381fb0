import { callableText, countCallable, isOutage, notCallableText } from '@rollcall/core';
import type { CallableCount, Instance } from '@rollcall/core';
import { shortened } from './columns.js';

type Named = Pick<Instance, 'namespace' | 'service'>;

/** How the service of an instance is named: with its namespace where there are several. */
export const serviceIn =
  (hasNamespaces = false) =>
  ({ namespace, service }: Named): string =>
    hasNamespaces ? `${namespace}/${service}` : service;

/** Of each service how many of its instances callers may call, by name. */
export function countsOf(instances: readonly Instance[], hasNamespaces = false): ReadonlyMap<string, CallableCount> {
  const nameOf = serviceIn(hasNamespaces);
  const members = new Map<string, Instance[]>();
  for (const instance of instances) {
    const name = nameOf(instance);
    const known = members.get(name);
    if (known === undefined) members.set(name, [instance]);
    else known.push(instance);
  }
  const names = [...members.keys()].toSorted();
  return new Map(names.map((name) => [name, countCallable(members.get(name) ?? [])]));
}

/** Services that have instances of which none may be called. */
export function outagesIn(counts: ReadonlyMap<string, CallableCount>): readonly string[] {
  return [...counts].filter(([, count]) => isOutage(count)).map(([name]) => name);
}

/** `Nobody of orders may be called: 2 drained.` `when`: of an old view, since when. Empty: there is no outage. */
export function outageText(counts: ReadonlyMap<string, CallableCount>, when: string | null = null): string {
  const names = outagesIn(counts);
  const [first] = names;
  const count = first === undefined ? undefined : counts.get(first);
  if (count === undefined) return '';
  const why = names.length === 1 ? `: ${notCallableText(count)}` : '';
  const verb = when === null ? 'may be called' : `could be called at ${when}`;
  return `Nobody of ${names.join(', ')} ${verb}${why}.`;
}

/** Of more services the rest is counted. */
const MOST_LINES = 10;

/**
 * `orders: 0 of 2 callable: 2 drained`: a line for each service of which not everybody may be called, those with the fewest first. `width`:
 * the name is cut where the line would be wider.
 */
export function shortageLines(
  instances: readonly Instance[],
  hasNamespaces = false,
  width: number = Infinity,
): readonly string[] {
  const short = [...countsOf(instances, hasNamespaces)]
    .filter(([, { all, callable }]) => callable < all)
    .toSorted(([, one], [, other]) => one.callable / one.all - other.callable / other.all);
  const lines = short.slice(0, MOST_LINES).map(([name, count]) => {
    const text = callableText(count);
    return `${shortened(name, Math.max(LEAST_NAME, width - text.length - 2))}: ${text}`;
  });
  const rest = short.length - lines.length;
  return rest === 0 ? lines : [...lines, `and ${rest} more ${rest === 1 ? 'service' : 'services'}`];
}

/** Columns of a name that is cut. */
const LEAST_NAME = 12;

export const isAway = ({ admin }: Pick<Instance, 'admin'>): boolean => admin !== 'ENABLED';
