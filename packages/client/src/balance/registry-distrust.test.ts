import type { Instance, ReasonCode, State } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createBalancer, createFleet, createPickArgs } from './balance.fixture.js';
import type { Balancer } from './balancer.js';
import type { Node } from './nodes/node.js';
import { PowerOfTwo } from './pickers/pickers.js';

interface Stage {
  readonly balancer: Balancer<Node>;
  readonly copy: { stale: boolean };
  /** Changes the state that the registry reports for these instances, at the time `now`. */
  readonly report: (places: readonly number[], state: State, code: ReasonCode, now: number) => void;
  readonly picked: (now: number) => readonly string[];
}

function stage(count: number): Stage {
  const random = seededRandom(3);
  const copy = { stale: false };
  const balancer = createBalancer({ picker: new PowerOfTwo(random), random, parts: { copy } });
  let fleet = createFleet(count);
  balancer.update(fleet, 0);
  return {
    balancer,
    copy,
    report(places, state, code, now) {
      fleet = fleet.map((one, i): Instance =>
        places.includes(i) ? { ...one, state, reason: { code, text: code } } : one,
      );
      balancer.update(fleet, now);
    },
    picked(now) {
      const ids = Array.from({ length: 300 }, () => balancer.pick(createPickArgs({ now }))?.id ?? 'nobody');
      return [...new Set(ids)].toSorted();
    },
  };
}

const names = (...places: number[]): readonly string[] => places.map((place) => `orders-${place}`);

describe('a registry that reports many instances silent at once', () => {
  it('is not believed if silence is the reason, for more than 30 % and at least three instances', () => {
    const { report, picked } = stage(9);
    report([0, 1], 'UNHEALTHY', 'SILENT', 1_000);
    expect(picked(1_000)).toEqual(names(2, 3, 4, 5, 6, 7, 8));
    report([2], 'UNHEALTHY', 'INBOUND_SILENT', 9_000);
    expect(picked(9_000)).toEqual(names(0, 1, 2, 3, 4, 5, 6, 7, 8));
    expect(picked(600_000)).toEqual(names(0, 1, 2, 3, 4, 5, 6, 7, 8));
  });

  it('is believed for few instances, and for many over a longer time', () => {
    const few = stage(10);
    few.report([0, 1, 2], 'UNHEALTHY', 'SILENT', 1_000);
    expect(few.picked(1_000)).toEqual(names(3, 4, 5, 6, 7, 8, 9));
    const two = stage(3);
    two.report([0, 1], 'UNHEALTHY', 'SILENT', 1_000);
    expect(two.picked(1_000)).toEqual(names(2));
    const slow = stage(9);
    for (const [i, now] of [1_000, 12_000, 23_000].entries()) slow.report([i], 'UNHEALTHY', 'SILENT', now);
    expect(slow.picked(23_000)).toEqual(names(3, 4, 5, 6, 7, 8));
  });

  it('is believed if it has proof of a failure', () => {
    const { report, picked } = stage(6);
    report([0, 1, 2, 3], 'UNHEALTHY', 'INBOUND_REFUSED', 1_000);
    expect(picked(1_000)).toEqual(names(4, 5));
  });

  it('is trusted again as soon as it reports another state of an instance', () => {
    const { report, picked } = stage(6);
    report([0, 1, 2, 3], 'UNHEALTHY', 'SILENT', 1_000);
    expect(picked(1_000)).toEqual(names(0, 1, 2, 3, 4, 5));
    report([0], 'UNHEALTHY', 'INBOUND_REFUSED', 2_000);
    report([1], 'CRITICAL', 'SILENT', 2_000);
    expect(picked(2_000)).toEqual(names(2, 3, 4, 5));
  });

  it('does not override the results of our own calls', () => {
    const { report, picked, balancer } = stage(6);
    report([0, 1, 2, 3], 'UNHEALTHY', 'SILENT', 1_000);
    for (let i = 0; i < 5; i += 1) balancer.failed(balancer.node('orders-0')!, 1_000);
    expect(picked(1_500)).toEqual(names(1, 2, 3, 4, 5));
  });
});

describe('a copy that may be outdated', () => {
  it('counts less than a recent answer to this process', () => {
    const { report, picked, balancer, copy } = stage(4);
    report([0, 1], 'UNHEALTHY', 'INBOUND_REFUSED', 1_000);
    balancer.succeeded(balancer.node('orders-0')!, 1_500);
    expect(picked(2_000)).toEqual(names(2, 3));
    copy.stale = true;
    expect(picked(2_000)).toEqual(names(0, 2, 3));
    expect(picked(11_500)).toEqual(names(2, 3));
    copy.stale = false;
    balancer.succeeded(balancer.node('orders-0')!, 12_000);
    expect(picked(12_001)).toEqual(names(2, 3));
  });

  it('keeps the tier of instances that were registering again when the registry became unreachable', () => {
    const { report, picked, copy } = stage(3);
    report([0], 'REGISTERING', 'NEW', 1_000);
    copy.stale = true;
    expect(picked(60_000)).toEqual(names(0, 1, 2));
    copy.stale = false;
    expect(picked(60_001)).toEqual(names(1, 2));
  });

  it('never makes an instance callable that the policy does not allow', () => {
    const { report, picked, balancer, copy } = stage(2);
    report([0], 'CRITICAL', 'SILENT', 1_000);
    copy.stale = true;
    balancer.succeeded(balancer.node('orders-0')!, 1_500);
    expect(picked(1_600)).toEqual(names(1));
  });
});
