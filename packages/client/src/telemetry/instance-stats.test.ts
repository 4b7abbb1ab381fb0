import { seededRandom } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { createBalancer, createFleet } from '../balance/balance.fixture.js';
import type { Balancer } from '../balance/balancer.js';
import type { Node } from '../balance/nodes/node.js';
import { CALLS, FAILURES } from '../balance/nodes/window-counts.js';
import { EDGE_WINDOW_MS } from '../balance/nodes/window-counts.js';
import { RoundRobin } from '../balance/pickers/pickers.js';
import { targetsOf } from './instance-stats.js';

const NOW = 100 * EDGE_WINDOW_MS;

function lane(): { readonly balancer: Balancer<Node> } {
  const random = seededRandom(5);
  return { balancer: createBalancer({ picker: new RoundRobin(random), random }) };
}

function count(balancer: Balancer<Node>, id: string, calls: number, failures = 0): void {
  const node = balancer.node(id);
  for (let n = 0; n < calls; n += 1) node?.count(CALLS, NOW);
  for (let n = 0; n < failures; n += 1) node?.count(FAILURES, NOW);
}

const reported = (lanes: Parameters<typeof targetsOf>[0], windows = 1, max = 200): string[] =>
  targetsOf(lanes, NOW + windows * EDGE_WINDOW_MS, max).map((one) => `${one.instance} ${one.calls} ${one.failures}`);

it('an instance that is called over two protocols is one target', () => {
  const lanes = [lane(), lane()] as const;
  for (const { balancer } of lanes) balancer.update(createFleet(3), NOW);
  count(lanes[0].balancer, 'orders-0', 3, 1);
  count(lanes[1].balancer, 'orders-0', 4);
  count(lanes[1].balancer, 'orders-2', 9);
  expect(reported(lanes)).toEqual(['orders-0 7 1', 'orders-2 9 0']);
  expect(reported(lanes, 1, 1)).toEqual(['orders-0 7 1']);
  expect(reported(lanes, 2)).toEqual([]);
});

it('counts stay with their instance: they do not move when instances are added, nor to a replacement in the same slot', () => {
  const lanes = [lane()] as const;
  const [{ balancer }] = lanes;
  balancer.update(createFleet(2), NOW);
  count(balancer, 'orders-1', 5);
  balancer.update(createFleet(100), NOW);
  count(balancer, 'orders-1', 1);
  count(balancer, 'orders-99', 2);
  expect(reported(lanes)).toEqual(['orders-1 6 0', 'orders-99 2 0']);
  balancer.update(createFleet(98, 'HEALTHY', 2), NOW);
  balancer.update(createFleet(110, 'HEALTHY', 2), NOW);
  expect(reported(lanes)).toEqual(['orders-99 2 0']);
});
