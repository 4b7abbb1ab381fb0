import type { Time } from '@rollcall/core';

/** The properties that the requests of one server share. */
export interface RequestKind {
  /** The name of a request for messages: `GET /orders/7`, `tcp find`. Called when a request must be named. */
  nameOf(request: object): string;
  /**
   * True if the server fetches its requests itself, as from a broker: they keep coming until it closes, regardless of a
   * drain.
   */
  readonly isPulled: boolean;
}

interface Work {
  readonly beganAt: number;
  readonly isStream: () => boolean;
  readonly kind: RequestKind;
}

/** The requests for which a drain waits. */
export interface Awaiting {
  /** Requests that began before this are not awaited. */
  readonly since: number;
  /** Nor are requests that were pulled after this. */
  readonly pulledUntil: number;
}

const never = (): boolean => false;
const UNNAMED: RequestKind = { nameOf: () => 'a request', isPulled: false };
/** How many requests are named. */
const MAX_NAMED = 3;

/** The requests in flight of this process, over all its servers. The key of each is an object of its transport. */
export class InFlight {
  readonly #time: Time;
  readonly #open = new Map<object, Work>();
  #changedAt = 0;

  constructor(time: Time) {
    this.#time = time;
  }

  /** `isStream` returns, at any later time, whether the request lasts as long as its caller likes. */
  begin(request: object, isStream: () => boolean = never, kind: RequestKind = UNNAMED): void {
    const now = this.#time.now();
    if (!kind.isPulled) this.#changedAt = now;
    this.#open.set(request, { beganAt: now, isStream, kind });
  }

  /** Ends a request. May be called twice, and for a request that never began. */
  end(request: object): void {
    const work = this.#open.get(request);
    if (work === undefined) return;
    this.#open.delete(request);
    if (!work.kind.isPulled) this.#changedAt = this.#time.now();
  }

  get count(): number {
    return this.#open.size;
  }

  /** Monotonic ms of the last begin or end of a request that a caller sent. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** The requests that a caller waits for, without streams. */
  awaited(awaiting: Awaiting): number {
    let awaited = 0;
    for (const work of this.#open.values()) if (isAwaited(work, awaiting)) awaited += 1;
    return awaited;
  }

  /** `tcp find (for 300 ms), …`: all of them, the first ones by name. */
  describe(): string {
    const now = this.#time.now();
    const named = [...this.#open]
      .slice(0, MAX_NAMED)
      .map(([request, { beganAt, kind }]) => `${kind.nameOf(request)} (for ${Math.round(now - beganAt)} ms)`);
    return [...named, ...(this.#open.size > MAX_NAMED ? [`${this.#open.size - MAX_NAMED} more`] : [])].join(', ');
  }
}

function isAwaited({ beganAt, isStream, kind }: Work, { since, pulledUntil }: Awaiting): boolean {
  if (beganAt < since || (kind.isPulled && beganAt > pulledUntil)) return false;
  return !isStream();
}

/**
 * Measures how long no request has arrived, as far as this process had the time to see one: while it stalls (a garbage
 * collection, an exhausted CPU quota), requests wait in its sockets, and counting that as quiet would cut them. So the
 * time between two checks counts as at most two steps.
 */
export class IdleTimer {
  readonly #stepMs: number;
  readonly #beganAt: number;
  #at: number;
  #idleMs = 0;

  constructor(now: number, stepMs: number) {
    this.#beganAt = now;
    this.#at = now;
    this.#stepMs = stepMs;
  }

  /**
   * Call it every step with the time of the last begin or end of a request. Returns how long there was no request, in
   * ms.
   */
  observe(now: number, changedAt: number): number {
    const seenMs = this.#idleMs + Math.min(now - this.#at, 2 * this.#stepMs);
    this.#idleMs = Math.min(seenMs, now - Math.max(this.#beganAt, changedAt));
    this.#at = now;
    return this.#idleMs;
  }
}
