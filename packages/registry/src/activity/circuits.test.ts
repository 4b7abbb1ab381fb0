import type { Circuit, Edge } from '@rollcall/core';
import { ManualTime, sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { CircuitEvents } from './circuits.js';
import { EventHistory } from './events.js';

const QUERY = { after: null, limit: 1_000, namespace: '*', services: [], kinds: ['circuit'] } as const;
const web = sampleInstance({ id: 'web-0001', service: 'web' });

function setUp() {
  const time = new ManualTime();
  const history = new EventHistory(time);
  history.begin();
  const gone = new Set<string>();
  const circuits = new CircuitEvents({ time, history, table: { get: (id) => (gone.has(id) ? undefined : {}) } });
  const report = (...states: readonly [string, Circuit][]): void => circuits.note(web, [edgeTo('payments', states)]);
  const texts = (): string[] => history.events(QUERY).events.map(({ text }) => text);
  return { time, history, circuits, report, texts, gone };
}

function edgeTo(service: string, circuits: readonly [string, Circuit][]): Edge {
  const targets = circuits.map(([instance, circuit]) => ({ instance, calls: 1, failures: 0, p99Ms: null, circuit }));
  return {
    service,
    windowMs: 5_000,
    calls: 1,
    failures: 0,
    retries: 0,
    p50Ms: null,
    p99Ms: null,
    inFlight: 0,
    targets,
  };
}

const storm = (count: number, circuit: Circuit): [string, Circuit][] =>
  Array.from({ length: count }, (_, n) => [`payments-${1_000 + n}`, circuit]);

describe('CircuitEvents', () => {
  it('reports once that a circuit opens, and once that it closes again', () => {
    const { history, report, texts } = setUp();
    report(['payments-7d20', 'closed']);
    expect(texts()).toEqual([]);
    report(['payments-7d20', 'open']);
    report(['payments-7d20', 'half-open']);
    // a report that leaves out a service changes nothing about it
    report();
    report(['payments-7d20', 'open']);
    report(['payments-7d20', 'closed']);
    report(['payments-7d20', 'closed']);
    expect(texts()).toEqual(['opened its circuit to payments…7d20', 'closed its circuit to payments…7d20']);
    expect(history.timeline('web-0001').events).toHaveLength(2);
    expect(history.events(QUERY).events[0]).toMatchObject({ kind: 'circuit', service: 'web', instance: 'web-0001' });
  });

  it('forgets a removed instance, as no caller will report that its circuit has closed', () => {
    const { report, gone, texts } = setUp();
    report(['payments-7d20', 'open'], ['payments-1e07', 'open']);
    gone.add('payments-7d20');
    report();
    // a later instance with that id is a new one
    gone.clear();
    report(['payments-7d20', 'open'], ['payments-1e07', 'open']);
    expect(texts()).toEqual([
      'opened its circuit to payments…7d20',
      'opened its circuit to payments…1e07',
      'opened its circuit to payments…7d20',
    ]);
  });

  it('reports a storm in one event, besides the first 20 of each second', () => {
    const { time, circuits, report, texts } = setUp();
    report(...storm(150, 'open'));
    circuits.sweep();
    expect(texts()).toHaveLength(20);
    time.advance(1_000);
    circuits.sweep();
    circuits.sweep();
    expect(texts()).toHaveLength(21);
    expect(texts().at(-1)).toBe('130 more circuits opened or closed');
    report(...storm(15, 'closed'));
    expect(texts()).toHaveLength(36);
  });

  it('reports a storm that does not end in few events, and counts every circuit', () => {
    const { time, circuits, history, report } = setUp();
    for (let second = 0; second < 300; second += 1) {
      report(...storm(150, second % 2 === 0 ? 'open' : 'closed'));
      time.advance(1_000);
      circuits.sweep();
    }
    time.advance(60_000);
    circuits.sweep();
    const { events } = history.events({ ...QUERY, after: 0 });
    expect(events.length).toBeLessThanOrEqual(6 * 120);
    const counted = events.reduce((sum, { text }) => sum + Number(/^(\d+) more/.exec(text)?.[1] ?? 1), 0);
    expect(counted).toBe(300 * 150);
  });

  it('follows a limited number of circuits per caller', () => {
    const { time, report, circuits, texts } = setUp();
    report(...storm(500, 'open'));
    time.advance(1_000);
    circuits.sweep();
    expect(texts().at(-1)).toBe('180 more circuits opened or closed');
  });

  it('follows 50,000 circuits in all: beyond it, those of the caller that reported longest ago are forgotten', () => {
    const { time, circuits, history } = setUp();
    const report = (n: number): void =>
      circuits.note(sampleInstance({ id: `web-${n}`, service: 'web' }), [edgeTo('payments', storm(200, 'open'))]);
    for (let n = 0; n <= 250; n += 1) report(n);
    for (let seconds = 0; seconds < 62; seconds += 1) {
      time.advance(1_000);
      circuits.sweep();
    }
    const seq = history.events(QUERY).events.at(-1)?.seq ?? 0;
    const since = () => history.events({ ...QUERY, after: seq }).events.map(({ instance }) => instance);
    report(250);
    expect(since()).toEqual([]);
    report(0);
    expect(since()).toEqual(Array.from({ length: 20 }, () => 'web-0'));
  });
});
