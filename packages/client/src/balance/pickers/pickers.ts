import type { Random } from '@rollcall/core';
import type { Node } from '../nodes/node.js';
import type { Candidates } from './candidates.js';
import { findAvailable, isAvailable } from './picker.js';
import type { PickArgs, Picker } from './picker.js';

/** The number of draws before all nodes are checked in order: if half of them cannot take the call, 15 of 16 picks end here. */
const MAX_DRAWS = 4;

/**
 * With different weights the second node has to be better by this factor: a decaying load is always slightly lower where the last call is
 * longer ago, which would favour nodes with small weights.
 */
const MAX_COST_RATIO = 0.9;

/**
 * The power of two choices: draw two nodes and take the less loaded (Mitzenmacher, 2001). A node that cannot take the call, or is skipped
 * during its slow start, is replaced by a third. With different weights both draws follow them and may fall on the same node, so that idle
 * nodes get exactly their shares, and calls in flight are compared relative to the weight, so that busy ones do, too.
 */
export class PowerOfTwo implements Picker {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null {
    const { nodes } = candidates;
    for (let effort = 0; effort < MAX_DRAWS && nodes.length > 1; effort += 1) {
      const first = candidates.draw(this.#random.unit());
      const place = this.#better(candidates, args, first);
      if (place >= 0) return nodes[place] ?? null;
    }
    return findAvailable(nodes, Math.floor(this.#random.unit() * nodes.length), args);
  }

  /** The index of the less loaded node of two; -1: neither takes the call. */
  #better<N extends Node>(candidates: Candidates<N>, args: PickArgs, one: number): number {
    const other = this.#another(candidates, one);
    const takesOne = isDrawable(candidates, one, args, this.#random);
    const takesOther = other !== one && isDrawable(candidates, other, args, this.#random);
    if (takesOne && takesOther) return cheaper(candidates, one, other, args.now);
    if (!takesOne && !takesOther) return -1;
    return this.#compareWithThird(candidates, args, takesOne ? one : other, takesOne ? other : one);
  }

  /**
   * Compares a single remaining node with a third one, not with the excluded one: otherwise an overloaded node would get all the calls for
   * which it was drawn together with a node that is warming up.
   */
  #compareWithThird<N extends Node>(candidates: Candidates<N>, args: PickArgs, alone: number, fallen: number): number {
    for (let effort = 0; effort < MAX_DRAWS; effort += 1) {
      const third = this.#another(candidates, alone);
      if (third === alone || third === fallen) continue;
      return isDrawable(candidates, third, args, this.#random) ? cheaper(candidates, alone, third, args.now) : alone;
    }
    return alone;
  }

  #another<N extends Node>(candidates: Candidates<N>, first: number): number {
    if (candidates.isWeighted) return candidates.draw(this.#random.unit());
    const second = Math.floor(this.#random.unit() * (candidates.nodes.length - 1));
    return second >= first ? second + 1 : second;
  }
}

function cheaper<N extends Node>(candidates: Candidates<N>, one: number, other: number, now: number): number {
  const costOne = candidates.cost(one, now);
  const costOther = candidates.cost(other, now);
  return costOther < (candidates.isWeighted ? MAX_COST_RATIO * costOne : costOne) ? other : one;
}

/**
 * Picks one node after the other, regardless of load and weight. The start is random: otherwise all callers would send their first calls to
 * the same node.
 */
export class RoundRobin implements Picker {
  readonly #random: Random;
  #turn: number;

  constructor(random: Random) {
    this.#random = random;
    this.#turn = Math.floor(random.unit() * 1_000_000);
  }

  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null {
    const { nodes } = candidates;
    for (let skipped = 0; skipped < nodes.length; skipped += 1) {
      this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
      const place = this.#turn % nodes.length;
      if (isDrawable(candidates, place, args, this.#random)) return nodes[place] ?? null;
    }
    return findAvailable(nodes, this.#turn % Math.max(1, nodes.length), args);
  }
}

/** Picks at random in proportion to the weights, regardless of load. */
export class AtRandom implements Picker {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null {
    const { nodes } = candidates;
    for (let effort = 0; effort < 2 * MAX_DRAWS && nodes.length > 0; effort += 1) {
      const place = candidates.draw(this.#random.unit());
      if (isDrawable(candidates, place, args, this.#random)) return nodes[place] ?? null;
    }
    return findAvailable(nodes, Math.floor(this.#random.unit() * nodes.length), args);
  }
}

/** True if the node at this index can take the call and, during its slow start, is drawn. */
export function isDrawable<N extends Node>(
  candidates: Candidates<N>,
  place: number,
  args: PickArgs,
  random: Random,
): boolean {
  const node = candidates.nodes[place];
  if (node === undefined || node === args.tried || node === args.triedToo) return false;
  if (candidates.hasRoom(place)) return true;
  if (!isAvailable(node, args)) return false;
  const warmth = node.warmth(args.now);
  return warmth === 1 || random.unit() < warmth;
}
