import type { Random } from '@rollcall/core';
import { hashOf, mixed } from '../nodes/hash.js';
import type { Node } from '../nodes/node.js';
import type { Candidates } from './candidates.js';
import { firstAble } from './picker.js';
import type { Ask, Picker } from './picker.js';
import { PowerOfTwo, takes } from './pickers.js';

/** The most that a node may have in flight, relative to its fair share. */
const BOUND = 1.25;
/** Points on the ring for each unit of weight: 40 for the default weight of 100. */
const POINTS_PER_WEIGHT = 0.4;
/** Points that are examined before any node is accepted: with the bound, a key goes 16 nodes far on average at the very most. */
const LONGEST_WALK = 256;
/** A point's hash and its node's place in one number: 32 + 20 bits. */
const INDEX_RANGE = 2 ** 20;

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a key goes to the node whose point on the ring
 * follows it, unless that has more than 1.25 × its fair share of the calls in flight: then to the next one. When a node comes or
 * goes, only its own share of the keys moves. A call without a key is picked by the power of two choices.
 *
 * The ring is made at the first key after a change, in O(n log n): some ms for 1,000 nodes.
 */
export class HashRing implements Picker {
  readonly #random: Random;
  readonly #keyless: PowerOfTwo;
  /** As long as the candidates live. */
  readonly #rings = new WeakMap<object, Float64Array>();

  constructor(random: Random) {
    this.#random = random;
    this.#keyless = new PowerOfTwo(random);
  }

  pick<N extends Node>(candidates: Candidates<N>, ask: Ask): N | null {
    if (ask.hashKey === null) return this.#keyless.pick(candidates, ask);
    const { nodes } = candidates;
    if (nodes.length === 0) return null;
    const ring = this.#ring(candidates);
    const from = placeOf(ring, hashOf(ask.hashKey));
    const fairShare = (BOUND * (candidates.fleetInFlight + 1)) / nodes.length;
    const length = Math.min(ring.length, LONGEST_WALK);
    for (let step = 0; step < length; step += 1) {
      const place = (ring[(from + step) % ring.length] ?? 0) % INDEX_RANGE;
      if (candidates.inFlight(place) >= Math.ceil(fairShare * candidates.relativeWeight(place))) continue;
      if (takes(candidates, place, ask, this.#random)) return nodes[place] ?? null;
    }
    return firstAble(nodes, (ring[from % ring.length] ?? 0) % INDEX_RANGE, ask);
  }

  #ring<N extends Node>(candidates: Candidates<N>): Float64Array {
    const known = this.#rings.get(candidates);
    if (known !== undefined) return known;
    const ring = ringOf(candidates.nodes);
    this.#rings.set(candidates, ring);
    return ring;
  }
}

function pointsOf(node: Node): number {
  return Math.max(1, Math.round(node.instance.weight * POINTS_PER_WEIGHT));
}

/** All points in the order of their hashes. Those of a node depend on its id and weight only. */
function ringOf(nodes: readonly Node[]): Float64Array {
  let length = 0;
  for (const node of nodes) length += pointsOf(node);
  const ring = new Float64Array(length);
  let at = 0;
  nodes.forEach((node, place) => {
    const hash = hashOf(node.id);
    for (let point = pointsOf(node); point > 0; point -= 1) {
      ring[at] = mixed(hash + Math.imul(point, 0x9e_37_79_b1)) * INDEX_RANGE + (place % INDEX_RANGE);
      at += 1;
    }
  });
  return ring.toSorted();
}

/** The first point at or behind the hash; the ring's length if there is none: it goes on at its beginning. */
function placeOf(ring: Float64Array, hash: number): number {
  const wanted = hash * INDEX_RANGE;
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ring[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
