import { describe, expect, it } from 'vitest';
import { bothMeters, Exposition } from './exposition.js';

function counted(): Exposition {
  const exposition = new Exposition();
  const { meter } = exposition;
  meter.counter('rollcall_b_total', 'What "b" is.\nReally.', ['service']).add(2, 'a"b\\c\nd');
  meter.gauge('rollcall_a', 'Now.').set(-1.5);
  const seconds = meter.histogram('rollcall_c_seconds', 'How long.', [], [0.5, 1]);
  for (const value of [0.25, 0.5, 0.75, 7]) seconds.record(value);
  return exposition;
}

describe('the exposition', () => {
  it('is text for Prometheus', () => {
    expect(counted().text('text')).toBe(
      String.raw`# HELP rollcall_a Now.
# TYPE rollcall_a gauge
rollcall_a -1.5
# HELP rollcall_b_total What "b" is.\nReally.
# TYPE rollcall_b_total counter
rollcall_b_total{service="a\"b\\c\nd"} 2
# HELP rollcall_c_seconds How long.
# TYPE rollcall_c_seconds histogram
rollcall_c_seconds_bucket{le="0.5"} 2
rollcall_c_seconds_bucket{le="1"} 3
rollcall_c_seconds_bucket{le="+Inf"} 4
rollcall_c_seconds_sum 8.5
rollcall_c_seconds_count 4
`,
    );
  });

  it('is OpenMetrics on request', () => {
    const text = counted().text('openmetrics');
    expect(text).toContain('# TYPE rollcall_b counter\nrollcall_b_total{');
    expect(text).toContain(String.raw`# HELP rollcall_b What \"b\" is.\nReally.`);
    expect(text).toContain('rollcall_c_seconds_bucket{le="1.0"} 3\n');
    expect(text.endsWith('\n# EOF\n')).toBe(true);
  });

  it('has series without labels from the start, and series that return after removal', () => {
    const exposition = new Exposition();
    exposition.meter.counter('rollcall_none_total', 'None.');
    const gauge = exposition.meter.gauge('rollcall_some', 'Some.', ['state']);
    const plain = exposition.meter.gauge('rollcall_plain', 'Plain.');
    expect(exposition.text('text')).toContain('rollcall_none_total 0\n');
    gauge.set(1, 'A');
    gauge.set(2, 'B');
    gauge.forget('A');
    plain.forget();
    expect(exposition.text('text')).toContain('rollcall_some{state="B"} 2');
    expect(exposition.text('text')).not.toMatch(/rollcall_some\{state="A"\}|^rollcall_plain /m);
    plain.add(3);
    expect(exposition.text('text')).toContain('rollcall_plain 3\n');
  });

  it('has one instrument per name, and rejects another meaning of the name', () => {
    const { meter } = new Exposition();
    meter.counter('rollcall_a_total', 'A.', ['x']);
    expect(() => meter.counter('rollcall_a_total', 'A.', ['x'])).not.toThrow();
    expect(() => meter.gauge('rollcall_a_total', 'A.')).toThrow(TypeError);
    expect(() => meter.counter('rollcall_a_total', 'A.', ['y'])).toThrow(/rollcall_a_total is taken/);
  });

  it('counts in two meters alike', () => {
    const [one, other] = [new Exposition(), new Exposition()];
    const meter = bothMeters(one.meter, other.meter);
    meter.counter('rollcall_a_total', 'A.', ['x']).add(2, 'y');
    const gauge = meter.gauge('rollcall_b', 'B.', ['x']);
    gauge.set(1, 'y');
    gauge.add(2, 'y');
    gauge.set(1, 'z');
    gauge.forget('z');
    meter.histogram('rollcall_c_seconds', 'C.', [], [1]).record(0.5);
    expect(one.text('text')).toBe(other.text('text'));
    expect(one.text('text')).toContain('rollcall_b{x="y"} 3\n# HELP');
    expect(one.text('text')).toContain('rollcall_c_seconds_count 1');
  });
});
