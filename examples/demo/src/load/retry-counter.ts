import { isRecord } from '@rollcall/core';
import { RegistryApi } from 'rollcall';

/** A step of the registry's call history, with the fields that are used here. */
interface Step {
  /** Its end; wall clock, ms since 1970. */
  readonly at: number;
  /** Attempts after the first. */
  readonly retries: number;
}

const POLL_EVERY_MS = 1_000;
/** The ends of steps are reported in rounded milliseconds. */
const SAME_STEP_MS = 100;

/**
 * The number of calls that were retried on another instance, as callers report it to the registry with their
 * heartbeats: only a caller knows it. A caller reports after its window of 5 s, the registry after its step of 5 s: the
 * number is up to 10 s old. It outlives the registry, whose history starts empty.
 */
export class RetryCounter {
  readonly #timer: NodeJS.Timeout;
  readonly #api: RegistryApi;
  #isPolling = false;
  #readUntil = Date.now();
  #sum = 0;

  /** `registry`: its URL. */
  constructor(registry: string) {
    this.#api = new RegistryApi(registry);
    this.#timer = setInterval(() => void this.#poll(), POLL_EVERY_MS);
  }

  get count(): number {
    return this.#sum;
  }

  /** May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return;
    this.#isPolling = true;
    // while the registry is down there is no answer; reports that it had not yet published are lost with it
    const answer = await this.#api.read('/api/v1/traffic?step=5s').catch(() => ({ points: [] }));
    this.#isPolling = false;
    for (const { at, retries } of stepsIn(answer['points'])) {
      if (at <= this.#readUntil + SAME_STEP_MS) continue;
      this.#readUntil = at;
      this.#sum += retries;
    }
  }
}

function stepsIn(points: unknown): readonly Step[] {
  if (!Array.isArray(points)) return [];
  return points.filter(isRecord).map(({ at, retries }) => ({ at: Number(at), retries: Number(retries) }));
}
