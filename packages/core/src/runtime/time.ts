/**
 * The port for the clock, injected into everything that depends on time, so that the whole system runs in a deterministic
 * simulation. Only this file and `random.ts` use the ambient clock and randomness.
 */
export interface Time {
  /** Monotonic milliseconds from an arbitrary origin. Every decision uses this clock. */
  now(): number;
  /** Wall clock, milliseconds since 1970. For display only: no decision uses it. */
  wall(): number;
  /**
   * Runs `run` once, `ms` milliseconds from now (0 … 2³¹ − 1; any other value throws a RangeError, since Node would use
   * 1 ms). A `background` timer does not keep the process alive, so it must not be one that a caller awaits.
   */
  setTimer(ms: number, run: () => void, options?: TimerOptions): Timer;
}

export interface TimerOptions {
  readonly background?: boolean;
}

export interface Timer {
  /** Cancels the timer; a no-op once it has run or was cancelled. */
  cancel(): void;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Throws a RangeError for a delay that `setTimeout` would silently turn into 1 ms. */
export function checkDelay(ms: number): void {
  if (!(ms >= 0 && ms <= LONGEST_TIMER_MS)) {
    throw new RangeError(`A timer takes 0 … ${LONGEST_TIMER_MS} ms; received ${ms}.`);
  }
}

/** The clock of the machine. */
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

/** Resolves after `ms` milliseconds, or as soon as `signal` aborts; the signal shows which it was. Never rejects. */
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

/** In Node a timer is an object with `unref`; in a browser it is a number and never keeps a process alive. */
function unref(handle: unknown): void {
  if (typeof handle === 'object' && handle !== null && 'unref' in handle && typeof handle.unref === 'function') {
    handle.unref();
  }
}
