import { SECONDS_BUCKETS } from '@rollcall/core';
import type { Meter } from '@rollcall/core';
import { Counter, Gauge, Histogram, register as usual } from 'prom-client';
import type { Registry } from 'prom-client';

/**
 * A meter on a register of prom-client, by default the global one: `forRoot({ meter: prometheusMeter() })`.
 * docs/METRICS.md lists the metrics. Give each of two applications in one process its own register, or their numbers
 * add up.
 *
 * Throws a TypeError for a name that is registered with another meaning.
 */
export function prometheusMeter(register: Registry = usual): Meter {
  const registers = [register];

  /** Reuses an existing equal metric, which another meter or another application may have registered. */
  function one<Instrument extends Counter | Gauge | Histogram>(
    name: string,
    kind: new (...terms: never) => Instrument,
    labels: readonly string[],
    make: () => Instrument,
  ): Instrument {
    const before: unknown = register.getSingleMetric(name);
    if (before === undefined) return make();
    if (before instanceof kind && String(Reflect.get(before, 'labelNames')) === labels.join()) return before;
    throw new TypeError(
      `${name} is taken in this register of prom-client, by something of another kind or with other labels.`,
    );
  }

  return {
    exposition: 'prometheus',
    counter(name, help, labelNames) {
      const labels: readonly string[] = labelNames ?? [];
      const counter = one(name, Counter, labels, () => new Counter({ name, help, labelNames: labels, registers }));
      return { add: (n, ...values) => counter.inc(labelled(labels, values), n) };
    },
    gauge(name, help, labelNames) {
      const labels: readonly string[] = labelNames ?? [];
      const gauge = one(name, Gauge, labels, () => new Gauge({ name, help, labelNames: labels, registers }));
      return {
        set: (value, ...values) => gauge.set(labelled(labels, values), value),
        add: (n, ...values) => gauge.inc(labelled(labels, values), n),
        forget: (...values) => gauge.remove(labelled(labels, values)),
      };
    },
    // eslint-disable-next-line max-params -- the port's
    histogram(name, help, labelNames, buckets = SECONDS_BUCKETS) {
      const labels: readonly string[] = labelNames ?? [];
      const make = () => new Histogram({ name, help, labelNames: labels, registers, buckets: [...buckets] });
      const histogram = one(name, Histogram, labels, make);
      return { record: (value, ...values) => histogram.observe(labelled(labels, values), value) };
    },
  };
}

function labelled(labels: readonly string[], values: readonly string[]): Record<string, string> {
  const made: Record<string, string> = {};
  for (let i = 0; i < labels.length; i += 1) made[labels[i] ?? ''] = values[i] ?? '';
  return made;
}
