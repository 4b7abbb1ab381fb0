import { reasonFor } from '@rollcall/core';
import type { Instance, Override } from '@rollcall/core';
import { signal } from '@preact/signals';
import { describe, expect, it } from 'vitest';
import type { ServiceNode } from '../live/roll.js';
import { sample } from '../live/sample.fixture.js';
import { attentionOf, countInstances, filtersOf, sinceOf, soonestOf } from './attention.js';
import type { Cause } from './attention.js';
import { instanceFilter } from './listing.js';

const NOW = 2_000_000;

function nodeOf(name: string, ...instances: readonly Instance[]): ServiceNode {
  const all = new Map(instances.map((instance) => [instance.id, { ...instance, service: name }]));
  return { key: `default/${name}`, namespace: 'default', name, instances: signal(all) };
}

const drained = (id: string, overrides: Partial<Instance> = {}): Instance => ({
  ...sample(id),
  admin: 'DRAINING',
  ...overrides,
});

const overrideSince = (since: number, reason = '', by = ''): Override => ({
  admin: 'DRAINING',
  weight: null,
  metadata: null,
  reason: 'of another word',
  since: since + 500,
  untilMs: null,
  settings: { admin: { reason, since, untilMs: null, by } },
});

const NONE = new Map<string, Override>();
const idsOf = ({ instances }: Cause): string[] => instances.map(({ id }) => id).toSorted();

describe('the list of problems', () => {
  it('shows one row per service and cause', () => {
    const orders = nodeOf(
      'orders',
      sample('orders-1', 'CRITICAL', 'SILENT'),
      sample('orders-2', 'CRITICAL', 'SILENT'),
      sample('orders-3', 'UNHEALTHY', 'INBOUND_SILENT'),
      sample('orders-4', 'UNHEALTHY', 'OUTBOUND_SILENT'),
      sample('orders-5'),
    );
    const users = nodeOf('users', sample('users-1', 'CRITICAL', 'SILENT'), sample('users-2'));
    const { trouble } = attentionOf([orders, users], NONE);
    expect(trouble.map(({ node, instances }) => [node.name, instances.length])).toEqual([
      ['orders', 2],
      ['users', 1],
      ['orders', 1],
      ['orders', 1],
    ]);
    expect(countInstances(trouble)).toBe(5);
  });

  it('shows one row per action of an operator if no instance of a service is callable', () => {
    const node = nodeOf('orders', drained('orders-1'), drained('orders-2', { state: 'CRITICAL' }), drained('orders-3'));
    const overrides = new Map([
      ['orders-1', overrideSince(NOW - 10_000, 'new kernel')],
      ['orders-2', overrideSince(NOW - 9_000, 'new kernel')],
      ['orders-3', overrideSince(NOW - 60_000, 'new disk')],
    ]);
    const { trouble } = attentionOf([node], overrides);
    expect(new Set(trouble.map((cause) => idsOf(cause).join(' ')))).toEqual(new Set(['orders-1 orders-2', 'orders-3']));
    expect(trouble.every(({ isKeptAway }) => isKeptAway)).toBe(true);
    // the actions are unknown yet: the same admin state is one row
    expect(attentionOf([node], NONE).trouble.map(idsOf)).toEqual([['orders-1', 'orders-2', 'orders-3']]);
  });

  it('leaves out instances that an operator keeps away while others are callable', () => {
    const node = nodeOf('orders', drained('orders-1'), sample('orders-2'));
    expect(attentionOf([node], NONE)).toEqual({ trouble: [], onTheWay: [] });
  });

  it('starts with the services without a callable instance', () => {
    const down = nodeOf('down', sample('down-1', 'CRITICAL', 'SILENT'), sample('down-2'));
    const out = nodeOf('out', drained('out-1'), drained('out-2'));
    expect(attentionOf([down, out], NONE).trouble.map(({ node }) => node.name)).toEqual(['out', 'down']);
  });

  it('leaves out instances that start or leave, which have one row per service, too', () => {
    const node = nodeOf(
      'orders',
      sample('orders-1', 'REGISTERING', 'NEW'),
      sample('orders-2', 'REGISTERING', 'NEW'),
      sample('orders-3', 'DEREGISTERING', 'LEAVING'),
    );
    const { trouble, onTheWay } = attentionOf([node], NONE);
    expect(trouble).toEqual([]);
    expect(onTheWay.map(idsOf)).toEqual([['orders-1', 'orders-2'], ['orders-3']]);
  });
});

const onlyCause = (node: ServiceNode, overrides = NONE): Cause => {
  const { trouble } = attentionOf([node], overrides);
  expect(trouble).toHaveLength(1);
  return trouble[0]!;
};

const critical = (id: string, since: number): Instance => ({ ...sample(id, 'CRITICAL', 'SILENT'), since });

const falls = (id: string, afterMs: number): Instance => ({
  ...sample(id, 'UNHEALTHY', 'SILENT'),
  next: { state: 'CRITICAL', afterMs, unless: 'PROOF' },
});

describe('a row', () => {
  it('shows the age of the admin state, not of the state', () => {
    const node = nodeOf('orders', drained('orders-1'), drained('orders-2'));
    const overrides = new Map([
      ['orders-1', overrideSince(NOW - 10_000)],
      ['orders-2', overrideSince(NOW - 9_000)],
    ]);
    expect(sinceOf(onlyCause(node, overrides), overrides)).toBe(NOW - 10_000);
    expect(sinceOf(onlyCause(node), NONE)).toBeNull();
    // the operator set something else, or what is known is of before
    const weight = new Map([['orders-1', { ...overrideSince(NOW), admin: null }]]);
    expect(sinceOf(onlyCause(node, weight), weight)).toBeNull();
  });

  it('shows the age of the state of its first instance', () => {
    const node = nodeOf('orders', critical('orders-1', 700), critical('orders-2', 300), sample('orders-3'));
    expect(sinceOf(onlyCause(node), NONE)).toBe(300);
  });

  it('counts down to the first transition', () => {
    const node = nodeOf('orders', falls('orders-1', 9_000), falls('orders-2', 4_000), sample('orders-3'));
    expect(soonestOf(onlyCause(node)).id).toBe('orders-2');
  });

  it('keeps its key when another instance falls for the same reason', () => {
    const instance = nodeOf('orders', critical('orders-1', 1), sample('orders-2'), sample('orders-3'));
    const two = nodeOf('orders', critical('orders-1', 1), critical('orders-2', 9), sample('orders-3'));
    expect(onlyCause(two).key).toBe(onlyCause(instance).key);
  });

  it('links to its instances alone', () => {
    const node = nodeOf('orders', drained('orders-1'), drained('orders-2'));
    const others = [sample('users-1'), { ...sample('orders-9'), namespace: 'staging' }, drained('users-2')];
    const { ns, ...filters } = filtersOf(onlyCause(node));
    const shown = [...node.instances.value.values(), ...others].filter(
      (instance) => instance.namespace === ns && instanceFilter(filters)(instance),
    );
    expect(shown.map(({ id }) => id)).toEqual(['orders-1', 'orders-2']);
    const sick = { ...sample('orders-1', 'CRITICAL'), reason: reasonFor('SILENT') };
    expect(filtersOf(onlyCause(nodeOf('orders', sick, sample('orders-2'))))).toEqual({
      ns: 'default',
      service: 'orders',
      state: 'CRITICAL',
    });
  });
});
