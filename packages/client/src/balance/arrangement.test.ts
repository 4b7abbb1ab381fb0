import type { Instance } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { NO_PREFERENCES } from './arrangement.js';
import type { Preferences } from './arrangement.js';
import { createBalancer, createFleet, createPickArgs, CALLABLE } from './balance.fixture.js';
import type { Balancer, BalancerParts } from './balancer.js';
import type { Node } from './nodes/node.js';
import { selectorFor } from './nodes/selector.js';
import type { Selector } from './nodes/selector.js';
import { PowerOfTwo } from './pickers/pickers.js';

function build(
  instances: readonly Instance[],
  preferences: Partial<Preferences> = {},
  parts: Partial<BalancerParts<Node>> = {},
): Balancer<Node> {
  const random = seededRandom(3);
  const all = { preferences: { ...NO_PREFERENCES, ...preferences }, ...parts };
  const balancer = createBalancer({ picker: new PowerOfTwo(random), random, parts: all });
  balancer.update(instances, 0);
  return balancer;
}

function pickedBy(balancer: Balancer<Node>, now = 0, selector: Selector = CALLABLE): readonly string[] {
  const ids = new Set<string>();
  for (let i = 0; i < 400; i += 1) {
    const node = balancer.pick(createPickArgs({ now, selector }));
    if (node !== null) ids.add(node.id);
  }
  return [...ids].toSorted();
}

/** `zones` is one letter for each instance: `orders-0` in zone `a`, … */
const inZones = (zones: string, state: Instance['state'] = 'HEALTHY'): readonly Instance[] =>
  Array.from(zones, (zone, i) => createInstance({ id: `${zone}${i}`, zone, state }));

function fill(node: Node | undefined): void {
  node?.limit.overloaded(0, 0, 20);
  for (let left = node?.limit.gate ?? 0; left > 0; left -= 1) node?.begin(0, false);
}

function eject(balancer: Balancer<Node>, id: string, now = 0): void {
  const node = balancer.node(id);
  if (node === undefined) throw new Error(`no ${id}`);
  for (let i = 0; i < 5; i += 1) balancer.failed(node, now);
}

it.each([5, 200, 201, 700])(
  'a subset of size %i contains the instances with the highest rank for this caller',
  (subsetSize) => {
    const balancer = build(createFleet(1_000), { subsetSize });
    const ranks = [...balancer.nodes].map(({ rank }) => rank).toSorted((one, other) => other - one);
    const statuses = balancer.nodeStatuses(0);
    const chosen = [...balancer.nodes].filter((node) => statuses.get(node)?.isPreferred === true);
    expect(chosen.map(({ rank }) => rank).toSorted((one, other) => other - one)).toEqual(ranks.slice(0, subsetSize));
  },
);

describe('the zone of the caller', () => {
  const near: Partial<Preferences> = { zone: 'a', minInZone: 3 };

  it('is preferred if it has enough HEALTHY instances', () => {
    expect(pickedBy(build(inZones('aaabbb'), near))).toEqual(['a0', 'a1', 'a2']);
    expect(pickedBy(build(inZones('aabbb'), near))).toEqual(['a0', 'a1', 'b2', 'b3', 'b4']);
  });

  it('does not count UNHEALTHY or ejected instances', () => {
    const balancer = build(inZones('aaabbb'), near);
    eject(balancer, 'a0');
    expect(pickedBy(balancer)).toEqual(['a1', 'a2', 'b3', 'b4', 'b5']);
    const instances = inZones('aaabbb').map((one) => (one.id === 'a1' ? { ...one, state: 'UNHEALTHY' as const } : one));
    expect(pickedBy(build(instances, near))).not.toContain('a1');
    expect(pickedBy(build(instances, near))).toContain('b5');
  });

  it('sends calls to other zones only when its instances are full', () => {
    const balancer = build(inZones('aaabbb'), near);
    fill(balancer.node('a0'));
    fill(balancer.node('a1'));
    expect(pickedBy(balancer, 1)).toEqual(['a2']);
    fill(balancer.node('a2'));
    expect(pickedBy(balancer, 1)).toEqual(['b3', 'b4', 'b5']);
  });

  it('makes no difference if no instance declares its zone', () => {
    expect(pickedBy(build(inZones('aaabbb'), { zone: '' }))).toHaveLength(6);
  });
});

describe('a subset', () => {
  const small: Partial<Preferences> = { subsetSize: 20 };

  it('is used for a service with 100 instances, but not for a smaller one', () => {
    expect(pickedBy(build(createFleet(99), small)).length).toBeGreaterThan(80);
    expect(pickedBy(build(createFleet(100), small))).toHaveLength(20);
  });

  it('differs between callers', () => {
    const one = pickedBy(build(createFleet(400), small, { callerId: 'one' }));
    const other = pickedBy(build(createFleet(400), small, { callerId: 'other' }));
    expect(one.filter((id) => other.includes(id)).length).toBeLessThan(8);
  });

  it('gives each instance about the same number of callers', () => {
    const callers = new Map<string, number>();
    for (let i = 0; i < 100; i += 1) {
      const balancer = build(createFleet(100), small, { callerId: `gateway-${i}` });
      for (const [node, { isPreferred }] of balancer.nodeStatuses(0)) {
        if (isPreferred) callers.set(node.id, (callers.get(node.id) ?? 0) + 1);
      }
    }
    // 20 on average; binomial, five deviations of 4
    expect(callers.size).toBe(100);
    expect(Math.max(...callers.values())).toBeLessThanOrEqual(40);
  });

  it('changes by one instance when an instance of it leaves, and does not change when another instance leaves', () => {
    fc.assert(
      fc.property(fc.nat(149), fc.string(), (gone, callerId) => {
        const fleet = createFleet(150);
        const balancer = build(fleet, small, { callerId });
        const preferred = (now: number): readonly string[] =>
          [...balancer.nodeStatuses(now)].flatMap(([{ id }, { isPreferred }]) => (isPreferred ? [id] : []));
        const before = preferred(0);
        balancer.update(fleet.toSpliced(gone, 1), 1);
        const after = preferred(1);
        expect(after).toHaveLength(20);
        const lost = before.filter((id) => !after.includes(id));
        expect(lost).toEqual(before.filter((id) => id === `orders-${gone}`));
      }),
      { numRuns: 50 },
    );
  });

  it('sends calls outside of the subset only when its instances are full', () => {
    const balancer = build(createFleet(100), small);
    for (const [node, { isPreferred }] of balancer.nodeStatuses(0)) if (isPreferred) fill(node);
    expect(pickedBy(balancer, 1).length).toBeGreaterThan(60);
  });
});

describe('version and metadata', () => {
  const standard = CALLABLE;
  const selectorWith = (metadata: Record<string, string>): Selector =>
    selectorFor({ states: undefined, version: undefined, metadata }, standard);

  it('restrict a call to instances with all of these keys and values', () => {
    const balancer = build([
      createInstance({ id: 'plain' }),
      createInstance({ id: 'canary', metadata: { tier: 'canary' } }),
      createInstance({ id: 'eu-canary', metadata: { tier: 'canary', region: 'eu' } }),
    ]);
    expect(pickedBy(balancer, 0, selectorWith({ tier: 'canary' }))).toEqual(['canary', 'eu-canary']);
    expect(pickedBy(balancer, 0, selectorWith({ tier: 'canary', region: 'eu' }))).toEqual(['eu-canary']);
    expect(pickedBy(balancer, 0, selectorWith({ tier: 'blue' }))).toEqual([]);
    expect(pickedBy(balancer, 0, selectorWith({ toString: 'x' }))).toEqual([]);
  });

  it('have a selector key that ignores the order of entries, differs for other values, and is empty without entries', () => {
    expect(selectorWith({ a: '1', b: '2' }).key).toBe(selectorWith({ b: '2', a: '1' }).key);
    expect(selectorWith({ a: '1,b=2' }).key).not.toBe(selectorWith({ a: '1', b: '2' }).key);
    expect(selectorWith({})).toBe(standard);
  });
});

describe('the capacity guard', () => {
  const fleet = [...createFleet(2), ...createFleet(4, 'UNHEALTHY', 2)];

  it('adds instances that answered us recently to the best tier if that tier has under half of them', () => {
    const balancer = build(fleet);
    expect(pickedBy(balancer)).toEqual(['orders-0', 'orders-1']);
    for (const id of ['orders-2', 'orders-3']) balancer.succeeded(balancer.node(id)!, 1_000);
    expect(pickedBy(balancer, 1_001)).toEqual(['orders-0', 'orders-1', 'orders-2', 'orders-3']);
    expect(pickedBy(balancer, 11_001)).toEqual(['orders-0', 'orders-1']);
  });

  it('does nothing if the best tier has half of the instances', () => {
    const balancer = build(fleet.slice(0, 4));
    for (const id of ['orders-2', 'orders-3']) balancer.succeeded(balancer.node(id)!, 1_000);
    expect(pickedBy(balancer, 1_001)).toEqual(['orders-0', 'orders-1']);
  });

  it('does not add a REGISTERING instance that never answered us', () => {
    const balancer = build([...createFleet(1), ...createFleet(3, 'REGISTERING', 1)]);
    expect(pickedBy(balancer)).toEqual(['orders-0']);
    balancer.succeeded(balancer.node('orders-2')!, 1);
    expect(pickedBy(balancer, 2)).toEqual(['orders-0', 'orders-2']);
  });
});
