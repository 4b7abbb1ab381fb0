import { countSuccess, forgetSuccesses, SUCCESS_CELLS, successesWithin } from '../../breaker/successes.js';
import type { Load } from './loads.js';
import { WindowCounts } from './window-counts.js';

/** Slots at first; doubled when they are all taken. */
const INITIAL_SLOTS = 16;

/** The numbers of a slot, one row for each: 64 bytes, as a cache line has. */
const IN_FLIGHT = 0;
const ROOM = 1;
const UNANSWERED = 2;
const SILENT_SINCE = 3;
const SUCCESS_AT = 4;
const SUCCESSES = 5;
const CELLS = SUCCESSES + SUCCESS_CELLS;

/** Another node of the same balancer. */
export interface AlternativeNode {
  /** True if it can take calls instead of a silent instance. */
  canTakeOver(now: number): boolean;
}

/**
 * The numbers that every call moves or reads, of all nodes of one balancer, a row for each in one array. Where nodes lie all over the
 * heap, a call to one of 10,000 costs more in cache misses than everything else; a row is one.
 */
export class NodeTable {
  readonly load: Load;
  /** When any of the nodes last answered, and which. */
  lastAnswerAt = -Infinity;
  lastAnswerer: AlternativeNode | null = null;
  /** This process was paused until then: it read no answers before. */
  heardSince = -Infinity;
  /** Calls under way at all of them. */
  inFlight = 0;
  /** The attempts that ended at each of them, window by window. */
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

  /** A slot for one node: a small whole number. */
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

  /** The slot is free again; its calls do not count here any more. */
  give(slot: number): void {
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

  /** With fewer calls under way than this, the node takes one, and nothing else needs to be looked at. */
  room(slot: number): number {
    return this.#cells[CELLS * slot + ROOM] ?? 0;
  }

  weight(slot: number): number {
    return this.#weights[slot] ?? 0;
  }

  setWeight(slot: number, weight: number): void {
    this.#weights[slot] = weight;
  }

  /** `isCalm`: HEALTHY and enabled, and nothing failed since its last success: the next success only adds to the count. */
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

  /** When the first of them was begun. */
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

  /** Those of the last 10 s. */
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
