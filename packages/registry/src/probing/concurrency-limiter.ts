import { Fifo } from '../runtime/fifo.js';
import { FairQueue } from './fair-queue.js';
import type { Lane, Waiter } from './waiter.js';

/** While both kinds wait, one in so many that pass is ordinary. */
const ORDINARY_EVERY = 4;
/** Strangers may have so much of the places. */
const STRANGERS_SHARE = 0.5;
/** While the strangers of one source have so much of those, none of them passes: one of another source passes at once. */
const SOURCE_SHARE = 0.875;

/**
 * Lets in as many as there are places; the others wait in the order in which they came, the urgent ones first. But every fourth that
 * passes is an ordinary one, if one waits: a crowd of the urgent (each may stay for as long as a timeout) must not shut out the
 * others. Strangers pass when none of those waits, and at least every fourth time; they never have more than half of the places, however
 * many come and however long they stay, and those of one source leave some of it to others. One that needs more places than there are passes
 * alone.
 */
export class ConcurrencyLimiter {
  readonly #places: number;
  readonly #lanes: { readonly urgent: Line; readonly ordinary: Line; readonly stranger: FairQueue };
  #inside = 0;
  #strangersInside = 0;
  #waiting = 0;
  /** Urgent ones that passed since the last ordinary one. */
  #urgentInARow = 0;
  /** How many passed since the last stranger. */
  #knownInARow = 0;

  constructor(places: number) {
    this.#places = places;
    const stranger = new FairQueue(places * STRANGERS_SHARE * SOURCE_SHARE);
    this.#lanes = { urgent: new Line('urgent'), ordinary: new Line('ordinary'), stranger };
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** It passes, before this returns if nobody must wait. One that waits already stays where it is. */
  arrive(passer: Waiter, lane: Lane): void {
    if (passer.lane !== null) return;
    this.#waiting += 1;
    this.#lanes[lane].join(passer);
    this.#admitNext();
  }

  /** One that waits is urgent now; a stranger stays one. */
  hasten(passer: Waiter): void {
    if (passer.lane !== 'ordinary') return;
    this.#lanes.urgent.join(passer);
    this.#admitNext();
  }

  /** One that passed by that lane is outside again. */
  leave(passer: Waiter, lane: Lane): void {
    this.#inside -= passer.places;
    if (lane === 'stranger') {
      this.#strangersInside -= passer.places;
      this.#lanes.stranger.leave(passer);
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
    const known = this.#nextKnown();
    const stranger = this.#lanes.stranger.first();
    const isWelcome = stranger !== null && this.#hasStrangersRoomFor(stranger);
    if (known === null) return isWelcome ? 'stranger' : null;
    return isWelcome && this.#knownInARow >= ORDINARY_EVERY - 1 ? 'stranger' : known;
  }

  #nextKnown(): Lane | null {
    const { urgent, ordinary } = this.#lanes;
    const isOrdinary = ordinary.first() !== null;
    if (urgent.first() === null) return isOrdinary ? 'ordinary' : null;
    return isOrdinary && this.#urgentInARow >= ORDINARY_EVERY - 1 ? 'ordinary' : 'urgent';
  }

  #hasRoomFor({ places }: Waiter): boolean {
    return this.#inside === 0 || this.#inside + places <= this.#places;
  }

  #hasStrangersRoomFor({ places }: Waiter): boolean {
    return this.#strangersInside === 0 || this.#strangersInside + places <= this.#places * STRANGERS_SHARE;
  }

  #admit(passer: Waiter, lane: Lane): void {
    this.#urgentInARow = lane === 'ordinary' ? 0 : this.#urgentInARow + Number(lane === 'urgent');
    this.#knownInARow = lane === 'stranger' ? 0 : this.#knownInARow + 1;
    this.#inside += passer.places;
    if (lane === 'stranger') this.#strangersInside += passer.places;
    passer.lane = null;
    passer.pass(lane);
  }
}

/** A queue. Who has changed lanes leaves an empty place, which is skipped. */
class Line {
  readonly #lane: Lane;
  readonly #passers = new Fifo<Waiter>();

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  join(passer: Waiter): void {
    passer.lane = this.#lane;
    this.#passers.push(passer);
  }

  first(): Waiter | null {
    for (let first = this.#passers.first(); first !== undefined; first = this.#passers.first()) {
      if (first.lane === this.#lane) return first;
      this.#passers.shift();
    }
    return null;
  }

  shift(): void {
    this.#passers.shift();
  }
}
