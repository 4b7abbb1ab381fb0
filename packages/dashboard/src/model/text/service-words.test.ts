import { signal } from '@preact/signals';
import type { Instance } from '@rollcall/core';
import { expect, it } from 'vitest';
import type { ServiceNode } from '../live/roll.js';
import { sample } from '../live/sample.fixture.js';
import { clockText } from './age.js';
import { serviceSentence, serviceVerdict } from './service-words.js';

const nodeOf = (...instances: readonly Instance[]): ServiceNode => ({
  key: 'default/orders',
  namespace: 'default',
  name: 'orders',
  instances: signal(new Map(instances.map((instance) => [instance.id, instance]))),
});
const drained: Instance = { ...sample('orders-1'), admin: 'DRAINING' };
const at = clockText(5_000);

it('says how a service stands, and how it stood where the view is old', () => {
  const node = nodeOf(sample('orders-1'), sample('orders-2', 'CRITICAL', 'SILENT'));
  expect(serviceVerdict(node, null)).toBe('orders: 1 of 2 HEALTHY.');
  expect(serviceVerdict(node, 5_000)).toBe(`orders: 1 of 2 HEALTHY at ${at}.`);
  expect(serviceVerdict(nodeOf(drained), null)).toBe('orders: nobody may be called, 0 of 1 callable: 1 drained.');
  expect(serviceVerdict(nodeOf(drained), 5_000)).toBe(
    `orders: nobody could be called, 0 of 1 callable: 1 drained at ${at}.`,
  );
});

it('takes calls that are unknown for no calls only where none were told', () => {
  const node = nodeOf(sample('orders-1'));
  expect(serviceSentence(node, { kind: 'asked' }, null)).toBe('Calls to it: Asking …');
  expect(serviceSentence(node, { kind: 'unknown', since: 5_000, error: null }, 5_000)).toBe(
    `Calls to it: – unknown since ${at}`,
  );
  expect(serviceSentence(node, { kind: 'known', value: [], asOf: null }, null)).toBe('Nobody has told of calls to it.');
  expect(serviceSentence(node, { kind: 'known', value: [], asOf: 5_000 }, 5_000)).toBe(
    `Nobody had told of calls to it at ${at}.`,
  );
});
