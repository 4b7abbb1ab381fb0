import type { State } from '@rollcall/core';
import type { Node } from './node.js';

interface Row {
  /** With a success lately. */
  readonly lately: number;
  /** Without word of our own. */
  readonly unknown: number;
  /** Ejected by us. */
  readonly ejected: number;
}

/** The tier by the registry's state and our own experience. The lowest one that holds anybody is used. */
const TIERS: Readonly<Record<State, Row>> = {
  HEALTHY: { lately: 0, unknown: 0, ejected: 2 },
  REGISTERING: { lately: 1, unknown: 1, ejected: 2 },
  UNHEALTHY: { lately: 1, unknown: 2, ejected: 3 },
  // only for who names them in allowedStates
  CRITICAL: { lately: 4, unknown: 4, ejected: 4 },
  DEREGISTERING: { lately: 5, unknown: 5, ejected: 5 },
};
export const TIER_COUNT = 6;

/** A success within this time speaks for an instance that the registry doubts. */
const LATELY_MS = 10_000;

/** Where a node stands. One that registers again after being HEALTHY keeps its tier for a while. */
export function tierOf(node: Node, now: number): number {
  const row = TIERS[node.instance.state];
  if (node.breaker.cause !== null) return row.ejected;
  if (now < node.healthyUntil && node.instance.state === 'REGISTERING') return TIERS.HEALTHY.unknown;
  return now < node.lastSuccessAt + LATELY_MS ? row.lately : row.unknown;
}

/** When time alone may change the tier; Infinity: never. */
export function tierUntil(node: Node, now: number): number {
  if (node.breaker.cause !== null) return Infinity;
  if (now < node.healthyUntil && node.instance.state === 'REGISTERING') return node.healthyUntil;
  const row = TIERS[node.instance.state];
  const until = node.lastSuccessAt + LATELY_MS;
  return row.lately !== row.unknown && now < until ? until : Infinity;
}

/** Would a success now lift it into a better tier? */
export function isLifted(node: Node, now: number): boolean {
  const row = TIERS[node.instance.state];
  return row.lately !== row.unknown && now >= node.lastSuccessAt + LATELY_MS;
}

/** The nodes of one tier, ready to be drawn from in proportion to their weights. Never changed, only replaced. */
export class Candidates<N extends Node> {
  readonly nodes: readonly N[];
  /** Running sums of the weights; null when they are all the same. */
  readonly #sums: Float64Array | null;
  readonly #meanWeight: number;

  constructor(nodes: readonly N[]) {
    const first = nodes[0]?.instance.weight;
    const isEven = nodes.every((node) => node.instance.weight === first);
    // weight 0 asks for no calls; if all ask that, somebody has to
    this.nodes = isEven ? nodes : nodes.filter((node) => node.instance.weight > 0);
    this.#sums = isEven ? null : runningSums(this.nodes);
    this.#meanWeight = (this.#sums?.at(-1) ?? 0) / Math.max(1, this.nodes.length);
  }

  get isWeighted(): boolean {
    return this.#sums !== null;
  }

  /** Its weight, 1 being the mean. */
  relativeWeight(node: Node): number {
    return this.#sums === null ? 1 : node.instance.weight / this.#meanWeight;
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
