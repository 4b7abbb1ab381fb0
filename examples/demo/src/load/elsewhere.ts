import { isRecord } from '@rollcall/core';
import { RegistryApi } from 'rollcall';

/** A step of the registry's history of calls, as far as it is needed here. */
interface Step {
  /** Its end; wall clock, ms since 1970. */
  readonly at: number;
  /** Attempts after the first. */
  readonly retries: number;
}

const LOOK_EVERY_MS = 1_000;
/** The ends of steps are told to the millisecond, rounded. */
const SAME_STEP_MS = 100;

/**
 * How many calls went to another instance, as the callers tell the registry with their heartbeats: nobody but a caller can know of them.
 * A caller tells after its window of 5 s, the registry after its step of 5 s: the number is up to 10 s old. It outlives the registry,
 * whose history begins anew with it.
 */
export class Elsewhere {
  readonly #timer: NodeJS.Timeout;
  readonly #api: RegistryApi;
  #isAsking = false;
  #readUntil = Date.now();
  #sum = 0;

  /** `registry`: its URL. */
  constructor(registry: string) {
    this.#api = new RegistryApi(registry);
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
  }

  get count(): number {
    return this.#sum;
  }

  /** May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    // while it is away nothing is heard; what it was told and had not yet said is lost with it
    const answer = await this.#api.read('/api/v1/traffic?step=5s').catch(() => ({ points: [] }));
    this.#isAsking = false;
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
