import type { Frame, ServiceFrame } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Catalog, MAX_SERVICES } from './catalog.js';
import { anInstance, aReset, EPOCH } from './link/link.fixture.js';

const OTHER_EPOCH = '0192f3a0-0000-7000-8000-000000000002';
const one = anInstance({ id: 'orders-1', revision: 1 });
const two = anInstance({ id: 'orders-2', revision: 2 });
const both = aReset([one, two], 2) as ServiceFrame;

function setUp(ejected: readonly string[] = []) {
  const time = new ManualTime();
  const log = recordingLog();
  let asked = 0;
  const catalog = new Catalog({
    time,
    log,
    asked: () => (asked += 1),
    isEjected: (id) => ejected.includes(id),
  });
  return { time, log, catalog, asked: () => asked };
}

/** As many services are asked for as are watched. */
function setUpFull() {
  const world = setUp();
  for (let i = 0; i < MAX_SERVICES; i += 1) world.catalog.service(`service-${i}`);
  return world;
}

const aDenial = (service: string): ServiceFrame => ({ event: 'unknown', data: { namespace: 'default', service } });

const ids = (catalog: Catalog): readonly string[] =>
  catalog
    .service('orders')
    .instances.map(({ id }) => id)
    .toSorted();

describe('Catalog', () => {
  it('has a service watched at the first question, and gives the same view ever after', () => {
    const { catalog, asked } = setUp();
    const view = catalog.service('orders');
    expect(catalog.service('orders')).toBe(view);
    expect(asked()).toBe(1);
    expect(catalog.services).toEqual(['orders']);
    expect(view).toMatchObject({ service: 'orders', status: 'waiting', stale: true, instances: [] });
  });

  it('keeps what the feed tells, and tells who listens', () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    const heard: number[] = [];
    const stop = view.onChange(() => heard.push(view.instances.length));
    time.advance(10);
    expect(catalog.apply(both)).toBe('changed');
    expect(view).toMatchObject({ status: 'known', changedAt: 10 });
    expect(view.instances).toBe(view.instances);
    const remove = [{ id: 'orders-2', revision: 3, reason: { code: 'GOODBYE' as const, text: 'left' } }];
    catalog.apply({ event: 'change', data: { namespace: 'default', service: 'orders', upsert: [], remove } });
    stop();
    catalog.apply(both);
    expect(heard).toEqual([2, 1]);
  });

  it('tells once what came together, when all of it has', () => {
    const { catalog } = setUp();
    const view = catalog.service('orders');
    const heard: number[] = [];
    view.onChange(() => heard.push(view.instances.length));
    const remove = [{ id: 'orders-2', revision: 3, reason: { code: 'GOODBYE' as const, text: 'left' } }];
    catalog.together(() => {
      catalog.apply(both);
      expect(view.instances).toHaveLength(2);
      catalog.together(() =>
        catalog.apply({ event: 'change', data: { namespace: 'default', service: 'orders', upsert: [], remove } }),
      );
      expect(heard).toEqual([]);
    });
    expect(heard).toEqual([1]);
    catalog.together(() => catalog.apply(both));
    expect(heard).toEqual([1]);
  });

  it('ignores services that nobody asked for', () => {
    const { catalog } = setUp();
    expect(catalog.apply(both)).toBe('same');
    expect(catalog.services).toEqual([]);
  });

  it('is confirmed by the feed, and stale but full when the feed is gone', () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    catalog.apply(both);
    time.advance(5);
    catalog.confirm(['orders']);
    expect(view).toMatchObject({ stale: false, confirmedAt: 5 });
    time.advance(60_000);
    catalog.lost();
    expect(view).toMatchObject({ stale: true, confirmedAt: 5, status: 'known' });
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
  });

  it('tells an unknown service from one of which nothing was heard', () => {
    const { catalog } = setUp();
    const view = catalog.service('orders');
    catalog.apply(aDenial('orders'));
    expect(view.status).toBe('unknown');
    expect(catalog.names()).toEqual([]);
  });

  it('names what the registry thinks was meant by a name that it does not know', () => {
    const { catalog } = setUp();
    catalog.service('ordres');
    catalog.apply({ event: 'unknown', data: { namespace: 'default', service: 'ordres', nearest: 'orders' } });
    expect(catalog.names()).toEqual(['orders']);
  });

  it('names the services it knows', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.service('users');
    catalog.apply(both);
    expect(catalog.names()).toEqual(['orders']);
  });

  it('has an unknown view, and asks nobody, for a name that no service can have', () => {
    const { catalog, asked } = setUp();
    expect(catalog.service('Orders Service').status).toBe('unknown');
    expect(asked()).toBe(0);
    expect(catalog.services).toEqual([]);
  });

  it('watches no more services than fit, and says so once', () => {
    const { catalog, log } = setUp();
    for (let i = 0; i < MAX_SERVICES + 10; i += 1) catalog.service(`service-${i}`);
    expect(catalog.services).toHaveLength(MAX_SERVICES);
    expect(catalog.service(`service-${MAX_SERVICES}`).status).toBe('unknown');
    expect(log.texts('warn')).toHaveLength(1);
  });

  it('nor more than can be named in one request, however long their names are', () => {
    const { catalog, time } = setUp();
    const names = Array.from({ length: MAX_SERVICES }, (_, i) => `${String(i).padStart(3, '0')}-${'x'.repeat(59)}`);
    for (const name of names) catalog.service(name);
    const query = catalog.services.map((name) => `&service=${name}&resume=${name}`).join('');
    expect(query.length).toBeLessThan(14_000);
    expect(catalog.services.length).toBeGreaterThan(70);
    for (const name of catalog.services) catalog.apply(aDenial(name));
    time.advance(10_000);
    const another = 'y'.repeat(63);
    expect(catalog.service(another).status).toBe('waiting');
    expect(catalog.services).toEqual([another]);
  });
});

describe('Catalog, names of strangers', () => {
  it('make room when the registry does not know them and nobody listens', () => {
    const { catalog } = setUpFull();
    catalog.service('service-0').onChange(() => {});
    for (const name of catalog.services) if (name !== 'service-9') catalog.apply(aDenial(name));
    expect(catalog.service('orders').status).toBe('waiting');
    expect(catalog.services).toEqual(['service-0', 'service-9', 'orders']);
  });

  it('make room every 10 s at most, so that the feed is not opened anew all the time', () => {
    const { catalog, time } = setUpFull();
    for (const name of catalog.services) catalog.apply(aDenial(name));
    for (let i = 0; i < MAX_SERVICES; i += 1) {
      catalog.service(`other-${i}`);
      catalog.apply(aDenial(`other-${i}`));
    }
    const before = catalog.services;
    catalog.service('orders');
    expect(catalog.services).toBe(before);
    time.advance(10_000);
    expect(catalog.service('orders').status).toBe('waiting');
    expect(catalog.services).toEqual(['orders']);
  });
});

describe('Catalog, absence', () => {
  it('takes absence from a complete view of the same epoch for a removal', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.apply(both);
    catalog.apply(aReset([one], 3) as ServiceFrame);
    expect(ids(catalog)).toEqual(['orders-1']);
  });

  it('keeps what a registry of another epoch does not name, also when that is settled', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.apply(both);
    catalog.apply(aReset([one], 1, OTHER_EPOCH) as ServiceFrame);
    catalog.settled();
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
    catalog.apply(aDenial('orders'));
    catalog.settled();
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
  });

  it('lets an unconfirmed one go when it is ejected here and the registry is settled', () => {
    const { catalog } = setUp(['orders-1', 'orders-2']);
    const view = catalog.service('orders');
    catalog.apply(both);
    catalog.apply(aReset([one], 1, OTHER_EPOCH) as ServiceFrame);
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
    let changes = 0;
    view.onChange(() => (changes += 1));
    catalog.settled();
    expect(ids(catalog)).toEqual(['orders-1']);
    expect(changes).toBe(1);
  });

  it('lets an unconfirmed one go when another process answers at its address, and no other', () => {
    const { catalog } = setUp();
    catalog.service('orders');
    catalog.apply(both);
    catalog.apply(aReset([one], 1, OTHER_EPOCH) as ServiceFrame);
    catalog.disprove('orders-1');
    catalog.disprove('orders-2');
    expect(ids(catalog)).toEqual(['orders-1']);
  });

  it('resumes only what it holds whole', () => {
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
  it('waits for the first word', async () => {
    const { catalog, time } = setUp();
    const settled = catalog.settle(catalog.service('orders'), 2_000);
    time.advance(100);
    catalog.apply(both);
    await settled;
    expect(time.now()).toBe(100);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('waits no longer than told, on a timer that keeps the process alive', async () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    const settled = catalog.settle(view, 2_000);
    expect(time.pending().foreground).toBe(1);
    time.advance(2_000);
    await settled;
    expect(view.status).toBe('waiting');
  });

  it('does not wait for what is known', async () => {
    const { catalog, time } = setUp();
    const view = catalog.service('orders');
    catalog.apply(both);
    await catalog.settle(view, 2_000);
    expect(time.pending().foreground).toBe(0);
  });

  it('ends with the catalog', async () => {
    const { catalog, time } = setUp();
    const settled = catalog.settle(catalog.service('orders'), 2_000);
    catalog.close();
    catalog.close();
    await settled;
    await catalog.settle(catalog.service('users'), 2_000);
    expect(time.pending().foreground).toBe(0);
  });
});
