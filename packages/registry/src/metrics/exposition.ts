import { SECONDS_BUCKETS } from '@rollcall/core';
import type { Meter } from '@rollcall/core';

/** The text format of Prometheus, version 0.0.4, or OpenMetrics 1.0. */
export type ExpositionFormat = 'text' | 'openmetrics';

type Kind = 'counter' | 'gauge' | 'histogram';

/**
 * A time series. For a histogram, `value` is the sum, and `counts` the count per bucket, the last one above all bounds.
 */
interface Series {
  readonly values: readonly string[];
  readonly counts: Float64Array;
  value: number;
}

interface Instrument {
  readonly kind: Kind;
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  readonly series: Map<string, Series>;
}

const NO_BUCKETS: readonly number[] = [];

/**
 * A Meter with the exposition formats of Prometheus. Counting costs one look-up with labels and none without. A series
 * without labels exists from the start with 0, a labelled one from its first value on. The caller bounds the number of
 * series: see `Meter`.
 */
export class Exposition {
  readonly meter: Meter;
  readonly #instruments = new Map<string, Instrument>();

  constructor() {
    this.meter = this.#createMeter();
  }

  /** All values so far, sorted by name. */
  text(format: ExpositionFormat): string {
    const sorted = [...this.#instruments.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const lines = sorted.flatMap((instrument) => linesOf(instrument, format));
    return `${[...lines, ...(format === 'openmetrics' ? ['# EOF'] : [])].join('\n')}\n`;
  }

  /** Throws TypeError if the name exists with another kind, labels or buckets. */
  #instrument(wanted: Omit<Instrument, 'series'>): Instrument {
    const { name, kind, labels, buckets } = wanted;
    const known = this.#instruments.get(name);
    if (known === undefined) {
      const made = { ...wanted, series: new Map<string, Series>() };
      this.#instruments.set(name, made);
      return made;
    }
    const isSame = known.labels.join() === labels.join() && known.buckets.join() === buckets.join();
    if (known.kind === kind && isSame) return known;
    throw new TypeError(`${name} is taken, by a ${known.kind} with the labels [${known.labels.join()}].`);
  }

  #createMeter(): Meter {
    return {
      counter: (name, help, labelNames) => {
        const labels: readonly string[] = labelNames ?? [];
        const instrument = this.#instrument({ kind: 'counter', name, help, labels, buckets: NO_BUCKETS });
        if (labels.length === 0) {
          const only = onlyOf(instrument);
          return { add: (n, ..._none) => grow(only, n) };
        }
        const seriesOf = finder(instrument);
        return { add: (n, ...values) => grow(seriesOf(values), n) };
      },
      gauge: (name, help, labelNames) => {
        const labels: readonly string[] = labelNames ?? [];
        const instrument = this.#instrument({ kind: 'gauge', name, help, labels, buckets: NO_BUCKETS });
        const seriesOf = finder(instrument);
        return {
          set: (value, ...values) => {
            seriesOf(values).value = value;
          },
          add: (n, ...values) => {
            seriesOf(values).value += n;
          },
          forget: (...values) => void instrument.series.delete(keyOf(values)),
        };
      },
      // eslint-disable-next-line max-params -- the port's
      histogram: (name, help, labelNames, buckets = SECONDS_BUCKETS) => {
        const labels: readonly string[] = labelNames ?? [];
        const instrument = this.#instrument({ kind: 'histogram', name, help, labels, buckets });
        if (labels.length === 0) {
          const only = onlyOf(instrument);
          return { record: (value, ..._none) => record(only, buckets, value) };
        }
        const seriesOf = finder(instrument);
        return { record: (value, ...values) => record(seriesOf(values), buckets, value) };
      },
    };
  }
}

/** Creates the series of these values. */
function makeSeries({ series, buckets }: Instrument, values: readonly string[]): Series {
  const made = { values, counts: new Float64Array(buckets.length + 1), value: 0 };
  series.set(keyOf(values), made);
  return made;
}

/** The series of an instrument without labels, which exists from the start. */
const onlyOf = (instrument: Instrument): Series => instrument.series.get('') ?? makeSeries(instrument, []);

/** Returns a look-up of the series by label values, which creates a missing one. */
function finder(instrument: Instrument): (values: readonly string[]) => Series {
  const { series, labels } = instrument;
  if (labels.length === 0) onlyOf(instrument);
  if (labels.length === 1) return (values) => series.get(values[0] ?? '') ?? makeSeries(instrument, values);
  return (values) => series.get(keyOf(values)) ?? makeSeries(instrument, values);
}

const keyOf = (values: readonly string[]): string =>
  values.length === 1 ? (values[0] ?? '') : values.length === 0 ? '' : values.join('\u0000');

/** Adds to a counter. NaN or a negative number would spoil it for ever and is ignored. */
function grow(series: Series, n: number): void {
  if (n >= 0) series.value += n;
}

function record(series: Series, buckets: readonly number[], value: number): void {
  let bucket = 0;
  while (bucket < buckets.length && value > (buckets[bucket] ?? Infinity)) bucket += 1;
  series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
  series.value += value;
}

// ---- as text --------------------------------------------------------------------------------------------------------

function linesOf(instrument: Instrument, format: ExpositionFormat): readonly string[] {
  const { kind, name, help, series } = instrument;
  // in OpenMetrics the family of a counter lacks the suffix of its sample
  const family = format === 'openmetrics' && kind === 'counter' ? name.replace(/_total$/, '') : name;
  const head = [`# HELP ${family} ${escapedHelp(help, format)}`, `# TYPE ${family} ${kind}`];
  const samples = [...series.values()].flatMap((one) =>
    kind === 'histogram'
      ? bucketsOf(instrument, one, format)
      : [`${name}${labelled(instrument.labels, one.values)} ${numberText(one.value)}`],
  );
  return [...head, ...samples];
}

function bucketsOf({ name, labels, buckets }: Instrument, series: Series, format: ExpositionFormat): string[] {
  const names = [...labels, 'le'];
  let count = 0;
  const lines = [...buckets, Infinity].map((bound, index) => {
    count += series.counts[index] ?? 0;
    return `${name}_bucket${labelled(names, [...series.values, boundText(bound, format)])} ${count}`;
  });
  const of = labelled(labels, series.values);
  return [...lines, `${name}_sum${of} ${numberText(series.value)}`, `${name}_count${of} ${count}`];
}

function labelled(labels: readonly string[], values: readonly string[]): string {
  if (labels.length === 0) return '';
  return `{${labels.map((label, index) => `${label}="${escaped(values[index] ?? '')}"`).join(',')}}`;
}

const escaped = (text: string): string => text.replaceAll(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));

/** Only OpenMetrics escapes quotes. */
const escapedHelp = (text: string, format: ExpositionFormat): string =>
  format === 'openmetrics' ? escaped(text) : escaped(text).replaceAll(String.raw`\"`, '"');

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/** OpenMetrics writes bounds as floating-point numbers. */
const boundText = (bound: number, format: ExpositionFormat): string =>
  format === 'openmetrics' && Number.isInteger(bound) ? `${bound}.0` : numberText(bound);

// ---- two at once ----------------------------------------------------------------------------------------------------

/** A meter that counts in both. */
export function bothMeters(one: Meter, other: Meter): Meter {
  return {
    counter(name, help, labels) {
      const [first, second] = [one.counter(name, help, labels), other.counter(name, help, labels)];
      return {
        add(n, ...values) {
          first.add(n, ...values);
          second.add(n, ...values);
        },
      };
    },
    gauge(name, help, labels) {
      const [first, second] = [one.gauge(name, help, labels), other.gauge(name, help, labels)];
      return {
        set(value, ...values) {
          first.set(value, ...values);
          second.set(value, ...values);
        },
        add(n, ...values) {
          first.add(n, ...values);
          second.add(n, ...values);
        },
        forget(...values) {
          first.forget(...values);
          second.forget(...values);
        },
      };
    },
    // eslint-disable-next-line max-params -- the port's
    histogram(name, help, labels, buckets) {
      const [first, second] = [
        one.histogram(name, help, labels, buckets),
        other.histogram(name, help, labels, buckets),
      ];
      return {
        record(value, ...values) {
          first.record(value, ...values);
          second.record(value, ...values);
        },
      };
    },
  };
}
