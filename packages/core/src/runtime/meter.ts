/**
 * The port for metrics. Names are `rollcall_<what>_<base unit>` (seconds, bytes, ratio; counters end in `_total`).
 * Label values come from a small set that is known beforehand (service, state, outcome), never from an id, an address
 * or untrusted input. Create instruments once, at start, and keep them: the same name returns the same instrument, and
 * the same name with another kind or other labels throws a TypeError.
 */
export interface Meter {
  /** The exposition format in which the application can publish these metrics; undefined if unknown. */
  readonly exposition?: 'prometheus';
  /** A value that only increases. `labels` are the label names, in the order in which `add` takes their values. */
  counter<const Labels extends readonly string[] = []>(name: string, help: string, labels?: Labels): Counter<Labels>;
  /** A value that goes up and down. */
  gauge<const Labels extends readonly string[] = []>(name: string, help: string, labels?: Labels): Gauge<Labels>;
  /** Counts observed values in buckets. `buckets` are ascending upper bounds, by default `SECONDS_BUCKETS`. */
  histogram<const Labels extends readonly string[] = []>(
    name: string,
    help: string,
    labels?: Labels,
    buckets?: readonly number[],
  ): Histogram<Labels>;
}

/** One value for each label name: a missing label does not compile. */
export type LabelValues<Labels extends readonly string[]> = { readonly [Index in keyof Labels]: string };

export interface Counter<Labels extends readonly string[] = []> {
  /** `n` ≥ 0. Never throws. */
  add(n: number, ...values: LabelValues<Labels>): void;
}

export interface Gauge<Labels extends readonly string[] = []> {
  set(value: number, ...values: LabelValues<Labels>): void;
  /** `n` may be negative. */
  add(n: number, ...values: LabelValues<Labels>): void;
  /** Removes one series, because its object no longer exists and 0 would be wrong. */
  forget(...values: LabelValues<Labels>): void;
}

export interface Histogram<Labels extends readonly string[] = []> {
  /** Records one value, in the unit of the name. */
  record(value: number, ...values: LabelValues<Labels>): void;
}

/** Upper bounds in seconds for the duration of a call: from 0.5 ms to 10 s. */
export const SECONDS_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const noop = (): void => {};
const noInstrument = { add: noop, set: noop, forget: noop, record: noop };

/** Discards every measurement. */
export const noMeter: Meter = {
  counter: () => noInstrument,
  gauge: () => noInstrument,
  histogram: () => noInstrument,
};
