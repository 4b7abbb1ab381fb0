import type { Node } from './nodes/node.js';
import { isSelected } from './nodes/selector.js';
import type { Selector } from './nodes/selector.js';
import { Candidates } from './pickers/candidates.js';
import { hasRecentSuccess, TIER_COUNT, tierOf, tierUntil } from './tiers.js';
import type { TierContext } from './tiers.js';

/** How one caller chooses among instances of the same tier. */
export interface Preferences {
  /** The zone of this process; empty: unknown or not used. */
  readonly zone: string;
  /** With fewer HEALTHY instances than this, the zone is too small for all of its callers. */
  readonly minInZone: number;
  /** How many instances of a large service this caller uses; Infinity: all. */
  readonly subsetSize: number;
}

/** No zone, no subset. */
export const NO_PREFERENCES: Preferences = { zone: '', minInZone: 1, subsetSize: Infinity };

/** A service with fewer instances has no subsets. */
const MIN_SUBSETTED_SERVICE = 100;
/** For a subset of up to this size, insertion is cheaper than sorting all nodes. */
const MAX_INSERTED_SUBSET = 200;

/** Instances of the same tier. */
export interface Tier<N extends Node> {
  readonly number: number;
  readonly preferred: Candidates<N>;
  /** Outside of the zone or the subset: used when none of the preferred instances has room. */
  readonly others: Candidates<N> | null;
}

export interface Arrangement<N extends Node> {
  /** The tiers with at least one instance, lowest first. */
  readonly tiers: readonly Tier<N>[];
  /** The time from which the arrangement may differ without any event; Infinity: never. */
  readonly until: number;
}

/**
 * The callable instances, best first: state × own experience (`tiers.ts`) → version and metadata → capacity guard → zone → subset. It
 * depends on its arguments only; a pick only reads its result.
 */
export function arrange<N extends Node>(
  nodes: readonly N[],
  selector: Selector,
  preferences: Preferences,
  context: TierContext,
): Arrangement<N> {
  const byTier = Array.from({ length: TIER_COUNT }, (): N[] => []);
  const [best = []] = byTier;
  const takesHealthy = takesAllHealthy(selector);
  let count = 0;
  let until = Infinity;
  for (const node of nodes) {
    // most nodes of a large fleet are calm and need no further checks
    if (takesHealthy && node.isCalm) {
      best.push(node);
      count += 1;
      continue;
    }
    if (!isSelected(node.instance, selector)) continue;
    count += 1;
    byTier[tierOf(node, context)]?.push(node);
    until = Math.min(until, tierUntil(node, context));
  }
  const isHealthyHere = countIn(preferences.zone, best) >= preferences.minInZone;
  guardCapacity(byTier, count, context.now);
  const subsetSize = count < MIN_SUBSETTED_SERVICE ? Infinity : preferences.subsetSize;
  const tiers: Tier<N>[] = [];
  byTier.forEach((members, number) => {
    if (members.length === 0) return;
    const weighted = weightedOnly(members);
    const near = number === 0 && isHealthyHere ? inZone(preferences.zone, weighted) : weighted;
    tiers.push(tierFrom(number, weighted, topRanked(near, subsetSize)));
  });
  return { tiers, until };
}

function takesAllHealthy({ states, version, metadata }: Selector): boolean {
  return version === '' && metadata.length === 0 && states.includes('HEALTHY');
}

/**
 * If the best tier has less than half of the callable instances, those instances of the next tier that answered us recently join it, so
 * that a single remaining instance does not get ten times its load. Only an answer to this process proves that they work.
 */
function guardCapacity<N extends Node>(byTier: readonly N[][], count: number, now: number): void {
  const [best, next] = byTier;
  if (best === undefined || next === undefined || best.length === 0 || 2 * best.length >= count) return;
  const doubtful = next.splice(0);
  for (const node of doubtful) (hasRecentSuccess(node, now) ? best : next).push(node);
}

/** Nodes with weight above 0; all of them if every weight is 0. */
function weightedOnly<N extends Node>(nodes: readonly N[]): readonly N[] {
  let areAllWeighted = true;
  for (const node of nodes) areAllWeighted &&= node.weight > 0;
  if (areAllWeighted) return nodes;
  const weighted = nodes.filter((node) => node.weight > 0);
  return weighted.length > 0 ? weighted : nodes;
}

function countIn(zone: string, nodes: readonly Node[]): number {
  if (zone === '') return 0;
  let count = 0;
  for (const node of nodes) if (node.instance.zone === zone) count += 1;
  return count;
}

function inZone<N extends Node>(zone: string, nodes: readonly N[]): readonly N[] {
  const near = nodes.filter((node) => node.instance.zone === zone);
  return near.length > 0 ? near : nodes;
}

/**
 * The `size` nodes with the highest ranks, in one pass where that is cheaper than sorting. Returns all nodes if there are no more than
 * that.
 */
function topRanked<N extends Node>(nodes: readonly N[], size: number): readonly N[] {
  if (nodes.length <= size) return nodes;
  if (size > MAX_INSERTED_SUBSET) return nodes.toSorted((one, other) => other.rank - one.rank).slice(0, size);
  const top: N[] = [];
  for (const node of nodes) {
    const last = top[size - 1];
    if (last !== undefined && last.rank >= node.rank) continue;
    let at = Math.min(top.length, size - 1);
    for (; at > 0 && (top[at - 1]?.rank ?? 0) < node.rank; at -= 1) {
      const moved = top[at - 1];
      if (moved !== undefined) top[at] = moved;
    }
    top[at] = node;
  }
  return top;
}

function tierFrom<N extends Node>(number: number, all: readonly N[], preferred: readonly N[]): Tier<N> {
  if (preferred.length === all.length) return { number, preferred: new Candidates(all), others: null };
  const chosen = new Set(preferred);
  const others = all.filter((node) => !chosen.has(node));
  return { number, preferred: new Candidates(preferred), others: new Candidates(others) };
}
