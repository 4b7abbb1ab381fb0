/** A benchmark: one question. */
export interface Bench {
  readonly name: string;
  /** The question, in one sentence. */
  readonly question: string;
  run(report: Report): Promise<void>;
}

/** One result: the median of several runs, with its spread. */
export interface Figure {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** The bound, as text: `>= 1.0 x`. */
  readonly target?: string;
  /** The same measure of the baseline, in the same run. */
  readonly baseline?: number;
  /** value ÷ baseline, taken pair by pair; the median. */
  readonly ratio?: number;
  /** Lowest and highest of `value` (and of the ratio). */
  readonly spread: readonly [number, number];
  readonly ratioSpread?: readonly [number, number];
  readonly runs: number;
}

export type Report = (figure: Figure) => void;

const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);

/** The value below which `share` (0 … 1) of the values lie; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const all = sorted(values);
  return all[Math.min(all.length - 1, Math.floor(share * all.length))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const spreadOf = (values: readonly number[]): [number, number] => {
  const all = sorted(values);
  return [round(all[0] ?? Number.NaN), round(all.at(-1) ?? Number.NaN)];
};

/** Four significant digits: more than a noisy machine resolves. */
export const round = (value: number): number => Number(value.toPrecision(4));

interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

/** One figure of pairs that were measured in turns, so that a drifting machine affects both alike. */
export function paired(metric: string, unit: string, pairs: readonly Pair[], target?: string): Figure {
  const ours = pairs.map((pair) => pair.ours);
  const ratios = pairs.map((pair) => pair.ours / pair.theirs);
  return {
    metric,
    unit,
    value: round(median(ours)),
    baseline: round(median(pairs.map((pair) => pair.theirs))),
    ratio: round(median(ratios)),
    spread: spreadOf(ours),
    ratioSpread: spreadOf(ratios),
    runs: pairs.length,
    ...(target === undefined ? {} : { target }),
  };
}

/** One figure without a baseline. */
export function single(metric: string, unit: string, values: readonly number[], target?: string): Figure {
  const base = { metric, unit, value: round(median(values)), spread: spreadOf(values), runs: values.length };
  return target === undefined ? base : { ...base, target };
}
