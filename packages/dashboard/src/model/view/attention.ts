/** Instances that need attention, start or leave: one row per service and cause. */
import { isOutage } from '@rollcall/core';
import type { Instance, OverrideTerms } from '@rollcall/core';
import type { Overrides } from '../live/answers.js';
import { byTrouble, isOnTheWay, needsAttention, standingOf } from '../live/roll.js';
import type { ServiceNode } from '../live/roll.js';
import { awayTerms, shownSince } from '../text/callable-text.js';
import { reasonText } from '../text/instance-text.js';
import type { Filters } from './route.js';

/** Instances of one service with the same problem for the same reason. */
export interface Cause {
  /** Does not change as long as the first of them, by id, stays. */
  readonly key: string;
  readonly node: ServiceNode;
  /** The worst of them. */
  readonly first: Instance;
  /** All of them, worst first. */
  readonly instances: readonly Instance[];
  /** True if an operator keeps them away, and no instance of the service is callable. */
  readonly isKeptAway: boolean;
}

/**
 * Causes that need attention: first instances that an operator keeps away while none of the service is callable, then
 * those that are CRITICAL or UNHEALTHY, worst first; then those that start or leave. `overrides`: settings of other
 * operators, or with other reasons, are other causes.
 */
export function attentionOf(
  nodes: readonly ServiceNode[],
  overrides: Overrides,
): { readonly trouble: readonly Cause[]; readonly onTheWay: readonly Cause[] } {
  const trouble: Cause[] = [];
  const onTheWay: Cause[] = [];
  for (const node of nodes) {
    const isOut = isOutage(standingOf(node.instances.value).count);
    for (const cause of causesOf(node, isOut, overrides)) {
      if (cause.isKeptAway || needsAttention(cause.first)) trouble.push(cause);
      else onTheWay.push(cause);
    }
  }
  const isOut = new Set(trouble.filter(({ isKeptAway }) => isKeptAway).map(({ node }) => node));
  const byOutage = (a: Cause, b: Cause): number => Number(isOut.has(b.node)) - Number(isOut.has(a.node));
  const byWorst = ({ first: a }: Cause, { first: b }: Cause): number => byTrouble(a, b);
  return {
    trouble: trouble.toSorted((a, b) => byOutage(a, b) || byWorst(a, b)),
    onTheWay: onTheWay.toSorted(byWorst),
  };
}

/** The instances of a service that an operator keeps away, grouped by operator and reason. */
export function actionsOf(node: ServiceNode, overrides: Overrides): readonly Cause[] {
  return causesOf(node, true, overrides).filter(({ isKeptAway }) => isKeptAway);
}

function causesOf(node: ServiceNode, isOut: boolean, overrides: Overrides): Cause[] {
  const groups = new Map<string, { readonly isKeptAway: boolean; readonly instances: Instance[] }>();
  for (const instance of node.instances.value.values()) {
    const isKeptAway = isOut && instance.admin !== 'ENABLED';
    if (!isKeptAway && !needsAttention(instance) && !isOnTheWay(instance)) continue;
    const cause = isKeptAway
      ? actionKeyOf(instance, overrides)
      : [instance.admin, instance.state, reasonText(instance)];
    const name = JSON.stringify([isKeptAway, ...cause]);
    const group = groups.get(name) ?? { isKeptAway, instances: [] };
    group.instances.push(instance);
    groups.set(name, group);
  }
  return [...groups.values()].map(({ isKeptAway, instances }) => ({
    key: instances.map(({ id }) => id).reduce((a, b) => (a < b ? a : b)),
    node,
    first: instances.reduce((a, b) => (byTrouble(a, b) < 0 ? a : b)),
    instances: instances.toSorted(byTrouble),
    isKeptAway,
  }));
}

/** The parts that distinguish one action of an operator from another. */
function actionKeyOf(instance: Instance, overrides: Overrides): readonly string[] {
  const terms = awayTerms(instance, overrides.get(instance.id) ?? null);
  return [instance.admin, ...(terms === null ? [] : [terms.by, terms.reason])];
}

/** A link to the list of instances: those of a cause, and others only if their state or admin state is the same. */
export function filtersOf({ node, first, isKeptAway }: Cause): Filters {
  return {
    ns: node.namespace,
    service: node.name,
    ...(isKeptAway ? { admin: first.admin } : { state: first.state }),
  };
}

export const countInstances = (causes: readonly Cause[]): number =>
  causes.reduce((sum, { instances }) => sum + instances.length, 0);

const dueAt = ({ since, next }: Instance): number => (next === null ? Infinity : since + next.afterMs);

/** The instance of a cause that the registry acts on first. */
export function soonestOf({ instances }: Cause): Instance {
  return instances.reduce((soonest, instance) => (dueAt(instance) < dueAt(soonest) ? instance : soonest));
}

/** The start of a cause, wall clock in ms: that of its first instance. Null: unknown. */
export function sinceOf({ instances }: Cause, overrides: Overrides): number | null {
  const known = instances
    .map((instance) => shownSince(instance, overrides.get(instance.id) ?? null))
    .filter((since) => since !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** The operators' settings of the admin state of its instances, as far as known. */
export const termsIn = ({ instances }: Pick<Cause, 'instances'>, overrides: Overrides): readonly OverrideTerms[] =>
  instances
    .map((instance) => awayTerms(instance, overrides.get(instance.id) ?? null))
    .filter((terms) => terms !== null);
