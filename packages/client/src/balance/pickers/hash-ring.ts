import type { Random } from '@rollcall/core';
import { hashOf, mixed } from '../nodes/hash.js';
import type { Node } from '../nodes/node.js';
import type { Candidates } from './candidates.js';
import { findAvailable } from './picker.js';
import type { PickArgs, Picker } from './picker.js';
import { PowerOfTwo, isDrawable } from './pickers.js';

/** The maximum load of a node, relative to its fair share. */
const MAX_LOAD_RATIO = 1.25;
/** Points on the ring for each unit of weight: 40 for the default weight of 100. */
const POINTS_PER_WEIGHT = 0.4;
/** The number of points examined before any node is accepted: with bounded loads, a key moves by 16 nodes on average at most. */
const MAX_EXAMINED_POINTS = 256;
/** A point packs its hash and the index of its node into one number: 32 + 20 bits. */
const INDEX_RANGE = 2 ** 20;

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a key goes to the node whose point on the ring follows
 * it, unless that node has more than 1.25 × its fair share of the calls in flight; then it goes to the next one. When a node joins or
 * leaves, only its share of the keys moves. Calls without a key use the power of two choices.
 *
 * * * The ring is built at the first key after a change, in O(n log n): some ms for 1,000 nodes.
 */
export class HashRing implements Picker {
  readonly #random: Random;
  readonly #keyless: PowerOfTwo;
  /** The ring of each list of candidates, for as long as the list exists. */
  readonly #rings = new WeakMap<object, Float64Array>();

  constructor(random: Random) {
    this.#random = random;
    this.#keyless = new PowerOfTwo(random);
  }

  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null {
    if (args.hashKey === null) return this.#keyless.pick(candidates, args);
    const { nodes } = candidates;
    if (nodes.length === 0) return null;
    const ring = this.#ring(candidates);
    const from = placeOf(ring, hashOf(args.hashKey));
    const fairShare = (MAX_LOAD_RATIO * (candidates.fleetInFlight + 1)) / nodes.length;
    const length = Math.min(ring.length, MAX_EXAMINED_POINTS);
    for (let step = 0; step < length; step += 1) {
      const place = (ring[(from + step) % ring.length] ?? 0) % INDEX_RANGE;
      if (candidates.inFlight(place) >= Math.ceil(fairShare * candidates.relativeWeight(place))) continue;
      if (isDrawable(candidates, place, args, this.#random)) return nodes[place] ?? null;
    }
    return findAvailable(nodes, (ring[from % ring.length] ?? 0) % INDEX_RANGE, args);
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

/** All points in the order of their hashes. The points of a node depend only on its id and weight. */
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

/** The first point at or after the hash; the length of the ring if there is none, and the search continues at its start. */
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
