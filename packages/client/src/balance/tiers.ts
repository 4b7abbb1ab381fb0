import type { State } from '@rollcall/core';
import type { Node } from './node.js';

/** Tier by state: with a success lately, without word, and when we ejected it. The lowest tier that holds anybody is used. */
const TIERS: Readonly<Record<State, readonly [lately: number, unknown: number, ejected: number]>> = {
  HEALTHY: [0, 0, 2],
  REGISTERING: [1, 1, 2],
  UNHEALTHY: [1, 2, 3],
  // only for who names them in allowedStates
  CRITICAL: [4, 4, 4],
  DEREGISTERING: [5, 5, 5],
};
export const TIER_COUNT = 6;

/** A success within this time speaks for an instance that the registry doubts. */
const LATELY_MS = 10_000;

export interface Tier {
  readonly tier: number;
  /** When time alone may change it; Infinity: never. */
  readonly until: number;
}

/** Where a node stands: what the registry says × what we see. One that registers again after being HEALTHY keeps its tier a while. */
export function tierOf(node: Node, now: number): Tier {
  const { state } = node.instance;
  const [lately, unknown, ejected] = TIERS[state];
  if (node.breaker.cause !== null) return { tier: ejected, until: Infinity };
  if (state === 'REGISTERING' && now < node.healthyUntil) return { tier: TIERS.HEALTHY[0], until: node.healthyUntil };
  const until = node.lastSuccessAt + LATELY_MS;
  if (now < until) return { tier: lately, until: lately === unknown ? Infinity : until };
  return { tier: unknown, until: Infinity };
}

/** Would a success now lift it into a better tier? */
export function isLifted(node: Node, now: number): boolean {
  const [lately, unknown] = TIERS[node.instance.state];
  return lately !== unknown && now >= node.lastSuccessAt + LATELY_MS;
}

/** The nodes of one tier, ready to be drawn from in proportion to their weights. Never changed, only replaced. */
export class Candidates<N extends Node> {
  readonly nodes: readonly N[];
  /** Running sums of the weights; null when they are all the same. */
  readonly #sums: Float64Array | null;

  constructor(nodes: readonly N[]) {
    // weight 0 asks for no calls; if all ask that, somebody has to
    const weighted = nodes.filter((node) => node.instance.weight > 0);
    this.nodes = weighted.length > 0 ? weighted : nodes;
    const first = this.nodes[0]?.instance.weight;
    this.#sums = this.nodes.every((node) => node.instance.weight === first) ? null : runningSums(this.nodes);
  }

  get isWeighted(): boolean {
    return this.#sums !== null;
  }

  /** The place that `unit` (uniform in [0, 1)) falls on. */
  draw(unit: number): number {
    const sums = this.#sums;
    if (sums === null) return Math.floor(unit * this.nodes.length);
    const wanted = unit * (sums[sums.length - 1] ?? 0);
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] ?? 0) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function runningSums(nodes: readonly Node[]): Float64Array {
  let sum = 0;
  return Float64Array.from(nodes, (node) => {
    sum += node.instance.weight;
    return sum;
  });
}
