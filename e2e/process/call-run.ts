import { quantileMs } from './open-loop.js';
import type { OpenLoop, Outcome, Verb } from './open-loop.js';
import { timed } from './stage.js';

/** One execution, as recorded by the process that executed it. */
export interface Execution {
  readonly service: string;
  readonly verb: string;
  readonly id: string;
}

export interface RunParts {
  readonly load: OpenLoop;
  readonly faultAt: number;
  readonly service: string;
  readonly executions: readonly Execution[];
}

/** The number of failures that are printed at most. */
const MAX_SHOWN = 10;
/** How much worse it may be during a fault than the worst that was measured before. */
const NOISE_FACTOR = 3;
/** If calls are made later than this, ms, the test measures its own process. */
const FAIR_LAG_MS = 60;

/** A run that fails while this process could not make its calls in time is repeated once, and logs that. */
export function repeatIfLate(intervalMs: number, run: () => Promise<void>): Promise<void> {
  return timed(intervalMs, run, FAIR_LAG_MS / intervalMs);
}

/** The effect of a fault on the calls during it. */
export class Run {
  readonly outcomes: readonly Outcome[];
  readonly faultAt: number;
  /** The delay that this machine causes by itself, ms: added to the bounds. */
  readonly noiseMs: number;
  /** Whether this process had the time to make its calls. If not, durations are not judged. */
  readonly isFair: boolean;
  readonly #parts: RunParts;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.outcomes = parts.load.outcomes;
    this.faultAt = parts.faultAt;
    const beforeFault = this.of('find').filter(({ dueAt }) => dueAt < parts.faultAt);
    this.isFair = parts.load.lagMs <= FAIR_LAG_MS;
    this.noiseMs = NOISE_FACTOR * Math.max(parts.load.lagMs, quantileMs(beforeFault, 1));
  }

  of(verb: Verb): readonly Outcome[] {
    return this.outcomes.filter((outcome) => outcome.verb === verb);
  }

  failed(verb: Verb): readonly Outcome[] {
    return this.of(verb).filter(({ failure }) => failure !== null);
  }

  /** The calls that the fault made slow: since then, and longer than `ms` plus the noise. */
  slow(verb: Verb, ms: number): readonly Outcome[] {
    if (!this.isFair) return [];
    return this.of(verb).filter((outcome) => outcome.dueAt >= this.faultAt && outcome.ms > ms + this.noiseMs);
  }

  /** The quantile of the durations of all calls since the fault, minus the noise, ms. */
  quantileMs(verb: Verb, share: number): number {
    if (!this.isFair) return 0;
    const since = this.of(verb).filter(({ dueAt }) => dueAt >= this.faultAt);
    return Math.max(0, quantileMs(since, share) - this.noiseMs);
  }

  /** The number of calls made within `ms`. */
  expectedCalls(verb: Verb, ms: number): number {
    return Math.ceil((ms * this.#parts.load.rates[verb]) / 1_000);
  }

  /** The share of all answers since the fault that came from an instance. */
  share(verb: Verb, instance: string): number {
    const since = this.of(verb).filter(({ dueAt }) => dueAt >= this.faultAt);
    return since.filter((outcome) => outcome.instance === instance).length / since.length;
  }

  /**
   * Violations that no fault may cause, as texts: an idempotent call that failed, and whatever a slow machine does not
   * excuse.
   */
  get violations(): readonly string[] {
    const failed = this.failed('find').map(
      ({ id, failure }) => `${id} failed: ${failure?.text} ${failure?.attempts.join()}`,
    );
    const violations = [...failed, ...this.strictViolations];
    return violations.length <= MAX_SHOWN
      ? violations
      : [...violations.slice(0, MAX_SHOWN), `${violations.length} in all`];
  }

  /**
   * Violations that a slow machine does not excuse, as texts: a call that was executed by another service, one that was
   * answered and not executed, or one that may be executed once and was executed twice.
   */
  get strictViolations(): readonly string[] {
    const { executions: notes, service } = this.#parts;
    const counts = new Map<string, number>();
    for (const { id } of notes) counts.set(id, (counts.get(id) ?? 0) + 1);
    const lost = this.outcomes.filter(({ id, failure }) => failure === null && !counts.has(id));
    const executedTwice = this.of('book').filter(({ id }) => (counts.get(id) ?? 0) > 1);
    return [
      ...notes
        .filter((execution) => execution.service !== service)
        .map(({ id, service: by }) => `${id} was executed by ${by}`),
      ...lost.map(({ id }) => `${id} was answered and not executed`),
      ...executedTwice.map(({ id }) => `${id} was executed ${counts.get(id)} times`),
    ];
  }

  /** For readers of the output. */
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
