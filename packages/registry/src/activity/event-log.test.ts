import type { RegistryEvent } from '@rollcall/core';
import { ManualTime, sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import type { EventQuery } from './event-log.js';
import { EventHistory } from './events.js';

const ALL: EventQuery = { after: null, limit: 1_000, namespace: '*', services: [], kinds: [] };
const SECOND = 1_000;

const orders = sampleInstance({ id: 'orders-1', service: 'orders', state: 'HEALTHY' });
const stock = sampleInstance({ id: 'stock-1', service: 'stock', namespace: 'shop', state: 'CRITICAL' });
const step = { kind: 'state', by: 'registry', text: 'up and down' } as const;
const circuit = { kind: 'circuit', by: 'instance', text: 'opened its circuit to orders…1' } as const;
const action = { kind: 'admin', by: 'operator', text: 'weight set to 7 by an operator' } as const;

function begun(max?: number): { readonly history: EventHistory; readonly time: ManualTime } {
  const time = new ManualTime();
  const history = new EventHistory(time, max);
  history.begin();
  return { history, time };
}

const seqsOf = (events: readonly RegistryEvent[]): readonly number[] => events.map(({ seq }) => seq);

describe('a query of events', () => {
  it('is filtered by instance, by the state after the event, and by time', () => {
    const { history, time } = begun();
    const at: number[] = [];
    for (const one of [orders, stock, orders, stock]) {
      time.advance(SECOND);
      at.push(time.wall());
      history.noteOf(one, step);
    }
    const [, second = 0, third = 0, fourth = 0] = at;
    const seqs = (query: Partial<EventQuery>) => seqsOf(history.events({ ...ALL, ...query }).events);
    expect(seqs({ instances: ['stock-1'] })).toEqual([2, 4]);
    expect(seqs({ instances: ['stock-1', 'orders-1'] })).toEqual([1, 2, 3, 4]);
    expect(seqs({ states: ['HEALTHY'] })).toEqual([1, 3]);
    expect(seqs({ from: second })).toEqual([2, 3, 4]);
    expect(seqs({ to: third })).toEqual([1, 2]);
    expect(seqs({ from: second, to: fourth, states: ['CRITICAL'] })).toEqual([2]);
    expect(seqs({ namespace: 'default', instances: ['stock-1'] })).toEqual([]);
  });

  it('goes back page by page, reports whether there are older events, and returns each event once', () => {
    const { history } = begun(10);
    history.noteOf(orders, action);
    for (let count = 0; count < 25; count += 1) history.noteOf(count % 2 === 0 ? orders : stock, step);
    const read: number[] = [];
    let before: number | null = null;
    for (let older = true; older;) {
      const page = history.events({ ...ALL, before, limit: 3, instances: ['orders-1'] });
      expect(page.events.length).toBeLessThanOrEqual(3);
      read.unshift(...seqsOf(page.events));
      ({ older } = page);
      before = page.events[0]?.seq ?? null;
    }
    expect(read).toEqual(seqsOf(history.events({ ...ALL, instances: ['orders-1'] }).events));
    expect(read[0]).toBe(1);
    expect(read).toHaveLength(6);
    expect(history.events({ ...ALL, before: 1 })).toMatchObject({ events: [], older: false });
  });

  it('reports for a page that is read forward whether there are older events, too', () => {
    const { history } = begun();
    for (let count = 0; count < 4; count += 1) history.noteOf(count === 0 ? stock : orders, step);
    expect(history.events({ ...ALL, after: 0 }).older).toBe(false);
    expect(history.events({ ...ALL, after: 2 })).toMatchObject({ older: true });
    expect(history.events({ ...ALL, after: 4, instances: ['stock-1'] })).toMatchObject({ older: true, events: [] });
    expect(history.events({ ...ALL, after: 1, instances: ['orders-1'] }).older).toBe(false);
  });

  it('reports how many events are no longer kept', () => {
    const { history } = begun(10);
    for (let count = 0; count < 25; count += 1) history.noteOf(orders, step);
    expect(history.events(ALL).dropped).toBe(15);
    expect(history.events({ ...ALL, before: 20 }).dropped).toBe(15);
    history.noteOf(orders, action);
    for (let count = 0; count < 10; count += 1) history.noteOf(orders, step);
    // the action stays in the ring of operators
    expect(history.events(ALL).dropped).toBe(25);
  });
});

describe('circuits that open and close all the time', () => {
  it('push out older circuits, and nothing else', () => {
    const { history, time } = begun(100);
    for (let count = 0; count < 50; count += 1) history.noteOf(orders, step);
    time.advance(SECOND);
    const flood = 5_000;
    for (let count = 0; count < flood; count += 1) history.noteOf(orders, circuit);
    time.advance(SECOND);
    history.noteOf(stock, step);
    const states = history.events({ ...ALL, kinds: ['state'] });
    expect(seqsOf(states.events)).toEqual([...Array.from({ length: 50 }, (_, at) => at + 1), 51 + flood]);
    const circuits = history.events({ ...ALL, kinds: ['circuit'], limit: 10_000 });
    expect(circuits.events).toHaveLength(1_000);
    expect(circuits.dropped).toBe(flood - 1_000);
    // in the order in which they happened, regardless of their kind
    const all = seqsOf(history.events({ ...ALL, limit: 10_000 }).events);
    expect(all).toEqual(all.toSorted((one, other) => one - other));
    expect(all).toHaveLength(1_051);
  });

  it('change only the time since when circuit events are kept', () => {
    const { history, time } = begun(100);
    const begunAt = time.wall();
    time.advance(SECOND);
    for (let count = 0; count < 2_000; count += 1) history.noteOf(orders, circuit);
    expect(history.events({ ...ALL, kinds: ['state'] }).since).toBe(begunAt);
    expect(history.events({ ...ALL, kinds: ['circuit'] }).since).toBe(time.wall());
    expect(history.events(ALL).since).toBe(time.wall());
  });
});
