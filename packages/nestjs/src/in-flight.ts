import type { Time } from '@rollcall/core';

interface Work {
  readonly beganAt: number;
  readonly isStream: () => boolean;
}

const never = (): boolean => false;

/** The requests that this process is working on, over all its servers. Each is named by an object of its transport's own. */
export class InFlight {
  readonly #time: Time;
  readonly #open = new Map<object, Work>();
  #changedAt = 0;

  constructor(time: Time) {
    this.#time = time;
  }

  /** `isStream` tells, when it is asked, whether this one goes on for as long as its caller likes. */
  begin(request: object, isStream: () => boolean = never): void {
    this.#changedAt = this.#time.now();
    this.#open.set(request, { beganAt: this.#changedAt, isStream });
  }

  /** May be called twice, and for a request that never began. */
  end(request: object): void {
    if (this.#open.delete(request)) this.#changedAt = this.#time.now();
  }

  get count(): number {
    return this.#open.size;
  }

  /** Monotonic ms of the last begin or end. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** Those somebody waits for. A stream, and whatever began before `since`, is no reason to put off the end of a process. */
  awaited(since: number): number {
    let awaited = 0;
    for (const work of this.#open.values()) {
      if (work.beganAt >= since && !work.isStream()) awaited += 1;
    }
    return awaited;
  }
}
