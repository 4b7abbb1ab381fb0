import { signal } from '@preact/signals';
import type { Instance } from '@rollcall/core';
import { expect, it } from 'vitest';
import type { ServiceEdge } from '../live/answers.js';
import type { ServiceNode } from '../live/roll.js';
import { sample, sampleEdge } from '../live/sample.fixture.js';
import { clockText } from './age.js';
import { serviceSentence, serviceVerdict } from './service-text.js';

const nodeOf = (...instances: readonly Instance[]): ServiceNode => ({
  key: 'default/orders',
  namespace: 'default',
  name: 'orders',
  instances: signal(new Map(instances.map((instance) => [instance.id, instance]))),
});
const drained: Instance = { ...sample('orders-1'), admin: 'DRAINING' };
const at = clockText(5_000);

it('prints the state of a service, in the past tense if the view is old', () => {
  const node = nodeOf(sample('orders-1'), sample('orders-2', 'CRITICAL', 'SILENT'));
  expect(serviceVerdict(node, null)).toBe('orders: 1 of 2 callable: 1 CRITICAL.');
  expect(serviceVerdict(node, 5_000)).toBe(`orders: 1 of 2 callable: 1 CRITICAL at ${at}.`);
  expect(serviceVerdict(nodeOf(drained), null)).toBe('orders: no instance may be called, 0 of 1 callable: 1 drained.');
  expect(serviceVerdict(nodeOf(drained), 5_000)).toBe(
    `orders: no instance could be called, 0 of 1 callable: 1 drained at ${at}.`,
  );
});

it('shows unknown calls as no calls only if none were reported', () => {
  const node = nodeOf(sample('orders-1'));
  expect(serviceSentence(node, { kind: 'pending' }, null)).toBe('Calls to it: Asking …');
  expect(serviceSentence(node, { kind: 'unknown', since: 5_000, error: null }, 5_000)).toBe(
    `Calls to it: – unknown since ${at}`,
  );
  expect(serviceSentence(node, { kind: 'known', value: [], asOf: null }, null)).toBe(
    'No caller has reported calls to it.',
  );
  expect(serviceSentence(node, { kind: 'known', value: [], asOf: 5_000 }, 5_000)).toBe(
    `No caller had reported calls to it at ${at}.`,
  );
});

const sentenceOf = (instance: Instance, overrides: Partial<ServiceEdge>, asOf: number | null = null): string =>
  serviceSentence(nodeOf(instance), { kind: 'known', value: [sampleEdge('gateway', 'orders', overrides)], asOf }, asOf);

it('reports the calls to it, and no caller as fine while no instance is callable', () => {
  const healthy = sample('orders-1');
  expect(sentenceOf(healthy, {})).toBe('In the last 5 s, no call to it failed.');
  expect(sentenceOf(healthy, { failures: 8, retries: 40 })).toBe(
    'In the last 5 s, 8 calls to it failed, 40 attempts went to another instance.',
  );
  expect(sentenceOf(healthy, { failures: 1 }, 5_000)).toBe(`In the 5 s before ${at}, 1 call to it failed.`);
  expect(sentenceOf(drained, {})).toBe('gateway calls it (20/s): what becomes of these calls is not reported yet.');
  expect(sentenceOf(drained, { failures: 100 })).toBe('In the last 5 s, 100 calls to it failed.');
});
