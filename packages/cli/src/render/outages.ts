import { callableText, countCallable, isOutage, notCallableText } from '@rollcall/core';
import type { AwayState, CallableCount, Instance } from '@rollcall/core';
import { columnsOf, shortened } from '../terminal/columns.js';
import { countText } from '../terminal/texts.js';

type Named = Pick<Instance, 'namespace' | 'service'>;

/** The printed name of the service of an instance: with its namespace if there are several. */
export const serviceIn =
  (hasNamespaces = false) =>
  ({ namespace, service }: Named): string =>
    hasNamespaces ? `${namespace}/${service}` : service;

/** The number of callable instances of each service, by name. */
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

/** The maximum number of services in one sentence; the others are counted. */
const MAX_NAMED = 10;

/**
 * `No instance of orders may be called: 2 drained.` `when`: the time of an old view. `width`: a longer sentence starts with
 * the number of services, or has a shorter name, to keep the important part. Empty: no outage.
 */
export function outageText(
  counts: ReadonlyMap<string, CallableCount>,
  when: string | null = null,
  width: number = Infinity,
): string {
  const names = outagesIn(counts);
  const [first] = names;
  const count = first === undefined ? undefined : counts.get(first);
  if (first === undefined || count === undefined) return '';
  const verb = when === null ? 'may be called' : `could be called at ${when}`;
  if (names.length === 1) {
    const predicate = ` ${verb}: ${notCallableText(count)}.`;
    return `No instance of ${shortened(first, Math.max(MIN_NAME_WIDTH, width - 'No instance of '.length - predicate.length))}${predicate}`;
  }
  const text = `No instance of ${names.join(', ')} ${verb}.`;
  if (names.length <= MAX_NAMED && columnsOf(text) <= width) return text;
  const hidden = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  return `No instance of ${names.length} services ${verb}: ${names.slice(0, MAX_NAMED).join(', ')}${hidden}.`;
}

/** Options of the lines about services. */
interface ShortageOptions {
  readonly hasNamespaces?: boolean | undefined;
  /** Columns: the name is cut if the line would be wider. */
  readonly width: number;
  /** The maximum number of services; the others are counted. */
  readonly maxServices: number;
}

/**
 * `orders: 0 of 2 callable: 2 drained`: a line for each service that is not fully callable, those with the fewest
 * callable instances first.
 */
export function shortageLines(
  instances: readonly Instance[],
  { hasNamespaces, width, maxServices }: ShortageOptions,
): readonly string[] {
  const short = [...countsOf(instances, hasNamespaces)]
    .filter(([, { all, callable }]) => callable < all)
    .toSorted(([, a], [, b]) => a.callable / a.all - b.callable / b.all);
  const lines = short.slice(0, maxServices).map(([name, count]) => {
    const text = callableText(count);
    return `${shortened(name, Math.max(MIN_NAME_WIDTH, width - text.length - 2))}: ${text}`;
  });
  const predicate = short.length - lines.length;
  const hidden = `… and ${countText(predicate)} more ${predicate === 1 ? 'service' : 'services'} of which not all are callable`;
  return predicate === 0 ? lines : [...lines, hidden];
}

/** Columns of a name that is cut. */
const MIN_NAME_WIDTH = 12;

/** True if an operator keeps callers away. */
export const isAway = <Of extends Pick<Instance, 'admin'>>(
  instance: Of,
): instance is Of & { readonly admin: AwayState } => instance.admin !== 'ENABLED';
