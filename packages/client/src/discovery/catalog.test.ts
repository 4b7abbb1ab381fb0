import type { Frame, ServiceFrame } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance, resetFrame, EPOCH } from '../registry-client/registry-client.fixture.js';
import { Catalog, MAX_SERVICES } from './catalog.js';

const OTHER_EPOCH = '0192f3a0-0000-7000-8000-000000000002';
const one = createInstance({ id: 'orders-1', revision: 1 });
const two = createInstance({ id: 'orders-2', revision: 2 });
const both = resetFrame([one, two], 2) as ServiceFrame;

function setUp(ejected: readonly string[] = []) {
  const time = new ManualTime();
  const log = recordingLog();
  let requestCount = 0;
  const catalog = new Catalog({
    time,
    log,
    onServiceRequested: () => (requestCount += 1),
    isEjected: (id) => ejected.includes(id),
  });
  return { time, log, catalog, requestCount: () => requestCount };
}

/** A catalog with the maximum of watched services. */
function setUpFull() {
  const world = setUp();
  for (let i = 0; i < MAX_SERVICES; i += 1) world.catalog.service(`service-${i}`);
  return world;
}

const unknownFrame = (service: string): ServiceFrame => ({ event: 'unknown', data: { namespace: 'default', service } });

/** A catalog with this many services that the registry does not know. */
const askForUnknownServices = (catalog: Catalog, count: number): void => {
  for (let i = 0; i < count; i += 1) {
    catalog.service(`nobody-${i}`);
    catalog.apply(unknownFrame(`nobody-${i}`));
  }
};

const ids = (catalog: Catalog): readonly string[] =>
  catalog
    .service('orders')
    .instances.map(({ id }) => id)
    .toSorted();

describe('Catalog', () => {
  it('watches a service from the first request on, and always returns the same view', () => {
    const { catalog, requestCount } = setUp();
    const view = catalog.service('orders');
    expect(catalog.service('orders')).toBe(view);
    expect(requestCount()).toBe(1);
    expect(catalog.services).toEqual(['orders']);
    expect(view).toMatchObject({ service: 'orders', status: 'waiting', stale: true, instances: [] });
  });

  it('applies frames of the feed, and notifies listeners', () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    const received: number[] = [];
    const stop = view.onChange(() => received.push(view.instances.length));
    time.advance(10);
    expect(catalog.apply(both)).toBe('changed');
    expect(view).toMatchObject({ status: 'known', changedAt: 10 });
    expect(view.instances).toBe(view.instances);
    const remove = [{ id: 'orders-2', revision: 3, reason: { code: 'GOODBYE' as const, text: 'left' } }];
    catalog.apply({ event: 'change', data: { namespace: 'default', service: 'orders', upsert: [], remove } });
    stop();
    catalog.apply(both);
    expect(received).toEqual([2, 1]);
  });

  it('notifies once for a batch, after its end', () => {
    const { catalog } = setUp();
    const view = catalog.service('orders');
    const received: number[] = [];
    view.onChange(() => received.push(view.instances.length));
    const remove = [{ id: 'orders-2', revision: 3, reason: { code: 'GOODBYE' as const, text: 'left' } }];
    catalog.batch(() => {
      catalog.apply(both);
      expect(view.instances).toHaveLength(2);
      catalog.batch(() =>
        catalog.apply({ event: 'change', data: { namespace: 'default', service: 'orders', upsert: [], remove } }),
      );
      expect(received).toEqual([]);
    });
    expect(received).toEqual([1]);
    catalog.batch(() => catalog.apply(both));
    expect(received).toEqual([1]);
  });

  it('ignores services that were not requested', () => {
    const { catalog } = setUp();
    expect(catalog.apply(both)).toBe('same');
    expect(catalog.services).toEqual([]);
  });

  it('is confirmed by the feed, and stale but full when the feed is disconnected', () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    catalog.apply(both);
    time.advance(5);
    catalog.confirm(['orders']);
    expect(view).toMatchObject({ stale: false, confirmedAt: 5 });
    time.advance(60_000);
    catalog.lost(['orders']);
    expect(view).toMatchObject({ stale: true, confirmedAt: 5, status: 'known' });
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
  });

  it('distinguishes an unknown service from one without an answer', () => {
    const { catalog } = setUp();
    const view = catalog.service('orders');
    catalog.apply(unknownFrame('orders'));
    expect(view.status).toBe('unknown');
    expect(catalog.names()).toEqual([]);
  });

  it('lists the registry’s suggestion for an unknown name', () => {
    const { catalog } = setUp();
    catalog.service('ordres');
    catalog.apply({ event: 'unknown', data: { namespace: 'default', service: 'ordres', nearest: 'orders' } });
    expect(catalog.names()).toEqual(['orders']);
  });

  it('lists the known services', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.service('users');
    catalog.apply(both);
    expect(catalog.names()).toEqual(['orders']);
  });

  it('returns an unknown view for an invalid name, without a watch', () => {
    const { catalog, requestCount } = setUp();
    expect(catalog.service('Orders Service').status).toBe('unknown');
    expect(requestCount()).toBe(0);
    expect(catalog.services).toEqual([]);
  });

  it('counts the answers about a service, and records the time of its last status change', () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    expect(view).toMatchObject({ answers: 0, answeredAt: -Infinity, statusAt: 0, isWatched: true });
    time.advance(10);
    catalog.apply(unknownFrame('orders'));
    expect(view).toMatchObject({ status: 'unknown', answers: 1, answeredAt: 10, statusAt: 10 });
    time.advance(10);
    catalog.apply(unknownFrame('orders'));
    expect(view).toMatchObject({ answers: 2, answeredAt: 20, statusAt: 10, changedAt: 10 });
    const whole = both.event === 'reset' ? both.data : undefined;
    catalog.apply({ event: 'reset', data: { ...whole!, complete: false, instances: [one] } });
    expect(view.answers).toBe(2);
    time.advance(10);
    catalog.apply({ event: 'reset', data: { ...whole!, part: 1, instances: [two] } });
    expect(view).toMatchObject({ status: 'known', answers: 3, answeredAt: 30, statusAt: 30 });
  });
});

describe('Catalog, more services than it may watch', () => {
  it('polls the others, logs that once, and assumes nothing about them', () => {
    const { catalog, log, requestCount } = setUpFull();
    const before = requestCount();
    const view = catalog.service('orders');
    expect(catalog.service('orders')).toBe(view);
    expect(catalog.services).toHaveLength(MAX_SERVICES);
    expect(catalog.polledServices).toEqual(['orders']);
    expect(requestCount()).toBe(before + 1);
    expect(view.status).toBe('waiting');
    catalog.apply(both);
    catalog.confirm(['orders']);
    expect(view).toMatchObject({ status: 'known', stale: false });
    const other = catalog.service('users');
    catalog.apply(unknownFrame('users'));
    expect(other.status).toBe('unknown');
    expect(log.texts('warn')).toEqual([expect.stringContaining('"orders" and any further services')]);
  });

  it('polls a few of them: the most recently requested ones and those with listeners', () => {
    const { catalog } = setUpFull();
    const first = catalog.service('other-0');
    const second = catalog.service('other-1');
    first.onChange(() => {});
    for (let i = 2; i < 1_000; i += 1) catalog.service(`other-${i}`);
    expect(catalog.polledServices.length).toBeLessThan(100);
    expect(catalog.polledServices).toContain('other-0');
    expect(catalog.polledServices).toContain('other-999');
    expect([first.isWatched, second.isWatched]).toEqual([true, false]);
    for (const name of catalog.polledServices) catalog.service(name).onChange(() => {});
    expect(catalog.service('orders')).toMatchObject({ status: 'waiting', isWatched: false });
  });

  it('watches one of them once another service is forgotten', () => {
    const { catalog } = setUpFull();
    const view = catalog.service('orders');
    catalog.apply(unknownFrame('service-7'));
    expect(catalog.service('orders')).toBe(view);
    expect(catalog.polledServices).toEqual([]);
    expect(catalog.services).toContain('orders');
    expect(catalog.services).not.toContain('service-7');
  });
});

describe('Catalog, untrusted names', () => {
  it('are forgotten beyond the limit, the least recently requested first; known services never', () => {
    const { catalog, requestCount } = setUp();
    const known = catalog.service('orders');
    catalog.apply(both);
    askForUnknownServices(catalog, 10);
    const [old, again] = [catalog.service('nobody-0'), catalog.service('nobody-1')];
    old.onChange(() => {});
    for (let i = 0; i < 20_000; i += 1) {
      catalog.service(`other-${i}`);
      catalog.apply(unknownFrame(`other-${i}`));
      catalog.service('nobody-1');
    }
    expect(catalog.services.length).toBeLessThan(1_100);
    expect(catalog.shards.length).toBeLessThan(10);
    expect(catalog.service('orders')).toBe(known);
    expect(catalog.service('nobody-0')).toBe(old);
    expect(catalog.service('nobody-1')).toBe(again);
    const before = requestCount();
    expect(catalog.service('nobody-2')).toMatchObject({ status: 'waiting', answers: 0, isWatched: true });
    expect(requestCount()).toBe(before + 1);
  });

  it('mark the view of a forgotten name as stale', () => {
    const { catalog } = setUp();
    const view = catalog.service('ordres');
    catalog.apply(unknownFrame('ordres'));
    catalog.confirm(['ordres']);
    expect(view).toMatchObject({ stale: false, isWatched: true });
    askForUnknownServices(catalog, 2_000);
    expect(view).toMatchObject({ status: 'unknown', stale: true, isWatched: false });
  });

  it('are limited in number while no registry answers', () => {
    const { catalog } = setUp();
    for (let i = 0; i < 20_000; i += 1) catalog.service(`nobody-${i}`);
    expect(catalog.services).toHaveLength(MAX_SERVICES);
    expect(catalog.polledServices.length).toBeLessThan(100);
    expect(catalog.service('nobody-19999').status).toBe('waiting');
  });
});

describe('Catalog, absence', () => {
  it('removes an instance that a complete view of the same epoch does not contain', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.apply(both);
    catalog.apply(resetFrame([one], 3) as ServiceFrame);
    expect(ids(catalog)).toEqual(['orders-1']);
  });

  it('keeps an instance that a registry of another epoch does not report, even if that registry is settled', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.apply(both);
    catalog.apply(resetFrame([one], 1, OTHER_EPOCH) as ServiceFrame);
    catalog.settled(['orders']);
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
    catalog.apply(unknownFrame('orders'));
    catalog.settled(['orders']);
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
  });

  it('removes an unconfirmed instance if it is ejected here and the registry is settled', () => {
    const { catalog } = setUp(['orders-1', 'orders-2']);
    const view = catalog.service('orders');
    catalog.apply(both);
    catalog.apply(resetFrame([one], 1, OTHER_EPOCH) as ServiceFrame);
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
    let changes = 0;
    view.onChange(() => (changes += 1));
    catalog.settled(['orders']);
    expect(ids(catalog)).toEqual(['orders-1']);
    expect(changes).toBe(1);
  });

  it('removes only an unconfirmed instance if another process answers at its address', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.apply(both);
    catalog.apply(resetFrame([one], 1, OTHER_EPOCH) as ServiceFrame);
    catalog.disprove('orders-1');
    catalog.disprove('orders-2');
    expect(ids(catalog)).toEqual(['orders-1']);
  });

  it('resumes only complete views', () => {
    const { catalog } = setUp();
    const cursor = { epoch: EPOCH, revision: 2 };
    expect(catalog.canResume('orders', cursor)).toBe(false);
    catalog.service('orders');
    expect(catalog.canResume('orders', cursor)).toBe(false);
    catalog.apply(both);
    expect(catalog.canResume('orders', cursor)).toBe(true);
    expect(catalog.canResume('orders', { ...cursor, epoch: OTHER_EPOCH })).toBe(false);
  });

  it('reports a frame that does not follow the protocol', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    const middle: Frame = {
      event: 'reset',
      data: {
        namespace: 'default',
        service: 'orders',
        epoch: EPOCH,
        revision: 1,
        part: 1,
        complete: true,
        instances: [],
      },
    };
    expect(catalog.apply(middle as ServiceFrame)).toBe('broken');
  });
});

describe('Catalog, settle', () => {
  it('waits for the first answer', async () => {
    const { catalog, time } = setUp();
    const settled = catalog.settle(catalog.service('orders'), 2_000);
    time.advance(100);
    catalog.apply(both);
    await settled;
    expect(time.now()).toBe(100);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('waits at most the timeout, on a timer that keeps the process alive', async () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    const settled = catalog.settle(view, 2_000);
    expect(time.pending().foreground).toBe(1);
    time.advance(2_000);
    await settled;
    expect(view.status).toBe('waiting');
  });

  it('does not wait for a known service', async () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    catalog.apply(both);
    await catalog.settle(view, 2_000);
    expect(time.pending().foreground).toBe(0);
  });

  it('resolves when the catalog closes', async () => {
    const { catalog, time } = setUp();
    const settled = catalog.settle(catalog.service('orders'), 2_000);
    catalog.close();
    catalog.close();
    await settled;
    await catalog.settle(catalog.service('users'), 2_000);
    expect(time.pending().foreground).toBe(0);
  });
});
