import type { Edge } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Edges } from './edges.js';
import { codeOf, SECRET, value, World } from './registry.fixture.js';

const INTERVAL_MS = 5_000;
const caller = (n: number, service = 'gateway', namespace = 'default') => ({
  id: `${service}-${n}`,
  service,
  namespace,
});
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

function setUp(most?: number) {
  const time = new ManualTime();
  const edges = new Edges(time, INTERVAL_MS, most);
  const pairs = (namespace = '*'): string[] =>
    edges.topology(namespace).edges.map((one) => `${one.namespace}/${one.from}>${one.to}`);
  return { time, edges, pairs };
}

describe('Edges', () => {
  it('adds up what the instances of a service tell of another', () => {
    const { edges, time } = setUp();
    edges.note(caller(1), [edge('orders')]);
    time.advance(2_000);
    edges.note(caller(2), [edge('orders', { calls: 30, windowMs: 10_000, p50Ms: 8, p99Ms: 15 })]);
    time.advance(1_000);
    expect(edges.topology('default').edges).toEqual([
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
      },
    ]);
  });

  it('counts an instance once that tells of the same service twice', () => {
    const { edges } = setUp();
    edges.note(caller(1), [edge('orders'), edge('orders')]);
    edges.note(caller(2), [edge('orders')]);
    expect(edges.topology('default').edges).toMatchObject([{ callers: 2, calls: 30 }]);
  });

  it('has no times where there were too few calls to say', () => {
    const { edges } = setUp();
    edges.note(caller(1), [edge('orders', { calls: 0, p50Ms: null, p99Ms: null })]);
    expect(edges.topology('*').edges[0]).toMatchObject({ p50Ms: null, p99Ms: null, inFlight: 3 });
  });

  it('keeps of each instance its last word', () => {
    const { edges, pairs } = setUp();
    edges.note(caller(1), [edge('orders'), edge('users')]);
    edges.note(caller(1), [edge('users', { calls: 7 })]);
    expect(pairs()).toEqual(['default/gateway>users']);
    expect(edges.topology('*').edges[0]?.calls).toBe(7);
  });

  it('shows them in order, of one namespace or of all', () => {
    const { edges, pairs } = setUp();
    edges.note(caller(1, 'web', 'shop'), [edge('b'), edge('a')]);
    edges.note(caller(1, 'api'), [edge('c')]);
    expect(pairs()).toEqual(['default/api>c', 'shop/web>a', 'shop/web>b']);
    expect(pairs('shop')).toEqual(['shop/web>a', 'shop/web>b']);
    expect(pairs('none')).toEqual([]);
  });

  it('forgets who has said nothing for three intervals', () => {
    const { edges, time, pairs } = setUp();
    edges.note(caller(1), [edge('orders')]);
    time.advance(10_000);
    edges.note(caller(2), [edge('users')]);
    time.advance(5_000);
    expect(pairs()).toEqual(['default/gateway>orders', 'default/gateway>users']);
    time.advance(1);
    expect(pairs()).toEqual(['default/gateway>users']);
    expect(edges.topology('*').withinMs).toBe(15_000);
  });

  it('keeps so many and no more, and has room again when older ones are forgotten', () => {
    const { edges, time, pairs } = setUp(3);
    edges.note(caller(1), [edge('a'), edge('b')]);
    edges.note(caller(2), [edge('c'), edge('d')]);
    expect(pairs()).toEqual(['default/gateway>a', 'default/gateway>b']);
    edges.note(caller(1), [edge('a')]);
    edges.note(caller(2), [edge('c'), edge('d')]);
    expect(pairs()).toEqual(['default/gateway>a', 'default/gateway>c', 'default/gateway>d']);
    time.advance(20_000);
    edges.note(caller(3), [edge('x'), edge('y'), edge('z')]);
    expect(pairs()).toHaveLength(3);
  });
});

describe('the registry, who calls whom', () => {
  it('takes it from the beats of those it knows, once for each beat', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const tell = (seq: number, secret: string, to: string) =>
      world.registry.beat('orders-1', secret, { nonce: null, seq, edges: [edge(to)] });
    const told = () => value(world.registry.topology('*')).edges.map(({ from, to }) => `${from}>${to}`);
    expect(codeOf(tell(1_000, 'another-secret-of-132-bits', 'users'))).toBe('UNAUTHORIZED');
    expect(told()).toEqual([]);
    value(tell(1_000, SECRET, 'users'));
    value(tell(999, SECRET, 'late'));
    value(tell(1_000, SECRET, 'again'));
    expect(told()).toEqual(['orders>users']);
    value(world.registry.beat('orders-1', SECRET, { nonce: null, seq: 1_001 }));
    expect(told()).toEqual(['orders>users']);
  });

  it('is not told before the store is loaded', () => {
    expect(codeOf(new World().registry.topology('*'))).toBe('NOT_READY');
  });
});
