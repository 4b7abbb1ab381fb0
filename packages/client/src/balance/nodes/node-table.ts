import { countSuccess, forgetSuccesses, SUCCESS_CELLS, successesWithin } from '../../breaker/successes.js';
import type { Load } from './loads.js';
import { WindowCounts } from './window-counts.js';

/** The initial number of slots; it doubles when all are taken. */
const INITIAL_SLOTS = 16;

/** The number of cells per slot: 64 bytes, the size of a cache line. */
const IN_FLIGHT = 0;
const ROOM = 1;
const UNANSWERED = 2;
const SILENT_SINCE = 3;
const SUCCESS_AT = 4;
const SUCCESSES = 5;
const CELLS = SUCCESSES + SUCCESS_CELLS;

/** A node as its siblings of the same balancer see it. */
export interface AlternativeNode {
  /** True if this node can take the calls of a silent instance. */
  canTakeOver(now: number): boolean;
}

/**
 * The counters that every call reads or changes, for all nodes of one balancer: one array with one row per node. If they were spread over
 * the heap, the cache misses of a call to one of 10,000 nodes would cost more than everything else; a row costs one cache miss.
 */
export class NodeTable {
  readonly load: Load;
  /** When one of the nodes last answered, and which one. */
  lastAnswerAt = -Infinity;
  lastAnswerer: AlternativeNode | null = null;
  /** The end of the last pause of this process, which read no answers before. */
  pausedUntil = -Infinity;
  /** Calls under way at all nodes. */
  inFlight = 0;
  /** Attempts that ended at each node, per time window. */
  readonly windowCounts: WindowCounts;
  #cells: Float64Array;
  #calm: Uint8Array;
  #weights: Float64Array;
  readonly #free: number[] = [];
  #taken = 0;

  constructor(load: Load, slots = INITIAL_SLOTS) {
    this.load = load;
    this.#cells = new Float64Array(CELLS * slots);
    this.#calm = new Uint8Array(slots);
    this.#weights = new Float64Array(slots);
    this.windowCounts = new WindowCounts(slots);
  }

  /** Reserves a slot, a small integer, for one node. */
  take(): number {
    const slot = this.#free.pop() ?? this.#taken;
    if (slot === this.#taken) this.#taken += 1;
    if (slot >= this.#calm.length) this.#grow();
    this.#cells.fill(0, CELLS * slot, CELLS * (slot + 1));
    this.#cells[CELLS * slot + SUCCESS_AT] = -Infinity;
    this.#calm[slot] = 0;
    this.windowCounts.forget(slot);
    this.load.forget(slot);
    return slot;
  }

  /** Frees the slot; its calls are no longer counted here. */
  release(slot: number): void {
    this.add(slot, -this.count(slot));
    this.#free.push(slot);
  }

  /** Calls under way. */
  count(slot: number): number {
    return this.#cells[CELLS * slot + IN_FLIGHT] ?? 0;
  }

  add(slot: number, calls: number): void {
    this.#cells[CELLS * slot + IN_FLIGHT] = this.count(slot) + calls;
    this.inFlight += calls;
  }

  /** A node with fewer calls under way than this takes one more without further checks. */
  room(slot: number): number {
    return this.#cells[CELLS * slot + ROOM] ?? 0;
  }

  weight(slot: number): number {
    return this.#weights[slot] ?? 0;
  }

  setWeight(slot: number, weight: number): void {
    this.#weights[slot] = weight;
  }

  /**
   * `isCalm`: True if the instance is HEALTHY and enabled, without a failure since the last success. Then the next success is only counted.
   */
  judge(slot: number, room: number, isCalm: boolean): void {
    this.#cells[CELLS * slot + ROOM] = room;
    this.#calm[slot] = isCalm ? 1 : 0;
  }

  hasRoom(slot: number): boolean {
    const at = CELLS * slot;
    return (this.#cells[at + IN_FLIGHT] ?? 0) < (this.#cells[at + ROOM] ?? 0);
  }

  isCalm(slot: number): boolean {
    return this.#calm[slot] === 1;
  }

  /** Calls begun since the last answer. */
  unanswered(slot: number): number {
    return this.#cells[CELLS * slot + UNANSWERED] ?? 0;
  }

  /** When the first unanswered call began. */
  silentSince(slot: number): number {
    return this.#cells[CELLS * slot + SILENT_SINCE] ?? 0;
  }

  expectAnswer(slot: number, now: number): void {
    const at = CELLS * slot;
    const unanswered = this.#cells[at + UNANSWERED] ?? 0;
    if (unanswered === 0) this.#cells[at + SILENT_SINCE] = now;
    this.#cells[at + UNANSWERED] = unanswered + 1;
  }

  answered(slot: number, now: number, by: AlternativeNode): void {
    this.#cells[CELLS * slot + UNANSWERED] = 0;
    this.lastAnswerAt = now;
    this.lastAnswerer = by;
  }

  successAt(slot: number): number {
    return this.#cells[CELLS * slot + SUCCESS_AT] ?? -Infinity;
  }

  succeeded(slot: number, now: number): void {
    this.#cells[CELLS * slot + SUCCESS_AT] = now;
    countSuccess(this.#cells, CELLS * slot + SUCCESSES, now);
  }

  /** The successes of the last 10 s. */
  successes(slot: number, now: number): number {
    return successesWithin(this.#cells, CELLS * slot + SUCCESSES, now);
  }

  forgetSuccesses(slot: number): void {
    forgetSuccesses(this.#cells, CELLS * slot + SUCCESSES);
  }

  #grow(): void {
    const cells = new Float64Array(2 * this.#cells.length);
    cells.set(this.#cells);
    this.#cells = cells;
    const calm = new Uint8Array(2 * this.#calm.length);
    calm.set(this.#calm);
    this.#calm = calm;
    const weights = new Float64Array(2 * this.#weights.length);
    weights.set(this.#weights);
    this.#weights = weights;
    this.windowCounts.grow();
  }
}
