import type { Failure } from './transport.js';

/**
 * A connection is late when it takes this multiple of what the last one to the same instance took: it knows the path.
 */
const MULTIPLE = 3;
/** A connection attempt without waiting calls is given up after this time, ms. */
export const GIVE_UP_MS = 15_000;
/** Connections to one instance that may be late at once; with fewer, a call opens a fresh one. */
export const MAX_LATE_CONNECTIONS = 3;

/** Another connection to the same instance opened first. */
export const MOVED: Failure = { kind: 'moved', cause: new Error('another connection to the instance opened first') };

/**
 * The state of opening connections to one instance, the identity check included. A connection that is late is not
 * ended: the path or the instance may just be slow, and a call without an alternative waits for it. It is only said to
 * be late, so that calls may go to other instances, or over a fresh connection.
 */
export class Connecting {
  readonly #leastMs: number;
  #lastMs = 0;
  #stall: Failure | null = null;
  #stalledAt = -Infinity;

  /** `leastMs`: no connection is late before, ms. */
  constructor(leastMs: number) {
    this.#leastMs = leastMs;
  }

  /** After this time a connection is late, ms. */
  get patienceMs(): number {
    return Math.max(this.#leastMs, MULTIPLE * this.#lastMs);
  }

  /**
   * Why connections take long: the same object for those that are late together. Null: none is, or one opened since.
   */
  get stall(): Failure | null {
    return this.#stall;
  }

  /** A connection is late. `what`: what did not happen yet, at which address; `ms`: since when. */
  late(what: string, ms: number, now: number): void {
    if (this.#stall !== null && now < this.#stalledAt + this.patienceMs) return;
    this.#stalledAt = now;
    this.#stall = { kind: 'unreachable', cause: new Error(`${what} within ${Math.round(ms)} ms`) };
  }

  /** A connection opened after this time, ms. */
  opened(ms: number): void {
    this.#lastMs = ms;
    this.#stall = null;
  }
}

/** A connection that several exchanges share. */
export interface Shared {
  /** Nothing may be sent over it any more. */
  readonly isOver: boolean;
  readonly isOpen: boolean;
  readonly isLate: boolean;
  /** Exchanges under way. */
  readonly pending: number;
}

/**
 * The connection of a pool that a request should take: the open one with the fewest exchanges, else one that is
 * opening. Null: open another one, because there are fewer than `size` and all are busy, or because those that open are
 * late. Takes out those that are over.
 */
export function pooled<One extends Shared>(connections: One[], size: number): One | null {
  let best: One | null = null;
  let late = 0;
  for (let i = connections.length - 1; i >= 0; i -= 1) {
    const one = connections[i];
    if (one === undefined) continue;
    if (one.isOver) {
      connections.splice(i, 1);
      continue;
    }
    if (best === null || isBetter(one, best)) best = one;
    if (one.isLate) late += 1;
  }
  if (best === null) return null;
  if (best.isLate) return late < MAX_LATE_CONNECTIONS ? null : best;
  return best.pending === 0 || connections.length - late >= size ? best : null;
}

/** Open ones come first, late ones last; of those that are alike, the one with fewer exchanges. */
function isBetter(one: Shared, other: Shared): boolean {
  const [rank, otherRank] = [rankOf(one), rankOf(other)];
  return rank === otherRank ? one.pending < other.pending : rank < otherRank;
}

function rankOf({ isOpen, isLate }: Shared): number {
  return isOpen ? 0 : isLate ? 2 : 1;
}
