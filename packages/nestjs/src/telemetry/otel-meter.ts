import { metrics } from '@opentelemetry/api';
import type { Attributes, Meter as OtelMeter, MetricOptions } from '@opentelemetry/api';
import { SECONDS_BUCKETS } from '@rollcall/core';
import type { Counter, Gauge, Histogram, Meter } from '@rollcall/core';

type Labels = readonly string[];

interface Made {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: string;
  readonly instrument: unknown;
}

/** The unit in the name, as UCUM for OpenTelemetry. */
const UNITS: readonly (readonly [RegExp, string])[] = [
  [/_seconds(_total)?$/, 's'],
  [/_bytes(_total)?$/, 'By'],
];

/**
 * A meter on @opentelemetry/api: `forRoot({ meter: otelMeter() })`. docs/METRICS.md lists the metrics; exporters to
 * Prometheus use the same names. Start the SDK first: instruments of a global provider that does not exist yet record
 * nothing.
 */
export function otelMeter(meter: OtelMeter = metrics.getMeter('@rollcall/nestjs')): Meter {
  const known = new Map<string, Made>();

  function one<Instrument>(kind: Made['kind'], name: string, labels: Labels, make: () => Instrument): Instrument {
    const before = known.get(name);
    if (before === undefined) {
      const instrument = make();
      known.set(name, { kind, labels: labels.join(), instrument });
      return instrument;
    }
    if (before.kind === kind && before.labels === labels.join()) return before.instrument as Instrument; // of this kind
    throw new TypeError(`${name} is a ${before.kind} with the labels [${before.labels}] already.`);
  }

  return {
    counter: (name, help, labels = NONE as never) =>
      one('counter', name, labels, () => counterOf(meter, name, optionsOf(name, help), labels)),
    gauge: (name, help, labels = NONE as never) =>
      one('gauge', name, labels, () => gaugeOf(meter, name, optionsOf(name, help), labels)),
    // eslint-disable-next-line max-params -- the port's
    histogram: (name, help, labels = NONE as never, buckets = SECONDS_BUCKETS) =>
      one('histogram', name, labels, () => {
        const advice = { explicitBucketBoundaries: [...buckets] };
        return histogramOf(meter, name, { ...optionsOf(name, help), advice }, labels);
      }),
  };
}

const NONE: Labels = [];

function optionsOf(name: string, description: string): MetricOptions {
  const unit = UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? '1';
  return { description, unit };
}

function counterOf(meter: OtelMeter, name: string, options: MetricOptions, labels: Labels): Counter<Labels> {
  const counter = meter.createCounter(name, options);
  return { add: (n, ...values) => counter.add(n, attributesOf(labels, values)) };
}

function histogramOf(meter: OtelMeter, name: string, options: MetricOptions, labels: Labels): Histogram<Labels> {
  const histogram = meter.createHistogram(name, options);
  return { record: (value, ...values) => histogram.record(value, attributesOf(labels, values)) };
}

/** Observed at each export, so that a removed series is no longer exported. */
function gaugeOf(meter: OtelMeter, name: string, options: MetricOptions, labels: Labels): Gauge<Labels> {
  const series = new Map<string, { value: number; readonly attributes: Attributes }>();
  const seriesOf = (values: readonly string[]): { value: number } => {
    const key = JSON.stringify(values);
    const made = series.get(key) ?? { value: 0, attributes: attributesOf(labels, values) };
    series.set(key, made);
    return made;
  };
  meter.createObservableGauge(name, options).addCallback((result) => {
    for (const { value, attributes } of series.values()) result.observe(value, attributes);
  });
  return {
    set(value, ...values) {
      seriesOf(values).value = value;
    },
    add(n, ...values) {
      seriesOf(values).value += n;
    },
    forget: (...values) => void series.delete(JSON.stringify(values)),
  };
}

function attributesOf(labels: Labels, values: readonly string[]): Attributes {
  const made: Attributes = {};
  for (let i = 0; i < labels.length; i += 1) made[labels[i] ?? ''] = values[i] ?? '';
  return made;
}
