import type { Failure } from './transport.js';

/** A connection is late when it takes this multiple of the last connect time to the same instance. */
const MULTIPLE = 3;
/** A connection attempt without waiting calls is given up after this time, ms. */
export const GIVE_UP_MS = 15_000;
/** The maximum number of late connections to one instance; with fewer, a call opens a new one. */
export const MAX_LATE_CONNECTIONS = 3;

/** The failure of a request whose connection was overtaken by another one to the same instance. */
export const MOVED: Failure = { kind: 'moved', cause: new Error('another connection to the instance opened first') };

/**
 * The state of opening connections to one instance, the identity check included. A connection that is late is not ended: the path or the
 * instance may just be slow, and a call without an alternative waits for it. It is only marked as late, so that calls may use other
 * instances, or a new connection.
 */
export class Connecting {
  readonly #leastMs: number;
  #lastMs = 0;
  #stall: Failure | null = null;
  #stalledAt = -Infinity;

  /** `leastMs` is the minimum time before a connection counts as late, ms. */
  constructor(leastMs: number) {
    this.#leastMs = leastMs;
  }

  /** After this time a connection is late, ms. */
  get patienceMs(): number {
    return Math.max(this.#leastMs, MULTIPLE * this.#lastMs);
  }

  /**
   * Why connections are slow; the same object for connections that are late together. Null: no connection is late, or one has opened since.
   */
  get stall(): Failure | null {
    return this.#stall;
  }

  /** Records that a connection is late. `what`: the missing step and the address; `ms`: the elapsed time. */
  late(what: string, ms: number, now: number): void {
    if (this.#stall !== null && now < this.#stalledAt + this.patienceMs) return;
    this.#stalledAt = now;
    this.#stall = { kind: 'unreachable', cause: new Error(`${what} within ${Math.round(ms)} ms`) };
  }

  /** Records a connection that opened after this time, ms. */
  opened(ms: number): void {
    this.#lastMs = ms;
    this.#stall = null;
  }
}

/** A connection that several exchanges share. */
export interface Shared {
  /** True if no request may be sent over the connection any more. */
  readonly isOver: boolean;
  readonly isOpen: boolean;
  readonly isLate: boolean;
  /** Exchanges under way. */
  readonly pending: number;
}

/**
 * The connection of a pool that a request should take: the open one with the fewest exchanges, otherwise one that is opening. Null: open
 * another one, because all are busy and there are fewer than `size`, or because the opening ones are late. Removes closed connections.
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

/** Open connections come first, late ones last; between equals, the one with fewer exchanges. */
function isBetter(one: Shared, other: Shared): boolean {
  const [rank, otherRank] = [rankOf(one), rankOf(other)];
  return rank === otherRank ? one.pending < other.pending : rank < otherRank;
}

function rankOf({ isOpen, isLate }: Shared): number {
  return isOpen ? 0 : isLate ? 2 : 1;
}
