import type { Time } from '@rollcall/core';

/** What the requests of one server have in common. */
export interface RequestKind {
  /** For people: `GET /orders/7`, `tcp find`. Asked when a request has to be told of. */
  nameOf(request: object): string;
  /** Does the server fetch its requests itself, as from a broker? Those go on coming until it closes, whoever hears of a drain. */
  readonly isPulled: boolean;
}

interface Work {
  readonly beganAt: number;
  readonly isStream: () => boolean;
  readonly kind: RequestKind;
}

/** Which requests a drain waits for. */
export interface Awaiting {
  /** Whatever began before is no reason to put off the end of a process. */
  readonly since: number;
  /** Nor what was pulled after this. */
  readonly pulledUntil: number;
}

const never = (): boolean => false;
const OF_NO_NAME: RequestKind = { nameOf: () => 'a request', isPulled: false };
/** So many are told of by name. */
const MOST_NAMED = 3;

/** The requests that this process is working on, over all its servers. Each is named by an object of its transport's own. */
export class InFlight {
  readonly #time: Time;
  readonly #open = new Map<object, Work>();
  #changedAt = 0;

  constructor(time: Time) {
    this.#time = time;
  }

  /** `isStream` tells, when it is asked, whether this one goes on for as long as its caller likes. */
  begin(request: object, isStream: () => boolean = never, kind: RequestKind = OF_NO_NAME): void {
    const now = this.#time.now();
    if (!kind.isPulled) this.#changedAt = now;
    this.#open.set(request, { beganAt: now, isStream, kind });
  }

  /** May be called twice, and for a request that never began. */
  end(request: object): void {
    const work = this.#open.get(request);
    if (work === undefined) return;
    this.#open.delete(request);
    if (!work.kind.isPulled) this.#changedAt = this.#time.now();
  }

  get count(): number {
    return this.#open.size;
  }

  /** Monotonic ms of the last begin or end of one that a caller sent here. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** Those somebody waits for; a stream is none. */
  awaited(awaiting: Awaiting): number {
    let awaited = 0;
    for (const work of this.#open.values()) if (isAwaited(work, awaiting)) awaited += 1;
    return awaited;
  }

  /** `tcp find (for 300 ms), …`: all of them, the first ones by name. */
  describe(): string {
    const now = this.#time.now();
    const named = [...this.#open]
      .slice(0, MOST_NAMED)
      .map(([request, { beganAt, kind }]) => `${kind.nameOf(request)} (for ${Math.round(now - beganAt)} ms)`);
    return [...named, ...(this.#open.size > MOST_NAMED ? [`${this.#open.size - MOST_NAMED} more`] : [])].join(', ');
  }
}

function isAwaited({ beganAt, isStream, kind }: Work, { since, pulledUntil }: Awaiting): boolean {
  if (beganAt < since || (kind.isPulled && beganAt > pulledUntil)) return false;
  return !isStream();
}

/**
 * How long no request has come, as far as this process had the time to see one: while it stands still (a pause of the collector, a share of
 * the processor that is used up), requests wait in its sockets, and to take that for quiet would cut them. So the time between two looks
 * counts as at most two steps.
 */
export class Stillness {
  readonly #stepMs: number;
  readonly #beganAt: number;
  #at: number;
  #stillMs = 0;

  constructor(now: number, stepMs: number) {
    this.#beganAt = now;
    this.#at = now;
    this.#stepMs = stepMs;
  }

  /** To be called every step, with when a request last began or ended. Returns how long it has been still, ms. */
  lookedAt(now: number, changedAt: number): number {
    const seenMs = this.#stillMs + Math.min(now - this.#at, 2 * this.#stepMs);
    this.#stillMs = Math.min(seenMs, now - Math.max(this.#beganAt, changedAt));
    this.#at = now;
    return this.#stillMs;
  }
}
