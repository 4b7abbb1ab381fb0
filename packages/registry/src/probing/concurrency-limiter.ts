import { Fifo } from '../runtime/fifo.js';
import { FairQueue } from './fair-queue.js';
import type { Lane, Waiter } from './waiter.js';

/** While both kinds wait, one in this many that are admitted is ordinary. */
const ORDINARY_EVERY = 4;
/** Maximum share of the places for unverified waiters. */
const UNVERIFIED_SHARE = 0.5;
/** Maximum part of that share for one source, so that a waiter of another source is admitted at once. */
const SOURCE_SHARE = 0.875;

/**
 * Limits concurrent calls to a number of places. Waiters are admitted in order of arrival, urgent ones first, but every
 * fourth one admitted is ordinary if one waits: many urgent waiters (each may hold its place for a whole timeout) must
 * not starve the others. Unverified waiters are admitted while no other waits, and at least every fourth time. They
 * hold at most half of the places, however many there are and however long they take, and those of one source leave
 * some of it to other sources. A waiter that needs more places than there are is admitted alone.
 */
export class ConcurrencyLimiter {
  readonly #places: number;
  readonly #lanes: { readonly urgent: LaneQueue; readonly ordinary: LaneQueue; readonly unverified: FairQueue };
  #inside = 0;
  #unverifiedInside = 0;
  #waiting = 0;
  /** Urgent waiters admitted since the last ordinary one. */
  #urgentInARow = 0;
  /** Waiters admitted since the last unverified one. */
  #verifiedInARow = 0;

  constructor(places: number) {
    this.#places = places;
    const unverified = new FairQueue(places * UNVERIFIED_SHARE * SOURCE_SHARE);
    this.#lanes = { urgent: new LaneQueue('urgent'), ordinary: new LaneQueue('ordinary'), unverified };
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Admits the waiter, before this returns if there is room and none waits before it. A waiter that already waits stays
   * where it is.
   */
  enqueue(waiter: Waiter, lane: Lane): void {
    if (waiter.lane !== null) return;
    this.#waiting += 1;
    this.#lanes[lane].push(waiter);
    this.#admitNext();
  }

  /** Makes a waiting ordinary call urgent; an unverified waiter keeps its lane. */
  prioritize(waiter: Waiter): void {
    if (waiter.lane !== 'ordinary') return;
    this.#lanes.urgent.push(waiter);
    this.#admitNext();
  }

  /** Frees the places of a waiter that was admitted with `lane`. */
  release(waiter: Waiter, lane: Lane): void {
    this.#inside -= waiter.places;
    if (lane === 'unverified') {
      this.#unverifiedInside -= waiter.places;
      this.#lanes.unverified.release(waiter);
    }
    this.#admitNext();
  }

  #admitNext(): void {
    for (let lane = this.#nextLane(); lane !== null; lane = this.#nextLane()) {
      const next = this.#lanes[lane].first();
      if (next === null || !this.#hasRoomFor(next)) return;
      this.#lanes[lane].shift();
      this.#waiting -= 1;
      this.#admit(next, lane);
    }
  }

  #nextLane(): Lane | null {
    const verified = this.#nextVerified();
    const unverified = this.#lanes.unverified.first();
    const hasRoom = unverified !== null && this.#hasRoomForUnverified(unverified);
    if (verified === null) return hasRoom ? 'unverified' : null;
    return hasRoom && this.#verifiedInARow >= ORDINARY_EVERY - 1 ? 'unverified' : verified;
  }

  #nextVerified(): Lane | null {
    const { urgent, ordinary } = this.#lanes;
    const isOrdinary = ordinary.first() !== null;
    if (urgent.first() === null) return isOrdinary ? 'ordinary' : null;
    return isOrdinary && this.#urgentInARow >= ORDINARY_EVERY - 1 ? 'ordinary' : 'urgent';
  }

  #hasRoomFor({ places }: Waiter): boolean {
    return this.#inside === 0 || this.#inside + places <= this.#places;
  }

  #hasRoomForUnverified({ places }: Waiter): boolean {
    return this.#unverifiedInside === 0 || this.#unverifiedInside + places <= this.#places * UNVERIFIED_SHARE;
  }

  #admit(waiter: Waiter, lane: Lane): void {
    this.#urgentInARow = lane === 'ordinary' ? 0 : this.#urgentInARow + Number(lane === 'urgent');
    this.#verifiedInARow = lane === 'unverified' ? 0 : this.#verifiedInARow + 1;
    this.#inside += waiter.places;
    if (lane === 'unverified') this.#unverifiedInside += waiter.places;
    waiter.lane = null;
    waiter.admit(lane);
  }
}

/** A queue. A waiter that changed lanes leaves an empty entry, which is skipped. */
class LaneQueue {
  readonly #lane: Lane;
  readonly #waiters = new Fifo<Waiter>();

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  push(waiter: Waiter): void {
    waiter.lane = this.#lane;
    this.#waiters.push(waiter);
  }

  first(): Waiter | null {
    for (let first = this.#waiters.first(); first !== undefined; first = this.#waiters.first()) {
      if (first.lane === this.#lane) return first;
      this.#waiters.shift();
    }
    return null;
  }

  shift(): void {
    this.#waiters.shift();
  }
}
