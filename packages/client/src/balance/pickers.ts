import type { Random } from '@rollcall/core';
import type { Ask, Picker } from './balancer.js';
import type { Node } from './node.js';
import type { Candidates } from './tiers.js';

/** Draws before the nodes are looked at one by one: with half of them unable to take the call, 15 of 16 picks end here. */
const EFFORTS = 4;

/**
 * The power of two choices: draw two nodes and take the less loaded (Mitzenmacher, 2001). One that cannot take the call, or loses its
 * slow-start lottery, leaves the other alone. With different weights both draws follow them and may fall on the same node, so that
 * idle nodes get exactly their shares, and calls in flight are compared relative to the weight, so that busy ones do, too.
 */
export class PowerOfTwo implements Picker {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  pick<N extends Node>(candidates: Candidates<N>, ask: Ask): N | null {
    const { nodes } = candidates;
    for (let effort = 0; effort < EFFORTS && nodes.length > 1; effort += 1) {
      const first = candidates.draw(this.#random.unit());
      const node = this.#better(candidates, ask, first);
      if (node !== null) return node;
    }
    return firstAble(nodes, Math.floor(this.#random.unit() * nodes.length), ask);
  }

  #better<N extends Node>(candidates: Candidates<N>, ask: Ask, first: number): N | null {
    const one = candidates.nodes[first];
    const other = candidates.nodes[this.#another(candidates, first)];
    const takesOne = one !== undefined && this.#takes(one, ask);
    const takesOther = other !== undefined && other !== one && this.#takes(other, ask);
    if (!takesOne) return takesOther ? other : null;
    if (!takesOther) return one;
    const costOne = one.load.cost(ask.now, one.inFlight / candidates.relativeWeight(one));
    const costOther = other.load.cost(ask.now, other.inFlight / candidates.relativeWeight(other));
    return costOther < costOne ? other : one;
  }

  #another<N extends Node>(candidates: Candidates<N>, first: number): number {
    if (candidates.isWeighted) return candidates.draw(this.#random.unit());
    const second = Math.floor(this.#random.unit() * (candidates.nodes.length - 1));
    return second >= first ? second + 1 : second;
  }

  #takes(node: Node, ask: Ask): boolean {
    if (!isAble(node, ask)) return false;
    const warmth = node.warmth(ask.now);
    return warmth === 1 || this.#random.unit() < warmth;
  }
}

/**
 * One after the other, whatever their load and weight. It starts at random: callers that all start with the first one would
 * move through the fleet as a herd.
 */
export class RoundRobin implements Picker {
  readonly #random: Random;
  #turn: number;

  constructor(random: Random) {
    this.#random = random;
    this.#turn = Math.floor(random.unit() * 1_000_000);
  }

  pick<N extends Node>(candidates: Candidates<N>, ask: Ask): N | null {
    const { nodes } = candidates;
    for (let skipped = 0; skipped < nodes.length; skipped += 1) {
      this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
      const node = nodes[this.#turn % nodes.length];
      if (node === undefined || !isAble(node, ask)) continue;
      const warmth = node.warmth(ask.now);
      if (warmth === 1 || this.#random.unit() < warmth) return node;
    }
    return firstAble(nodes, this.#turn % Math.max(1, nodes.length), ask);
  }
}

function isAble(node: Node, ask: Ask): boolean {
  return node !== ask.tried && node !== ask.triedToo && node.admits(ask.now);
}

/** Looks at all from `start` on, so that a node that can take the call is found if there is one. */
function firstAble<N extends Node>(nodes: readonly N[], start: number, ask: Ask): N | null {
  for (let i = 0; i < nodes.length; i += 1) {
    const node = nodes[(start + i) % nodes.length];
    if (node !== undefined && isAble(node, ask)) return node;
  }
  return null;
}
