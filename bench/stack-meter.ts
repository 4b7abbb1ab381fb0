import { SECONDS_BUCKETS } from '@rollcall/core';
import type { Counter, Gauge, Histogram, Meter } from '@rollcall/core';

/** One series of a histogram, as an exporter would read it. */
interface Series {
  readonly counts: Float64Array;
  sum: number;
}

/**
 * A meter that counts like a production one: a series for each combination of labels, buckets, sums. Two labels at
 * most.
 */
export class CountingMeter implements Meter {
  readonly #histograms = new Map<string, SeriesOf<Series>>();

  counter(): Counter<readonly string[]> {
    const series = new SeriesOf(() => ({ sum: 0 }));
    return {
      add(n, first = '', second = '') {
        series.of(first, second).sum += n;
      },
    };
  }

  gauge(): Gauge<readonly string[]> {
    const series = new SeriesOf(() => ({ value: 0 }));
    return {
      set(value, first = '', second = '') {
        series.of(first, second).value = value;
      },
      add(n, first = '', second = '') {
        series.of(first, second).value += n;
      },
      forget() {},
    };
  }

  histogram(
    name: string,
    _help: string,
    _labels: readonly string[] = [],
    buckets: readonly number[] = SECONDS_BUCKETS,
  ): Histogram<readonly string[]> {
    const bounds = Float64Array.from(buckets);
    const series = new SeriesOf<Series>(() => ({ counts: new Float64Array(bounds.length + 1), sum: 0 }));
    this.#histograms.set(name, series);
    return {
      record(value, first = '', second = '') {
        const entry = series.of(first, second);
        let place = 0;
        while (place < bounds.length && value > (bounds[place] ?? Infinity)) place += 1;
        entry.counts[place] = (entry.counts[place] ?? 0) + 1;
        entry.sum += value;
      },
    };
  }

  /** The number of values recorded in the histogram. */
  recorded(name: string): number {
    let sum = 0;
    for (const { counts } of this.#histograms.get(name)?.all() ?? []) for (const count of counts) sum += count;
    return sum;
  }
}

/** Found by two labels, without joining them to a key. */
class SeriesOf<Value> {
  readonly #make: () => Value;
  readonly #byFirst = new Map<string, Map<string, Value>>();

  constructor(make: () => Value) {
    this.#make = make;
  }

  of(first: string, second: string): Value {
    let bySecond = this.#byFirst.get(first);
    if (bySecond === undefined) this.#byFirst.set(first, (bySecond = new Map()));
    let entry = bySecond.get(second);
    if (entry === undefined) bySecond.set(second, (entry = this.#make()));
    return entry;
  }

  *all(): Iterable<Value> {
    for (const bySecond of this.#byFirst.values()) yield* bySecond.values();
  }
}
