import type { Edge, EdgeTarget } from '@rollcall/core';
import { ManualTime, sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, SECRET, value, RegistryFixture } from '../registry.fixture.js';
import { CircuitEvents } from './circuits.js';
import { EventHistory } from './events.js';
import { Topology } from './topology.js';
import { Traffic } from './traffic.js';

const INTERVAL_MS = 5_000;
const caller = (n: number, service = 'gateway', namespace = 'default') =>
  sampleInstance({ id: `${service}-${n}`, service, namespace });
const edge = (service: string, fields: Partial<Edge> = {}): Edge => ({
  service,
  windowMs: 5_000,
  calls: 10,
  failures: 1,
  retries: 2,
  p50Ms: 4,
  p99Ms: 20,
  inFlight: 3,
  ...fields,
});

function setUp(max?: number) {
  const time = new ManualTime();
  const history = new EventHistory(time);
  history.begin();
  const traffic = new Traffic(time);
  const circuits = new CircuitEvents({ time, history, table: { get: () => ({}) } });
  const topology = new Topology({ time, policy: { intervalMs: INTERVAL_MS }, traffic, circuits }, max);
  const pairs = (namespace = '*'): string[] =>
    topology.topology(namespace).edges.map((one) => `${one.namespace}/${one.from}>${one.to}`);
  return { time, topology, pairs, traffic, circuits, history };
}

describe('Topology', () => {
  it('adds up the reports of the instances of a service about another', () => {
    const { topology, time } = setUp();
    topology.note(caller(1), [edge('orders')]);
    time.advance(2_000);
    topology.note(caller(2), [edge('orders', { calls: 30, windowMs: 10_000, p50Ms: 8, p99Ms: 15 })]);
    time.advance(1_000);
    expect(topology.topology('default').edges).toEqual([
      {
        namespace: 'default',
        from: 'gateway',
        to: 'orders',
        callers: 2,
        calls: 40,
        callsPerSecond: 5,
        failures: 2,
        retries: 4,
        p50Ms: 7,
        p99Ms: 20,
        inFlight: 6,
        ageMs: 1_000,
        circuits: { closed: 0, open: 0, halfOpen: 0 },
        targets: [],
      },
    ]);
  });

  it('counts an instance once even if it reports the same service twice', () => {
    const { topology } = setUp();
    topology.note(caller(1), [edge('orders'), edge('orders')]);
    topology.note(caller(2), [edge('orders')]);
    expect(topology.topology('default').edges).toMatchObject([{ callers: 2, calls: 30 }]);
  });

  it('has no times if there were too few calls', () => {
    const { topology } = setUp();
    topology.note(caller(1), [edge('orders', { calls: 0, p50Ms: null, p99Ms: null })]);
    expect(topology.topology('*').edges[0]).toMatchObject({ p50Ms: null, p99Ms: null, inFlight: 3 });
  });

  it('keeps the last report of each instance', () => {
    const { topology, pairs } = setUp();
    topology.note(caller(1), [edge('orders'), edge('users')]);
    topology.note(caller(1), [edge('users', { calls: 7 })]);
    expect(pairs()).toEqual(['default/gateway>users']);
    expect(topology.topology('*').edges[0]?.calls).toBe(7);
  });

  it('lists edges in order, of one namespace or of all', () => {
    const { topology, pairs } = setUp();
    topology.note(caller(1, 'web', 'shop'), [edge('b'), edge('a')]);
    topology.note(caller(1, 'api'), [edge('c')]);
    expect(pairs()).toEqual(['default/api>c', 'shop/web>a', 'shop/web>b']);
    expect(pairs('shop')).toEqual(['shop/web>a', 'shop/web>b']);
    expect(pairs('none')).toEqual([]);
  });

  it('forgets a caller without a report for three intervals', () => {
    const { topology, time, pairs } = setUp();
    topology.note(caller(1), [edge('orders')]);
    time.advance(10_000);
    topology.note(caller(2), [edge('users')]);
    time.advance(5_000);
    expect(pairs()).toEqual(['default/gateway>orders', 'default/gateway>users']);
    time.advance(1);
    expect(pairs()).toEqual(['default/gateway>users']);
    expect(topology.topology('*').withinMs).toBe(15_000);
  });

  it('keeps a limited number of edges, and has room again once older ones are forgotten', () => {
    const { topology, time, pairs } = setUp(3);
    topology.note(caller(1), [edge('a'), edge('b')]);
    topology.note(caller(2), [edge('c'), edge('d')]);
    expect(pairs()).toEqual(['default/gateway>a', 'default/gateway>b']);
    topology.note(caller(1), [edge('a')]);
    topology.note(caller(2), [edge('c'), edge('d')]);
    expect(pairs()).toEqual(['default/gateway>a', 'default/gateway>c', 'default/gateway>d']);
    time.advance(20_000);
    topology.note(caller(3), [edge('x'), edge('y'), edge('z')]);
    expect(pairs()).toHaveLength(3);
  });
});

const target = (instance: string, fields: Partial<EdgeTarget> = {}): EdgeTarget => ({
  instance,
  calls: 10,
  failures: 0,
  p99Ms: 5,
  circuit: 'closed',
  ...fields,
});
const targetsOf = (topology: Topology) => topology.topology('*').edges.flatMap(({ targets }) => targets);

describe('the targets of an edge', () => {
  it('are summed over the callers, each with one circuit per target, worst first', () => {
    const { topology } = setUp();
    const sick = target('orders-b', { calls: 5, failures: 4, p99Ms: 30, circuit: 'open' });
    topology.note(caller(1), [
      edge('orders', { targets: [target('orders-a'), sick] }),
      edge('orders', { targets: [sick] }),
    ]);
    const better = target('orders-b', { p99Ms: null, circuit: 'half-open' });
    topology.note(caller(2), [edge('orders', { windowMs: 10_000, targets: [better] })]);
    topology.note(caller(3), [edge('orders')]);
    expect(targetsOf(topology)).toEqual([
      {
        instance: 'orders-b',
        callsPerSecond: 3,
        failures: 8,
        p99Ms: 30,
        circuits: { closed: 0, open: 1, halfOpen: 1 },
      },
      {
        instance: 'orders-a',
        callsPerSecond: 2,
        failures: 0,
        p99Ms: 5,
        circuits: { closed: 1, open: 0, halfOpen: 0 },
      },
    ]);
  });

  it('count towards the limit, and are dropped before their edge', () => {
    const { topology, pairs } = setUp(4);
    const targets = [target('orders-a'), target('orders-b')];
    topology.note(caller(1), [edge('orders', { targets })]);
    topology.note(caller(2), [edge('orders', { targets })]);
    expect(topology.topology('*').edges).toMatchObject([{ callers: 2, targets: [{}, {}] }]);
    expect(targetsOf(topology)[0]?.circuits.closed).toBe(1);
    topology.note(caller(3), [edge('users')]);
    expect(pairs()).toEqual(['default/gateway>orders']);
    topology.note(caller(1), [edge('orders')]);
    topology.note(caller(3), [edge('users', { targets: targets.slice(1) })]);
    expect(pairs()).toEqual(['default/gateway>orders', 'default/gateway>users']);
  });

  it('cause events when a circuit opens and closes, even if a report between leaves it out', () => {
    const { topology, history } = setUp();
    const note = (targets: readonly EdgeTarget[]) => topology.note(caller(1), [edge('orders', { targets })]);
    note([target('orders-7d20', { circuit: 'open' })]);
    note([]);
    note([target('orders-7d20')]);
    note([target('orders-7d20')]);
    const query = { after: null, limit: 10, namespace: '*', services: [], kinds: [] };
    expect(history.events(query).events.map(({ kind, instance, text }) => [kind, instance, text])).toEqual([
      ['circuit', 'gateway-1', 'opened its circuit to orders…7d20'],
      ['circuit', 'gateway-1', 'closed its circuit to orders…7d20'],
    ]);
  });
});

it('counts the traffic of each window of a caller once, even if it is reported several times', () => {
  const { topology, time, traffic } = setUp();
  topology.note(caller(1), [edge('orders', { window: 7 })]);
  topology.note(caller(1), [edge('orders', { window: 7 }), edge('users', { window: 7 })]);
  topology.note(caller(2), [edge('orders', { window: 7 })]);
  // reports without windows are new each time
  topology.note(caller(3), [edge('orders')]);
  topology.note(caller(3), [edge('orders')]);
  time.advance(5_000);
  const callsTo = (to: string) => traffic.read({ namespace: '*', from: null, to, step: '5s' }).points.at(-1)?.calls;
  expect([callsTo('orders'), callsTo('users')]).toEqual([40, 10]);
});

describe('the topology of the registry', () => {
  it('is read from the beats of known instances, once for each beat', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const note = (seq: number, secret: string, to: string) =>
      fixture.registry.beat('orders-1', secret, { nonce: null, seq, edges: [edge(to)] });
    const edges = () => value(fixture.registry.topology('*')).edges.map(({ from, to }) => `${from}>${to}`);
    expect(codeOf(note(1_000, 'another-secret-of-132-bits', 'users'))).toBe('UNAUTHORIZED');
    expect(edges()).toEqual([]);
    value(note(1_000, SECRET, 'users'));
    value(note(999, SECRET, 'late'));
    value(note(1_000, SECRET, 'again'));
    expect(edges()).toEqual(['orders>users']);
    value(fixture.registry.beat('orders-1', SECRET, { nonce: null, seq: 1_001 }));
    expect(edges()).toEqual(['orders>users']);
  });

  it('is not available before the store is loaded', () => {
    expect(codeOf(new RegistryFixture().registry.topology('*'))).toBe('NOT_READY');
  });
});
