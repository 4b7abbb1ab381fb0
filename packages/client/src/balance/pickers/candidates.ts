import type { NodeTable } from '../nodes/node-table.js';
import type { Node } from '../nodes/node.js';

/**
 * Instances of the same tier, prepared for random choice in proportion to their weights. A pick refers to them by their index in `nodes`,
 * so that it can check a node without reading the object. Immutable: a change creates a new list.
 */
export class Candidates<N extends Node> {
  readonly nodes: readonly N[];
  readonly #nodeTable: NodeTable | null;
  readonly #slots: Uint32Array;
  /** Cumulative sums of the weights; null if all weights are equal. */
  readonly #sums: Float64Array | null;
  readonly #meanWeight: number;

  constructor(nodes: readonly N[]) {
    this.nodes = nodes;
    this.#nodeTable = nodes[0]?.nodeTable ?? null;
    this.#slots = new Uint32Array(nodes.length);
    let place = 0;
    let isEven = true;
    for (const node of nodes) {
      this.#slots[place] = node.slot;
      isEven &&= this.#weight(place) === this.#weight(0);
      place += 1;
    }
    this.#sums = isEven ? null : this.#runningSums();
    this.#meanWeight = (this.#sums?.at(-1) ?? 0) / Math.max(1, nodes.length);
  }

  #weight(place: number): number {
    return this.#nodeTable?.weight(this.#slots[place] ?? 0) ?? 0;
  }

  #runningSums(): Float64Array {
    let sum = 0;
    return Float64Array.from(this.#slots, (_, place) => {
      sum += this.#weight(place);
      return sum;
    });
  }

  get isWeighted(): boolean {
    return this.#sums !== null;
  }

  /** The weight of the node, relative to the mean. */
  relativeWeight(place: number): number {
    const sums = this.#sums;
    if (sums === null) return 1;
    return ((sums[place] ?? 0) - (sums[place - 1] ?? 0)) / this.#meanWeight;
  }

  /** True if the node can certainly take a call; false: it needs a full check. */
  hasRoom(place: number): boolean {
    return this.#nodeTable?.hasRoom(this.#slots[place] ?? 0) ?? false;
  }

  /** Calls under way at this node. */
  inFlight(place: number): number {
    return this.#nodeTable?.count(this.#slots[place] ?? 0) ?? 0;
  }

  /** The load of the node, relative to its weight; greater is worse. */
  cost(place: number, now: number): number {
    if (this.#nodeTable === null) return 0;
    const slot = this.#slots[place] ?? 0;
    const inFlight = this.#nodeTable.count(slot);
    return this.#nodeTable.load.cost(slot, now, this.#sums === null ? inFlight : inFlight / this.relativeWeight(place));
  }

  /** Calls under way at all instances of the service. */
  get fleetInFlight(): number {
    return this.#nodeTable?.inFlight ?? 0;
  }

  /** The index for `unit`, a uniform random number in [0, 1): each index is as likely as its weight requires. */
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
