import { quantileMs } from './open-loop.js';
import type { OpenLoop, Outcome, Verb } from './open-loop.js';
import { timed } from './stage.js';

/** One execution, as whoever executed it noted it. */
export interface Note {
  readonly service: string;
  readonly verb: string;
  readonly id: string;
}

export interface RunParts {
  readonly load: OpenLoop;
  readonly faultAt: number;
  readonly service: string;
  readonly notes: readonly Note[];
}

/** A machine reads no more than people do. */
const SAID = 10;
/** How much worse it may be while something happens than the worst that was seen before. */
const NOISE = 3;
/** A process that makes its calls later than this, ms, measures itself. */
const FAIR_LAG_MS = 60;

/** A run that fails while this process could not make its calls in time is repeated once, and says so. */
export function fairly(intervalMs: number, run: () => Promise<void>): Promise<void> {
  return timed(intervalMs, run, FAIR_LAG_MS / intervalMs);
}

/** What a fault did to the calls that went on meanwhile. */
export class Run {
  readonly outcomes: readonly Outcome[];
  readonly faultAt: number;
  /** How late this machine is for reasons of its own: bounds are wider by so much. */
  readonly noiseMs: number;
  /** Had this process the time to make its calls? Else how long they took is not judged. */
  readonly isFair: boolean;
  readonly #parts: RunParts;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.outcomes = parts.load.outcomes;
    this.faultAt = parts.faultAt;
    const calm = this.of('find').filter(({ dueAt }) => dueAt < parts.faultAt);
    this.isFair = parts.load.lagMs <= FAIR_LAG_MS;
    this.noiseMs = NOISE * Math.max(parts.load.lagMs, quantileMs(calm, 1));
  }

  of(verb: Verb): readonly Outcome[] {
    return this.outcomes.filter((outcome) => outcome.verb === verb);
  }

  failed(verb: Verb): readonly Outcome[] {
    return this.of(verb).filter(({ failure }) => failure !== null);
  }

  /** Those that the fault made slow: since then, and longer than `ms` beside the noise. */
  slow(verb: Verb, ms: number): readonly Outcome[] {
    if (!this.isFair) return [];
    return this.of(verb).filter((outcome) => outcome.dueAt >= this.faultAt && outcome.ms > ms + this.noiseMs);
  }

  /** So much of all calls since the fault took at most so long beside the noise, ms. */
  quantileMs(verb: Verb, share: number): number {
    if (!this.isFair) return 0;
    const since = this.of(verb).filter(({ dueAt }) => dueAt >= this.faultAt);
    return Math.max(0, quantileMs(since, share) - this.noiseMs);
  }

  /** How many are made in so many ms. */
  made(verb: Verb, ms: number): number {
    return Math.ceil((ms * this.#parts.load.rates[verb]) / 1_000);
  }

  /** So many of all answers since the fault came from there. */
  share(verb: Verb, instance: string): number {
    const since = this.of(verb).filter(({ dueAt }) => dueAt >= this.faultAt);
    return since.filter((outcome) => outcome.instance === instance).length / since.length;
  }

  /** What must never be, whatever the fault, in words: an idempotent call that failed, and what no slow machine excuses. */
  get brokenPromises(): readonly string[] {
    const failed = this.failed('find').map(
      ({ id, failure }) => `${id} failed: ${failure?.text} ${failure?.attempts.join()}`,
    );
    const broken = [...failed, ...this.misdeeds];
    return broken.length <= SAID ? broken : [...broken.slice(0, SAID), `${broken.length} in all`];
  }

  /**
   * What no slow machine excuses, in words: a call that was executed by another service, one that was answered and not executed, or one
   * that may be executed once and was executed twice.
   */
  get misdeeds(): readonly string[] {
    const { notes, service } = this.#parts;
    const counts = new Map<string, number>();
    for (const { id } of notes) counts.set(id, (counts.get(id) ?? 0) + 1);
    const lost = this.outcomes.filter(({ id, failure }) => failure === null && !counts.has(id));
    const twice = this.of('book').filter(({ id }) => (counts.get(id) ?? 0) > 1);
    return [
      ...notes.filter((note) => note.service !== service).map(({ id, service: by }) => `${id} was executed by ${by}`),
      ...lost.map(({ id }) => `${id} was answered and not executed`),
      ...twice.map(({ id }) => `${id} was executed ${counts.get(id)} times`),
    ];
  }

  /** For the eye. */
  get figures(): string {
    const { load } = this.#parts;
    const ms = (verb: Verb): string =>
      [0.5, 0.99, 0.999, 1].map((share) => quantileMs(this.of(verb), share).toFixed(1)).join(' / ');
    return [
      `${load.made} made, ${load.late} late, lag ${load.lagMs.toFixed(0)} ms, noise ${this.noiseMs.toFixed(0)} ms`,
      `find p50/p99/p99.9/max ${ms('find')}; book ${ms('book')}`,
      `failed: ${this.failed('find').length} find, ${this.failed('book').length} book`,
    ].join('; ');
  }
}
