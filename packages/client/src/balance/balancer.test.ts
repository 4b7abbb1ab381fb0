import type { Instance } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { createBalancer, createFleet, createPickArgs, CALLABLE } from './balance.fixture.js';
import type { Balancer, BalancerParts } from './balancer.js';
import type { Node } from './nodes/node.js';
import type { Selector } from './nodes/selector.js';
import { PowerOfTwo } from './pickers/pickers.js';

function build(instances: readonly Instance[], parts: Partial<BalancerParts<Node>> = {}): Balancer<Node> {
  const random = seededRandom(3);
  const balancer = createBalancer({ picker: new PowerOfTwo(random), random, parts });
  balancer.update(instances, 0);
  return balancer;
}

const only = (version: string): Selector => ({ ...CALLABLE, key: version, version });

function pickedBy(balancer: Balancer<Node>, now = 0, selector: Selector = CALLABLE): readonly string[] {
  const ids = new Set<string>();
  for (let i = 0; i < 200; i += 1) {
    const node = balancer.pick(createPickArgs({ now, selector }));
    if (node !== null) ids.add(node.id);
  }
  return [...ids].toSorted();
}

function eject(balancer: Balancer<Node>, id: string, now = 0): void {
  for (let i = 0; i < 5; i += 1) balancer.failed(balancer.node(id)!, now);
}

function shut(balancer: Balancer<Node>, id: string, now = 0): void {
  for (let i = 0; i < 5; i += 1) balancer.absent(balancer.node(id)!, now);
}

describe('a catalog update', () => {
  it('keeps the nodes of the remaining instances, with all their measurements', () => {
    const balancer = build(createFleet(3));
    const kept = balancer.node('orders-1')!;
    kept.observe(77, 0);
    balancer.update(
      [...createFleet(1, 'HEALTHY', 5), createInstance({ id: 'orders-1', state: 'UNHEALTHY', revision: 9 })],
      1,
    );
    expect(balancer.node('orders-1')).toBe(kept);
    expect(kept.instance.state).toBe('UNHEALTHY');
    expect(kept.cost(0)).toBe(77);
  });

  it('retires the nodes of removed instances, at any position in the list', () => {
    const retired: string[] = [];
    const balancer = build(createFleet(4), { retire: (node) => retired.push(node.id) });
    const [first = createInstance(), , third = createInstance()] = createFleet(4);
    balancer.update([third, first, ...createFleet(2, 'HEALTHY', 8)], 1);
    expect(retired.toSorted()).toEqual(['orders-1', 'orders-3']);
    expect(pickedBy(balancer, 60_000)).toEqual(['orders-0', 'orders-2', 'orders-8', 'orders-9']);
  });

  it('replaces a node whose instance moved to another address', () => {
    const retired: string[] = [];
    const balancer = build(createFleet(1), { retire: (node) => retired.push(node.id) });
    const before = balancer.node('orders-0');
    const endpoints = [{ protocol: 'tcp', host: '10.0.0.5', port: 4_000, tls: false }] as const;
    balancer.update([createInstance({ id: 'orders-0', endpoints })], 1);
    expect(retired).toEqual(['orders-0']);
    expect(balancer.node('orders-0')).not.toBe(before);
  });

  it('lets the calls of a removed node end normally, without counting them for another node', () => {
    const balancer = build(createFleet(2));
    const gone = balancer.node('orders-0')!;
    for (let i = 0; i < 3; i += 1) gone.begin(0, true);
    balancer.update([...createFleet(1, 'HEALTHY', 1), ...createFleet(1, 'HEALTHY', 7)], 1);
    const fresh = balancer.node('orders-7')!;
    expect([gone.inFlight, fresh.inFlight]).toEqual([3, 0]);
    fresh.begin(1, true);
    for (let i = 0; i < 3; i += 1) {
      gone.end();
      balancer.failed(gone, 2);
      gone.observe(9_999, 2);
    }
    expect([gone.inFlight, fresh.inFlight]).toEqual([0, 1]);
    expect(fresh.cost(2, 0)).toBe(15);
    expect(fresh.nodeTable.inFlight).toBe(1);
  });

  it('leaves exactly the instances of the update, in their order, if hundreds change at once', () => {
    const balancer = build(createFleet(500));
    balancer.update(createFleet(300, 'HEALTHY', 250), 1);
    expect([...balancer.nodes].map(({ id }) => id)).toEqual(createFleet(300, 'HEALTHY', 250).map(({ id }) => id));
  });

  it('makes an ejected instance half-open, not closed, when the registry reports it HEALTHY again', () => {
    const balancer = build([...createFleet(2), createInstance({ id: 'sick', state: 'UNHEALTHY' })]);
    eject(balancer, 'sick');
    balancer.update([...createFleet(2), createInstance({ id: 'sick', state: 'HEALTHY', revision: 2 })], 10);
    expect(balancer.node('sick')!.breaker.stateAt(10)).toBe('half-open');
    expect(pickedBy(balancer, 10)).toEqual(['orders-0', 'orders-1']);
  });
});

describe('tiers', () => {
  it('never contain instances that are CRITICAL, leaving, or disabled by an operator', () => {
    const out = createInstance({ id: 'drained', admin: 'DRAINING' });
    const repaired = createInstance({ id: 'repaired', admin: 'MAINTENANCE' });
    const balancer = build([...createFleet(1, 'CRITICAL'), ...createFleet(1, 'DEREGISTERING', 1), out, repaired]);
    expect(balancer.pick(createPickArgs())).toBeNull();
    expect(balancer.whyNone(CALLABLE, 0)).toBe('NO_INSTANCE');
  });

  it.each(['DRAINING', 'MAINTENANCE'] as const)(
    'drop an instance at once that becomes %s, keep its measurements, and take it back',
    (admin) => {
      const retired: string[] = [];
      const balancer = build(createFleet(2), { retire: (node) => retired.push(node.id) });
      const node = balancer.node('orders-0')!;
      expect(pickedBy(balancer)).toEqual(['orders-0', 'orders-1']);
      balancer.update([createInstance({ id: 'orders-0', admin, revision: 2 }), ...createFleet(1, 'HEALTHY', 1)], 1);
      expect(pickedBy(balancer, 1)).toEqual(['orders-1']);
      expect(pickedBy(balancer, 60_000)).toEqual(['orders-1']);
      balancer.update([createInstance({ id: 'orders-0', revision: 3 }), ...createFleet(1, 'HEALTHY', 1)], 60_001);
      expect(pickedBy(balancer, 60_001)).toEqual(['orders-0', 'orders-1']);
      expect(balancer.node('orders-0')).toBe(node);
      expect(retired).toEqual([]);
    },
  );

  it('send no call, not even a probe, to an instance that failed and was then disabled', () => {
    const pinged: string[] = [];
    const balancer = build(createFleet(2), { ping: (node) => pinged.push(node.id) });
    shut(balancer, 'orders-0');
    shut(balancer, 'orders-1');
    balancer.update(
      createFleet(2).map((instance) => ({ ...instance, admin: 'MAINTENANCE', revision: 2 })),
      1,
    );
    for (const probes of ['never', 'once', 'repeatable'] as const) {
      for (let now = 2; now < 120_000; now += 1_500) expect(balancer.pick(createPickArgs({ now, probes }))).toBeNull();
    }
    expect(pinged).toEqual([]);
    expect(balancer.whyNone(CALLABLE, 0)).toBe('NO_INSTANCE');
  });

  it('contain CRITICAL instances, in the last tier, for a call that names the state', () => {
    const any: Selector = { ...CALLABLE, key: 'any', states: ['HEALTHY', 'CRITICAL'] };
    const balancer = build([...createFleet(1, 'CRITICAL'), ...createFleet(1, 'HEALTHY', 1)]);
    expect(pickedBy(balancer, 0, any)).toEqual(['orders-1']);
    balancer.update(createFleet(1, 'CRITICAL'), 1);
    expect(pickedBy(balancer, 1, any)).toEqual(['orders-0']);
  });

  it('prefer an UNHEALTHY instance that answered us in the last 10 s to one that did not', () => {
    const balancer = build(createFleet(2, 'UNHEALTHY'));
    balancer.pick(createPickArgs());
    balancer.succeeded(balancer.node('orders-1')!, 100);
    expect(pickedBy(balancer, 200)).toEqual(['orders-1']);
    expect(pickedBy(balancer, 10_101)).toEqual(['orders-0', 'orders-1']);
  });

  it('keep an instance that registers again after being HEALTHY for two intervals: the registry was restarted, not the instance', () => {
    const balancer = build(createFleet(2), { intervalMs: () => 1_000 });
    balancer.update(
      [createInstance({ id: 'orders-0', state: 'REGISTERING', revision: 2 }), ...createFleet(1, 'HEALTHY', 1)],
      1_000,
    );
    expect(pickedBy(balancer, 2_999)).toEqual(['orders-0', 'orders-1']);
    expect(pickedBy(balancer, 3_001)).toEqual(['orders-1']);
  });

  it('can be restricted to a version or its first parts', () => {
    const versions = ['1.4.2', '1.40.0', '2.0.0'].map((version) => createInstance({ id: version, version }));
    const balancer = build(versions);
    expect(pickedBy(balancer, 0, only('1.4'))).toEqual(['1.4.2']);
    expect(pickedBy(balancer, 0, only('1'))).toEqual(['1.4.2', '1.40.0']);
    expect(pickedBy(balancer, 0, only('3'))).toEqual([]);
  });

  it.each([0, 40])('share the calls by weight with %i of them in flight, and leave out weight 0', (inFlight) => {
    const weights = [25, 75, 0].map((weight, i) => createInstance({ id: `w${i}`, weight }));
    const balancer = build(weights);
    const counts = new Map<string, number>();
    const busy: Node[] = [];
    for (let i = 0; i < 8_000; i += 1) {
      const node = balancer.pick(createPickArgs())!;
      counts.set(node.id, (counts.get(node.id) ?? 0) + 1);
      node.begin(0, true);
      busy.push(node);
      if (busy.length > inFlight) busy.shift()!.end();
    }
    expect(counts.get('w2')).toBeUndefined();
    expect(counts.get('w0')! / 8_000).toBeGreaterThan(0.23);
    expect(counts.get('w0')! / 8_000).toBeLessThan(0.27);
  });
});

/** One instance is silent, and the other one answered in the meantime. */
function silenced(): { readonly balancer: Balancer<Node>; readonly silent: Node; readonly other: Node } {
  const balancer = build(createFleet(2));
  const silent = balancer.node('orders-0')!;
  const other = balancer.node('orders-1')!;
  for (let calls = 0; calls < 4; calls += 1) silent.begin(0, true);
  other.answered(400);
  return { balancer, silent, other };
}

describe('the early limit of a silent instance', () => {
  it('applies as long as the other instance can take its calls', () => {
    const { balancer, other } = silenced();
    for (let picks = 0; picks < 20; picks += 1) expect(balancer.pick(createPickArgs({ now: 500 }))).toBe(other);
  });

  it.each<[string, (other: Node) => void]>([
    ['is ejected', (other) => Array.from({ length: 5 }, () => other.breaker.connectFailure(450, () => true))],
    [
      'is full',
      (other) => {
        other.limit.overloaded(410, 450, 20);
        for (let left = other.limit.gate; left > 0; left -= 1) other.begin(450, false);
      },
    ],
  ])('ends when the other instance %s: a slow instance is better than none', (_what, happens) => {
    const { balancer, silent, other } = silenced();
    happens(other);
    expect(balancer.pick(createPickArgs({ now: 500 }))).toBe(silent);
  });

  it('ends when the other instance has left and no alternative remains', () => {
    for (const leave of [createFleet(1), [...createFleet(1), ...createFleet(1, 'DEREGISTERING', 1)]]) {
      const balancer = build(createFleet(2));
      const slow = balancer.node('orders-0')!;
      const quick = balancer.node('orders-1')!;
      for (let calls = 0; calls < 4; calls += 1) slow.begin(0, true);
      quick.begin(0, true);
      quick.end();
      quick.answered(400);
      expect(balancer.pick(createPickArgs({ now: 500, tried: quick }))).toBeNull();
      balancer.update(leave, 600);
      expect(balancer.pick(createPickArgs({ now: 601 }))).toBe(slow);
      quick.answered(700);
      expect(balancer.pick(createPickArgs({ now: 701 }))).toBe(slow);
    }
  });
});

describe('ejection', () => {
  it('ejects at most half of the instances for errors', () => {
    const balancer = build(createFleet(4));
    for (const id of ['orders-0', 'orders-1', 'orders-2']) eject(balancer, id);
    expect(pickedBy(balancer)).toEqual(['orders-2', 'orders-3']);
  });

  it('never ejects the last instance for errors', () => {
    const balancer = build(createFleet(1));
    eject(balancer, 'orders-0');
    expect(balancer.node('orders-0')!.breaker.cause).toBeNull();
    expect(pickedBy(balancer)).toEqual(['orders-0']);
  });

  it('shuts all instances that cannot be connected to, reports it, and sends one call a second as a probe', () => {
    const balancer = build(createFleet(2));
    for (const id of ['orders-0', 'orders-1']) shut(balancer, id);
    const first = createPickArgs({ now: 10 });
    expect(balancer.pick(first)).not.toBeNull();
    expect(first.isProbe).toBe(true);
    expect(balancer.pick(createPickArgs({ now: 1_009 }))).toBeNull();
    expect(balancer.whyNone(CALLABLE, 0)).toBe('ALL_EJECTED');
    expect(balancer.pick(createPickArgs({ now: 1_010 }))).not.toBeNull();
  });

  it('uses a failing instance only after the UNHEALTHY ones', () => {
    const balancer = build([...createFleet(2), createInstance({ id: 'doubtful', state: 'UNHEALTHY' })]);
    eject(balancer, 'orders-0');
    shut(balancer, 'orders-1');
    expect(pickedBy(balancer)).toEqual(['doubtful', 'orders-0']);
    balancer.succeeded(balancer.node('doubtful')!, 1);
    expect(pickedBy(balancer, 2)).toEqual(['doubtful']);
  });

  it('probes an instance after its ejection with one repeatable call at a time; two successes close the breaker, with a slow start', () => {
    const balancer = build(createFleet(3));
    eject(balancer, 'orders-0');
    expect(pickedBy(balancer, 500)).toEqual(['orders-1', 'orders-2']);
    const node = balancer.node('orders-0')!;
    for (const now of [1_300, 1_301]) {
      const args = createPickArgs({ now, probes: 'repeatable' });
      expect(balancer.pick(args)).toBe(node);
      expect(args.isProbe).toBe(true);
      const next = createPickArgs({ now, probes: 'repeatable' });
      expect(balancer.pick(next)).not.toBe(node);
      balancer.endProbe(node);
      balancer.succeeded(node, now);
    }
    expect(node.breaker.cause).toBeNull();
    expect(node.warmth(1_301)).toBe(0.1);
  });

  it('does not send the calls of a warming instance to an overloaded one without a comparison', () => {
    const balancer = build(createFleet(3));
    eject(balancer, 'orders-0');
    for (const now of [1_300, 1_301]) {
      const probe = balancer.pick(createPickArgs({ now, probes: 'repeatable' }))!;
      balancer.endProbe(probe);
      balancer.succeeded(probe, now);
    }
    const overloaded = balancer.node('orders-1')!;
    for (let calls = 0; calls < 15; calls += 1) overloaded.begin(1_302, true);
    const picks = Array.from({ length: 1_000 }, () => balancer.pick(createPickArgs({ now: 1_302 }))?.id);
    // 333 of its pairs are with the warming instance
    expect(picks.filter((id) => id === 'orders-1').length).toBeLessThan(60);
    expect(picks.filter((id) => id === 'orders-0').length).toBeLessThan(150);
  });

  it('sends a call that cannot be repeated as a probe only after a ping', () => {
    const pinged: string[] = [];
    const balancer = build(createFleet(2), { ping: (node) => pinged.push(node.id) });
    eject(balancer, 'orders-0');
    const args = createPickArgs({ now: 2_000, probes: 'once' });
    expect(balancer.pick({ ...args })?.id).toBe('orders-1');
    expect(balancer.pick({ ...args })?.id).toBe('orders-1');
    expect(pinged).toEqual(['orders-0']);
    balancer.pinged(balancer.node('orders-0')!);
    expect(balancer.pick({ ...args })?.id).toBe('orders-0');
    expect(balancer.pick({ ...args })?.id).toBe('orders-1');
  });
});

describe('the reason why no instance can be called', () => {
  it('distinguishes a missing endpoint from a missing instance', () => {
    const balancer = build([createInstance({ endpoints: [] })]);
    expect(balancer.pick(createPickArgs())).toBeNull();
    expect(balancer.whyNone(CALLABLE, 0)).toBe('NO_ENDPOINT');
    balancer.update([], 1);
    expect(balancer.whyNone(CALLABLE, 0)).toBe('NO_INSTANCE');
  });
});

function begin(balancer: Balancer<Node>, now: number): Node | null {
  const node = balancer.pick(createPickArgs({ now }));
  node?.begin(now, false);
  return node;
}

describe('a full instance', () => {
  const tight = { initial: 3, min: 1, max: 6 };
  const few = (count: number): Balancer<Node> => {
    const random = seededRandom(3);
    const balancer = createBalancer({ picker: new PowerOfTwo(random), random, limit: tight });
    balancer.update(createFleet(count), 0);
    return balancer;
  };
  it('sends calls to the others, and no call is refused because of an estimated limit', () => {
    const balancer = few(2);
    for (let i = 0; i < 12; i += 1) expect(begin(balancer, 0)).not.toBeNull();
    expect([...balancer.nodes].map((node) => node.inFlight)).toEqual([6, 6]);
    expect(begin(balancer, 0)).toBeNull();
    expect(balancer.whyNone(CALLABLE, 0)).toBe('OVERLOADED');
  });

  it('is avoided for 1 s after it reported itself overloaded', () => {
    const balancer = few(2);
    const loaded = balancer.node('orders-0')!;
    loaded.limit.overloaded(0, 0, 20);
    for (let i = 0; i < 8; i += 1) expect(begin(balancer, 1)).not.toBeNull();
    expect(loaded.inFlight).toBe(2);
    expect(begin(balancer, 999)).toBeNull();
    expect(begin(balancer, 1_000)).toBe(loaded);
  });

  it('lets a call use a worse tier only if its limit is known, not while it is estimated', () => {
    const balancer = few(1);
    balancer.update([...createFleet(1), ...createFleet(1, 'UNHEALTHY', 1)], 0);
    for (let i = 0; i < 6; i += 1) expect(begin(balancer, 0)?.id).toBe('orders-0');
    expect(begin(balancer, 0)?.id).toBe('orders-1');
  });
});

describe('a frozen instance', () => {
  it('gets one call at a time once three calls are unanswered while other instances answer', () => {
    const balancer = build(createFleet(3));
    const frozen = balancer.node('orders-0')!;
    for (let i = 0; i < 3; i += 1) frozen.begin(0, true);
    balancer.node('orders-1')!.answered(90);
    expect(frozen.admits(100)).toBe(true);
    expect(frozen.admits(101)).toBe(false);
    expect(pickedBy(balancer, 101)).toEqual(['orders-1', 'orders-2']);
    for (let i = 0; i < 3; i += 1) frozen.end();
    expect(frozen.admits(5_000)).toBe(true);
    frozen.begin(5_000, true);
    expect(frozen.admits(5_000)).toBe(false);
    frozen.answered(5_001);
    expect(frozen.admits(5_001)).toBe(true);
  });
});
