import type { Frame, Instance } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { byTrouble, countStates, Roll, servicesByTrouble, standingOf } from './roll.js';
import { sample } from './sample.fixture.js';

const of = { namespace: 'default', service: 'orders' } as const;
const reset = (instances: Instance[], complete = true, part = 0): Frame => ({
  event: 'reset',
  data: { ...of, epoch: 'e', revision: 1, part, complete, instances },
});
const change = (upsert: Instance[], remove: { id: string; revision: number }[] = []): Frame => ({
  event: 'change',
  data: { ...of, upsert, remove: remove.map((one) => ({ ...one, reason: { code: 'GOODBYE', text: 'it left' } })) },
});

const idsOf = (roll: Roll): string[] => [...(roll.node('default/orders')?.instances.value.keys() ?? [])];

describe('the copy of the registry', () => {
  it('takes over a reset once its last part has arrived', () => {
    const roll = new Roll();
    roll.apply([reset([sample('orders-1')], false)]);
    expect(roll.services.value).toEqual([]);
    roll.apply([reset([sample('orders-2')], true, 1)]);
    expect(idsOf(roll)).toEqual(['orders-1', 'orders-2']);
    expect(roll.serviceOf('orders-1')?.name).toBe('orders');
  });

  it('changes a service once for all frames of one turn, and no others', () => {
    const roll = new Roll();
    roll.apply([reset([sample('orders-1')])]);
    let drawn = -1;
    roll.node('default/orders')!.instances.subscribe(() => (drawn += 1));
    roll.apply([
      change([sample('orders-2')]),
      change([sample('orders-3')]),
      change([], [{ id: 'orders-1', revision: 9 }]),
    ]);
    expect(drawn).toBe(1);
    expect(idsOf(roll)).toEqual(['orders-2', 'orders-3']);
    expect(roll.serviceOf('orders-1')).toBeUndefined();
  });

  it('keeps a newer version than a tombstone', () => {
    const roll = new Roll();
    roll.apply([reset([{ ...sample('orders-1'), revision: 5 }]), change([], [{ id: 'orders-1', revision: 4 }])]);
    expect(idsOf(roll)).toEqual(['orders-1']);
  });

  it('drops instances that a whole new view no longer names, once it is complete', () => {
    const roll = new Roll();
    roll.apply([reset([sample('orders-1')])]);
    roll.finishView(1);
    roll.beginView();
    expect(idsOf(roll)).toEqual(['orders-1']);
    roll.finishView(2);
    expect(roll.services.value).toEqual([]);
    expect(roll.revision.value).toBe(2);
  });

  it('removes a service without instances from the list', () => {
    const roll = new Roll();
    roll.apply([reset([sample('orders-1')])]);
    roll.apply([change([], [{ id: 'orders-1', revision: 2 }])]);
    expect(roll.services.value).toEqual([]);
  });
});

describe('the order', () => {
  it('puts the worst first, then the newest', () => {
    const all = [
      sample('a-1'),
      { ...sample('a-2', 'UNHEALTHY', 'SILENT'), since: 5 },
      { ...sample('a-3', 'UNHEALTHY', 'SILENT'), since: 9 },
      sample('a-4', 'CRITICAL', 'SILENT'),
      sample('a-5', 'REGISTERING', 'NEW'),
    ];
    expect(all.toSorted(byTrouble).map(({ id }) => id)).toEqual(['a-4', 'a-3', 'a-2', 'a-5', 'a-1']);
  });

  it('sorts services by the worst instance, then by the lower share', () => {
    const roll = new Roll();
    const addService = (service: string, instances: Instance[]): void =>
      roll.apply([
        {
          event: 'reset',
          data: { namespace: 'default', service, epoch: 'e', revision: 1, part: 0, complete: true, instances },
        },
      ]);
    addService('fine', [sample('fine-1')]);
    addService('worse', [sample('worse-1', 'UNHEALTHY', 'SILENT'), sample('worse-2', 'UNHEALTHY', 'SILENT')]);
    addService('bad', [sample('bad-1', 'UNHEALTHY', 'SILENT'), sample('bad-2')]);
    addService('worst', [sample('worst-1', 'CRITICAL', 'SILENT'), sample('worst-2')]);
    expect(servicesByTrouble(roll.services.value).map(({ name }) => name)).toEqual(['worst', 'worse', 'bad', 'fine']);
    expect(countStates(roll.services.value)).toMatchObject({ HEALTHY: 3, UNHEALTHY: 3, CRITICAL: 1 });
    expect(standingOf(roll.node('default/bad')!.instances.value)).toMatchObject({
      count: { callable: 2, all: 2 },
      unwell: { UNHEALTHY: 1, REGISTERING: 0 },
      worst: 'UNHEALTHY',
    });
  });
});
