/**
 * Where a component counts. Names are `rollcall_<what>_<base unit>` (seconds, bytes, ratio; counters end in `_total`); the
 * values of a label come from a small set that is known beforehand (service, state, outcome: never an id, an address or
 * anything a stranger can choose). Instruments are made once, at start, and kept: asking again for the same name gives the
 * same instrument, and asking for it with another kind or other labels is a TypeError.
 */
export interface Meter {
  /** Whose format the application can show what is counted in; left out: nothing is known of that. */
  readonly exposition?: 'prometheus';
  /** Only grows. `labels` are the names of the labels, in the order in which `add` takes their values. */
  counter<const Labels extends readonly string[] = []>(name: string, help: string, labels?: Labels): Counter<Labels>;
  /** Goes up and down. */
  gauge<const Labels extends readonly string[] = []>(name: string, help: string, labels?: Labels): Gauge<Labels>;
  /** Counts values by size. `buckets` are ascending upper bounds, by default `SECONDS_BUCKETS`. */
  histogram<const Labels extends readonly string[] = []>(
    name: string,
    help: string,
    labels?: Labels,
    buckets?: readonly number[],
  ): Histogram<Labels>;
}

/** One value for each label name: a forgotten label does not compile. */
export type LabelValues<Labels extends readonly string[]> = { readonly [Index in keyof Labels]: string };

export interface Counter<Labels extends readonly string[] = []> {
  /** `n` ≥ 0. Never throws. */
  add(n: number, ...values: LabelValues<Labels>): void;
}

export interface Gauge<Labels extends readonly string[] = []> {
  set(value: number, ...values: LabelValues<Labels>): void;
  /** `n` may be negative. */
  add(n: number, ...values: LabelValues<Labels>): void;
  /** Drops one series: what it measured is gone, and 0 would be a lie. */
  forget(...values: LabelValues<Labels>): void;
}

export interface Histogram<Labels extends readonly string[] = []> {
  /** A value in the unit that the name says. */
  record(value: number, ...values: LabelValues<Labels>): void;
}

/** Upper bounds in seconds for the time a call takes: from half a millisecond to ten seconds. */
export const SECONDS_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const nothing = (): void => {};
const noInstrument = { add: nothing, set: nothing, forget: nothing, record: nothing };

/** Counts nothing. */
export const noMeter: Meter = {
  counter: () => noInstrument,
  gauge: () => noInstrument,
  histogram: () => noInstrument,
};
