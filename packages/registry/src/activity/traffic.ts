import type { Edge, Time, TrafficAnswer, TrafficPoint } from '@rollcall/core';

/** Names of the step lengths. */
export type Step = '5s' | '1m';
export const STEPS: readonly [Step, Step] = ['5s', '1m'];

export interface TrafficQuery {
  /** A namespace, or `*`. */
  readonly namespace: string;
  /** The calling service; null: any. */
  readonly from: string | null;
  /** The service called; null: any. */
  readonly to: string | null;
  readonly step: Step;
}

/** A quarter of an hour, and a day. */
const SPANS: Readonly<Record<Step, { readonly stepMs: number; readonly steps: number }>> = {
  '5s': { stepMs: 5_000, steps: 180 },
  '1m': { stepMs: 60_000, steps: 1_440 },
};
const DAY_MS = 86_400_000;
/**
 * Maximum number of pairs of services; beyond it, the pair that was reported longest ago is dropped. A pair takes at
 * most 35 KiB, after a day of calls.
 */
const MAX_PAIRS = 1_000;

/** The calling service and the called one. */
export interface Pair {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
}

/**
 * How many calls went from service to service, for a quarter of an hour in steps of 5 s and for a day in steps of a
 * minute. In memory only. A report counts for the step in which it arrives.
 */
export class Traffic {
  readonly #time: Pick<Time, 'now' | 'wall'>;
  readonly #max: number;
  readonly #begunAt: number;
  /** The pair that was reported longest ago comes first. */
  readonly #pairs = new Map<string, PairHistory>();

  constructor(time: Pick<Time, 'now' | 'wall'>, max: number = MAX_PAIRS) {
    this.#time = time;
    this.#max = max;
    this.#begunAt = time.now();
  }

  /** One window of one caller. The caller of this method ensures that none comes twice. */
  note(pair: Pair, edge: Pick<Edge, 'calls' | 'failures' | 'retries' | 'p99Ms'>): void {
    if (edge.calls === 0 && edge.retries === 0) return;
    const now = this.#time.now();
    const key = `${pair.namespace}/${pair.from}/${pair.to}`;
    const history = this.#pairs.get(key) ?? new PairHistory(pair);
    this.#pairs.delete(key);
    this.#forget(now, this.#max - 1);
    this.#pairs.set(key, history);
    history.lastAt = now;
    for (const step of STEPS) history[step].add(Math.floor(now / SPANS[step].stepMs), edge);
  }

  read({ namespace, from, to, step }: TrafficQuery): TrafficAnswer {
    const now = this.#time.now();
    this.#forget(now, this.#max);
    const { stepMs, steps } = SPANS[step];
    const fits = [...this.#pairs.values()].filter(
      ({ pair }) =>
        (namespace === '*' || pair.namespace === namespace) &&
        (from === null || pair.from === from) &&
        (to === null || pair.to === to),
    );
    const rings = fits.map((history) => history[step]);
    // an unfinished step would look like a decrease
    const end = Math.floor(now / stepMs);
    const points: TrafficPoint[] = [];
    for (let number = Math.max(end - steps, Math.floor(this.#begunAt / stepMs)); number < end; number += 1) {
      const at = Math.round(this.#time.wall() - now + (number + 1) * stepMs);
      points.push({ at, ...sumOf(rings, number) });
    }
    return { stepMs, points };
  }

  /** Removes services without a report for a day, and those beyond `max`. */
  #forget(now: number, max: number): void {
    for (const [key, { lastAt }] of this.#pairs) {
      if (now - lastAt <= DAY_MS && this.#pairs.size <= max) return;
      this.#pairs.delete(key);
    }
  }
}

class PairHistory {
  readonly pair: Pair;
  lastAt = 0;
  readonly '5s' = new Ring(SPANS['5s'].steps);
  readonly '1m' = new Ring(SPANS['1m'].steps);

  constructor(pair: Pair) {
    this.pair = pair;
  }
}

function sumOf(rings: readonly Ring[], number: number): Omit<TrafficPoint, 'at'> {
  let [calls, failures, retries, p99Ms] = [0, 0, 0, 0];
  for (const ring of rings) {
    const at = ring.placeOf(number);
    if (at === null) continue;
    const { cells } = at;
    calls += cells[at.place] ?? 0;
    failures += cells[at.place + 1] ?? 0;
    retries += cells[at.place + 2] ?? 0;
    p99Ms = Math.max(p99Ms, cells[at.place + 3] ?? 0);
  }
  return { calls, failures, retries, p99Ms: p99Ms === 0 ? null : Math.round(p99Ms * 10) / 10 };
}

/** Number of steps allocated together, once the first of them has calls: 960 bytes. */
const CHUNK = 60;
/** Calls, failures, retries, and the highest p99, which is above 0 if there is one. */
const CELLS = 4;

interface Chunk {
  number: number;
  /** Whole numbers up to 16 million. */
  readonly cells: Float32Array;
}

/** The last steps up to a limit, in chunks that are allocated as needed. */
class Ring {
  /** One chunk more than the steps need, since the newest chunk is not full. */
  readonly #chunks: (Chunk | null)[];

  constructor(steps: number) {
    this.#chunks = Array.from({ length: steps / CHUNK + 1 }, () => null);
  }

  add(step: number, { calls, failures, retries, p99Ms }: Pick<Edge, 'calls' | 'failures' | 'retries' | 'p99Ms'>): void {
    const cells = this.#chunkFor(Math.floor(step / CHUNK));
    const place = CELLS * (step % CHUNK);
    cells[place] = (cells[place] ?? 0) + calls;
    cells[place + 1] = (cells[place + 1] ?? 0) + failures;
    cells[place + 2] = (cells[place + 2] ?? 0) + retries;
    cells[place + 3] = Math.max(cells[place + 3] ?? 0, p99Ms ?? 0);
  }

  /** The position of the numbers of a step; null: there are none. */
  placeOf(step: number): { readonly cells: Float32Array; readonly place: number } | null {
    const number = Math.floor(step / CHUNK);
    const chunk = this.#chunks[number % this.#chunks.length] ?? null;
    return chunk === null || chunk.number !== number ? null : { cells: chunk.cells, place: CELLS * (step % CHUNK) };
  }

  #chunkFor(number: number): Float32Array {
    const at = number % this.#chunks.length;
    const chunk = (this.#chunks[at] ??= { number, cells: new Float32Array(CELLS * CHUNK) });
    if (chunk.number !== number) {
      chunk.number = number;
      chunk.cells.fill(0);
    }
    return chunk.cells;
  }
}
