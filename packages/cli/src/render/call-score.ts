import type { CallTracer } from '@rollcall/client';
import type { InstanceId } from '@rollcall/core';
import { aligned, tripText } from '../terminal/texts.js';

/** Attempts at one instance. */
interface Tally {
  attempts: number;
  failed: number;
  readonly times: number[];
}

export interface InstanceScore {
  readonly instance: InstanceId;
  readonly attempts: number;
  readonly failed: number;
  /** Durations of the attempts that succeeded; null: none did. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** The results of all calls. */
export interface Score {
  readonly calls: number;
  readonly failed: number;
  /** Attempts after the first of a call. */
  readonly wentElsewhere: number;
  readonly seconds: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly instances: readonly InstanceScore[];
  /** The errors of calls: each sentence with its count, most frequent first. */
  readonly errors: readonly { readonly text: string; readonly times: number }[];
}

/** Records the outcomes of a client's calls and attempts, by instance. */
export class ScoreRecorder {
  readonly #now: () => number;
  readonly #tallies = new Map<InstanceId, Tally>();
  readonly #times: number[] = [];
  readonly #errors = new Map<string, number>();
  #failed = 0;
  #furtherAttempts = 0;
  /** The instance of the attempt that ended last. */
  #lastInstance: InstanceId | null = null;

  /** `now`: monotonic ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The instance that answered last; null: none. */
  get lastInstance(): InstanceId | null {
    return this.#lastInstance;
  }

  /** The tracer for the client. */
  get tracer(): CallTracer {
    return {
      begin: () => ({
        attempt: ({ instance, number }) => {
          if (number > 1) this.#furtherAttempts += 1;
          const tally = this.#tallies.get(instance.id) ?? { attempts: 0, failed: 0, times: [] };
          this.#tallies.set(instance.id, tally);
          tally.attempts += 1;
          const startedAt = this.#now();
          return {
            carrier: {},
            within: (send) => send(),
            value: () => {},
            ended: (outcome) => {
              if (outcome === 'success') tally.times.push(this.#now() - startedAt);
              else tally.failed += 1;
              this.#lastInstance = instance.id;
            },
          };
        },
        ended: () => {},
      }),
    };
  }

  succeeded(ms: number): void {
    this.#times.push(ms);
  }

  failed(text: string): void {
    this.#failed += 1;
    this.#errors.set(text, (this.#errors.get(text) ?? 0) + 1);
  }

  score(seconds: number): Score {
    const tallies = [...this.#tallies].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return {
      calls: this.#times.length + this.#failed,
      failed: this.#failed,
      wentElsewhere: this.#furtherAttempts,
      seconds,
      p50Ms: quantile(this.#times, 0.5),
      p99Ms: quantile(this.#times, 0.99),
      instances: tallies.map(([instance, { attempts, failed, times }]) => {
        return { instance, attempts, failed, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
      }),
      errors: [...this.#errors].map(([text, times]) => ({ text, times })).toSorted((a, b) => b.times - a.times),
    };
  }
}

/** The value below which `share` (0 … 1) of the values lie, to 0.01; null of nothing. */
export function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return Math.round(value * 100) / 100;
}

const msText = (ms: number | null): string => (ms === null ? '–' : tripText(ms));

/** The score as lines of text. `nameOf`: the printed name of an instance. */
export function scoreLines(score: Score, nameOf: (id: InstanceId) => string): readonly string[] {
  const { calls, failed, wentElsewhere, seconds, p50Ms, p99Ms, instances, errors } = score;
  const perSecond = seconds > 0 ? Math.round(calls / seconds).toLocaleString('en-US') : '–';
  const rows = instances.map((row) => [
    nameOf(row.instance),
    String(row.attempts),
    String(row.failed),
    msText(row.p50Ms),
    msText(row.p99Ms),
  ]);
  return [
    `calls ${calls}  failed ${failed}  went elsewhere ${wentElsewhere}  p50 ${msText(p50Ms)}  p99 ${msText(p99Ms)}  ${seconds.toFixed(2)} s, ${perSecond}/s`,
    ...aligned([['INSTANCE', 'ATTEMPTS', 'FAILED', 'P50', 'P99'], ...rows]),
    ...errors.map(({ text, times }) => `${times} ×  ${text}`),
  ];
}
