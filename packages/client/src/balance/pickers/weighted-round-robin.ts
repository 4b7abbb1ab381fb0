import type { Random } from '@rollcall/core';
import type { Node } from '../nodes/node.js';
import type { Candidates } from './candidates.js';
import { findAvailable } from './picker.js';
import type { PickArgs, Picker } from './picker.js';
import { isDrawable } from './pickers.js';

/**
 * Weighted round robin, smooth: a node of weight 3 comes three times as often as one of weight 1, and its turns are spread evenly, not in a
 * row (the aim of nginx's smooth weighted round robin, 1.3.1, 2012). nginx looks at every node for each pick; this is the algorithm of
 * Envoy's `EdfScheduler`: each node has a next turn, in steps of 1 ÷ weight, and the earliest is next. A heap finds it in O(log n). A node
 * that cannot take its turn loses it.
 */
export class WeightedRoundRobin implements Picker {
  readonly #random: Random;
  /** The ring of each list of candidates, for as long as the list exists. */
  readonly #schedules = new WeakMap<object, Schedule>();

  constructor(random: Random) {
    this.#random = random;
  }

  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null {
    const { nodes } = candidates;
    if (nodes.length === 0) return null;
    const schedule = this.#schedule(candidates);
    for (let lost = 0; lost < nodes.length; lost += 1) {
      const place = schedule.next();
      if (isDrawable(candidates, place, args, this.#random)) return nodes[place] ?? null;
    }
    return findAvailable(nodes, Math.floor(this.#random.unit() * nodes.length), args);
  }

  #schedule<N extends Node>(candidates: Candidates<N>): Schedule {
    const known = this.#schedules.get(candidates);
    if (known !== undefined) return known;
    const schedule = new Schedule(candidates, this.#random);
    this.#schedules.set(candidates, schedule);
    return schedule;
  }
}

/** A binary heap of indices, with the earliest turn first. */
class Schedule {
  readonly #steps: Float64Array;
  readonly #turns: Float64Array;
  readonly #heap: Uint32Array;

  constructor(candidates: Candidates<Node>, random: Random) {
    const { nodes } = candidates;
    this.#steps = Float64Array.from(nodes, (_, place) => 1 / candidates.relativeWeight(place));
    // a random time within the first step: rebuilding the schedule favours no instance
    this.#turns = this.#steps.map((step) => step * random.unit());
    this.#heap = Uint32Array.from(nodes, (_, place) => place);
    for (let at = (nodes.length >>> 1) - 1; at >= 0; at -= 1) this.#sink(at);
  }

  /** The index of the node with the earliest turn; its next turn is set. */
  next(): number {
    const place = this.#heap[0] ?? 0;
    this.#turns[place] = (this.#turns[place] ?? 0) + (this.#steps[place] ?? 0);
    this.#sink(0);
    return place;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const place = heap[from] ?? 0;
    const turn = this.#turns[place] ?? 0;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#turnAt(child + 1) < this.#turnAt(child)) child += 1;
      if (this.#turnAt(child) >= turn) break;
      heap[at] = heap[child] ?? 0;
      at = child;
    }
    heap[at] = place;
  }

  #turnAt(at: number): number {
    return this.#turns[this.#heap[at] ?? 0] ?? Infinity;
  }
}
