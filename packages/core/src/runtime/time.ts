/**
 * The clock, handed in to everything that depends on time, so that the whole system runs in a deterministic simulation.
 * This file and `random.ts` are the only ones that touch the ambient clock and chance.
 */
export interface Time {
  /** Monotonic milliseconds from an arbitrary origin. Every decision is made from this. */
  now(): number;
  /** Wall clock, milliseconds since 1970. For people only: nothing is decided from it. */
  wall(): number;
  /**
   * Runs `run` once, `ms` milliseconds from now (0 … 2³¹ − 1; anything else is a RangeError, since Node would make it 1 ms).
   * A `background` timer does not keep the process alive; a timer that a caller awaits must not be one.
   */
  setTimer(ms: number, run: () => void, options?: TimerOptions): Timer;
}

export interface TimerOptions {
  readonly background?: boolean;
}

export interface Timer {
  /** Stops the timer; does nothing if it has run or was stopped. */
  cancel(): void;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Refuses a delay that `setTimeout` would silently turn into 1 ms. */
export function checkDelay(ms: number): void {
  if (!(ms >= 0 && ms <= LONGEST_TIMER_MS)) {
    throw new RangeError(`A timer takes 0 … ${LONGEST_TIMER_MS} ms; received ${ms}.`);
  }
}

/** The machine's own clock. */
export const systemTime: Time = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimer(ms, run, options) {
    checkDelay(ms);
    const handle: unknown = setTimeout(run, ms);
    if (options?.background === true) unref(handle);
    return { cancel: () => clearTimeout(handle as Parameters<typeof clearTimeout>[0]) };
  },
};

/** Resolves after `ms`, or as soon as `signal` aborts: the caller asks the signal which it was. */
export function sleep(time: Time, ms: number, options?: TimerOptions & { signal?: AbortSignal }): Promise<void> {
  const signal = options?.signal;
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = time.setTimer(ms, done, options);
    signal?.addEventListener('abort', done);
  });
}

/** Node's timers are objects with `unref`, a browser's are numbers, which keep nothing alive anyway. */
function unref(handle: unknown): void {
  if (typeof handle === 'object' && handle !== null && 'unref' in handle && typeof handle.unref === 'function') {
    handle.unref();
  }
}
