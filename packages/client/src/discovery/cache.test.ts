import type { Instance, ServiceFrame } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance, resetFrame, EPOCH } from '../registry-client/registry-client.fixture.js';
import { FakeFolder } from './cache.fixture.js';
import { Cache } from './cache.js';
import { Catalog } from './catalog.js';

const OTHER_EPOCH = '0192f3a0-0000-7000-8000-000000000002';
const FILE = 'default.gateway.catalog';
const OWNER = { namespace: 'default', registries: ['http://registry.test'] };
const one = createInstance({ id: 'orders-1', revision: 1 });
const two = createInstance({ id: 'orders-2', revision: 2 });

/** One run of a process. Its files remain in the folder. */
function startRun(folder = new FakeFolder(), wallMs = 1_790_000_000_000) {
  const time = new ManualTime({ wallMs });
  const log = recordingLog();
  const ejected = new Set<string>();
  const catalog: Catalog = new Catalog({
    time,
    log,
    onServiceRequested: () => {},
    isEjected: (id) => ejected.has(id),
    changed: () => cache.changed(),
  });
  const cache: Cache = new Cache({ time, log, folder, file: FILE, owner: OWNER, catalog });
  const receive = (instances: readonly Instance[], revision: number, epoch = EPOCH): void => {
    catalog.apply(resetFrame(instances, revision, epoch) as ServiceFrame);
    catalog.confirm([instances[0]?.service ?? 'orders']);
  };
  return { folder, time, log, ejected, catalog, cache, receive };
}

/** A run that knew two instances of orders and was closed. */
async function before(folder = new FakeFolder()): Promise<FakeFolder> {
  const { cache, catalog, receive } = startRun(folder);
  catalog.service('orders');
  cache.start();
  receive([one, two], 2);
  await cache.close();
  return folder;
}

const idsOf = (catalog: Catalog, name = 'orders'): readonly string[] =>
  catalog
    .service(name)
    .instances.map(({ id }) => id)
    .toSorted();

describe('Cache, a start without a registry', () => {
  it('restores the services of the last run at once, as stale', async () => {
    const { cache, catalog, time } = startRun(await before(), 1_790_000_000_000 + 60_000);
    const view = catalog.service('orders');
    cache.start();
    cache.missing();
    await time.advanceBy(0);
    expect(view).toMatchObject({ status: 'known', stale: true, confirmedAt: -60_000 });
    expect(view.instances).toEqual([one, two]);
  });

  it('waits 300 ms for an answer of the registry', async () => {
    const { cache, catalog, time } = startRun(await before());
    const view = catalog.service('orders');
    cache.start();
    await time.advanceBy(299);
    expect(view.status).toBe('waiting');
    await time.advanceBy(1);
    expect(view.status).toBe('known');
  });

  it('resolves a pending wait for a service', async () => {
    const { cache, catalog, time } = startRun(await before());
    const settled = catalog.settle(catalog.service('orders'), 2_000);
    cache.start();
    await time.advanceBy(300);
    await settled;
    expect(time.now()).toBe(300);
  });

  it('restores a service that is requested later, and lists its name', async () => {
    const { cache, catalog, time } = startRun(await before());
    cache.start();
    await time.advanceBy(300);
    expect(catalog.names()).toEqual(['orders']);
    expect(catalog.services).toEqual([]);
    expect(idsOf(catalog)).toEqual(['orders-1', 'orders-2']);
  });

  it('drops copies older than 24 h', async () => {
    const day = 24 * 3_600_000;
    const { cache, catalog, time, log } = startRun(await before(), 1_790_000_000_000 + day + 1);
    catalog.service('orders');
    cache.start();
    await time.advanceBy(300);
    expect(catalog.service('orders').status).toBe('waiting');
    expect(log.texts('warn')).toEqual([]);
  });
});

describe('Cache, when the registry answers', () => {
  it('never replaces an answer of the registry', async () => {
    const { cache, catalog, time, receive } = startRun(await before());
    catalog.service('orders');
    cache.start();
    receive([one], 3);
    await time.advanceBy(1_000);
    expect(idsOf(catalog)).toEqual(['orders-1']);
  });

  it('removes instances that the same registry no longer reports', async () => {
    const { cache, catalog, time, receive } = startRun(await before());
    catalog.service('orders');
    cache.start();
    await time.advanceBy(300);
    receive([two], 7);
    expect(idsOf(catalog)).toEqual(['orders-2']);
  });

  it('keeps instances that a registry of another epoch does not report until the registry is settled and they do not answer here', async () => {
    const { cache, catalog, time, receive, ejected } = startRun(await before());
    catalog.service('orders');
    cache.start();
    await time.advanceBy(300);
    receive([one], 1, OTHER_EPOCH);
    catalog.settled(['orders']);
    expect(idsOf(catalog)).toEqual(['orders-1', 'orders-2']);
    ejected.add('orders-2');
    catalog.settled(['orders']);
    expect(idsOf(catalog)).toEqual(['orders-1']);
  });

  it('removes an instance at once if another process answers at its address, since all are unconfirmed', async () => {
    const { cache, catalog, time } = startRun(await before());
    catalog.service('orders');
    cache.start();
    await time.advanceBy(300);
    catalog.disprove('orders-1');
    expect(idsOf(catalog)).toEqual(['orders-2']);
  });

  it('does not resume from a stored copy: the service gets a reset', async () => {
    const { cache, catalog, time } = startRun(await before());
    catalog.service('orders');
    cache.start();
    await time.advanceBy(300);
    expect(catalog.canResume('orders', { epoch: EPOCH, revision: 2 })).toBe(false);
    const upsert = [createInstance({ id: 'orders-3', revision: 3 })];
    const change = { event: 'change', data: { namespace: 'default', service: 'orders', upsert, remove: [] } } as const;
    expect(catalog.apply(change)).toBe('broken');
  });
});

describe('Cache, writing', () => {
  it('writes the first changes after a second, further ones every 5 s, and nothing without changes', async () => {
    const { cache, catalog, folder, time, receive } = startRun();
    catalog.service('orders');
    cache.start();
    await time.advanceBy(10_000);
    expect(folder.writes).toBe(0);
    receive([one], 1);
    await time.advanceBy(999);
    expect(folder.writes).toBe(0);
    await time.advanceBy(1);
    expect(folder.writes).toBe(1);
    for (let revision = 2; revision < 102; revision += 1) {
      receive([createInstance({ id: 'orders-1', revision })], revision);
      await time.advanceBy(100);
    }
    expect(folder.writes).toBe(3);
    await time.advanceBy(600_000);
    expect(folder.writes).toBe(3);
  });

  it('writes again every hour, so that an unchanged copy is not treated as outdated', async () => {
    const folder = new FakeFolder();
    const day = 24 * 3_600_000;
    const { cache, catalog, time, receive } = startRun(folder);
    catalog.service('orders');
    cache.start();
    receive([one], 1);
    for (let hour = 0; hour < 30; hour += 1) {
      await time.advanceBy(3_600_000);
      catalog.confirm(['orders']);
    }
    // the process was killed, so it wrote nothing at its end
    const next = startRun(folder, time.wall() + day - 2 * 3_600_000);
    next.cache.start();
    await next.time.advanceBy(300);
    expect(next.catalog.names()).toEqual(['orders']);
    expect(folder.writes).toBeLessThan(33);
  });

  it('keeps stored copies of services that this process has not requested', async () => {
    const folder = await before();
    const { cache, catalog, time, receive } = startRun(folder, 1_790_000_000_000 + 1_000);
    catalog.service('users');
    cache.start();
    receive([createInstance({ service: 'users' })], 1);
    await time.advanceBy(5_000);
    await cache.close();
    const last = startRun(folder);
    last.cache.start();
    await last.time.advanceBy(300);
    expect(last.catalog.names().toSorted()).toEqual(['orders', 'users']);
  });

  it('measures the age from the last answer of the registry, not from the time of the file', async () => {
    const folder = await before();
    const day = 24 * 3_600_000;
    const { cache, catalog, time, receive } = startRun(folder, 1_790_000_000_000 + day - 10_000);
    catalog.service('orders');
    catalog.service('users');
    cache.start();
    cache.missing();
    await time.advanceBy(0);
    receive([createInstance({ service: 'users' })], 1);
    await time.advanceBy(5_000);
    await cache.close();
    const last = startRun(folder, 1_790_000_000_000 + day + 60_000);
    last.cache.start();
    await last.time.advanceBy(300);
    expect(last.catalog.names()).toEqual(['users']);
  });

  it('accesses no file before start and after close, and leaves no timer', async () => {
    const { cache, catalog, folder, time, receive } = startRun();
    await cache.close();
    cache.start();
    catalog.service('orders');
    receive([one], 1);
    await time.advanceBy(60_000);
    await cache.close();
    expect(folder.writes).toBe(0);
    const other = startRun();
    other.catalog.service('orders');
    other.cache.start();
    other.receive([one], 1);
    await other.time.advanceBy(2_000);
    await Promise.all([other.cache.close(), other.cache.close()]);
    expect(other.time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('yields to the event loop during a large write', async () => {
    const { cache, catalog, folder, time, receive } = startRun();
    catalog.service('orders');
    cache.start();
    receive(
      Array.from({ length: 5_000 }, (_, n) => createInstance({ id: `orders-${n}`, revision: n })),
      5_000,
    );
    time.advance(1_000);
    await Promise.resolve();
    await time.advanceBy(0);
    expect(folder.writes).toBe(1);
    const next = startRun(folder);
    next.cache.start();
    await next.time.advanceBy(300);
    expect(next.catalog.service('orders').instances).toHaveLength(5_000);
  });
});

describe('Cache, errors', () => {
  it.each([
    ['is damaged', (text: string) => text.replace('orders-1', 'orders-9'), 'it is damaged'],
    ['is cut', (text: string) => text.slice(0, -100), 'it is damaged'],
    ['belongs to another program', () => '{"name":"package"}\n', 'no cache file of Rollcall'],
    ['is of a later version', (text: string) => text.replace('"version":1', '"version":9'), 'another version'],
  ])('does not use a file that %s, logs that in one line, and writes it again', async (_, damage, why) => {
    const folder = await before();
    folder.files.set(FILE, damage(folder.files.get(FILE) ?? ''));
    const { cache, catalog, time, log, receive } = startRun(folder);
    catalog.service('orders');
    cache.start();
    await time.advanceBy(300);
    expect(catalog.service('orders').status).toBe('waiting');
    expect(log.texts('warn')).toEqual([expect.stringContaining(why)]);
    receive([one], 1);
    await cache.close();
    const next = startRun(folder);
    next.cache.start();
    await next.time.advanceBy(300);
    expect(next.catalog.names()).toEqual(['orders']);
  });

  it('does not use a file that cannot be read, and logs that in one line', async () => {
    const folder = await before();
    folder.trouble = 'EACCES: permission denied';
    const { cache, time, log } = startRun(folder);
    cache.start();
    await time.advanceBy(300);
    expect(log.texts('warn')).toEqual([expect.stringContaining('EACCES')]);
  });

  it('logs once that it cannot write, retries with the next change, and writes when it can', async () => {
    const { cache, catalog, folder, time, log, receive } = startRun();
    catalog.service('orders');
    cache.start();
    await time.advanceBy(0);
    folder.trouble = 'ENOSPC: no space left on device';
    for (let revision = 1; revision < 10; revision += 1) {
      receive([createInstance({ id: 'orders-1', revision })], revision);
      await time.advanceBy(6_000);
    }
    expect(log.texts('warn')).toEqual([expect.stringContaining('ENOSPC')]);
    folder.trouble = null;
    receive([two], 10);
    await time.advanceBy(6_000);
    expect(folder.writes).toBe(1);
  });

  it('delays the end by at most 2 s if the disk does not respond', async () => {
    const { cache, catalog, folder, time, receive } = startRun();
    catalog.service('orders');
    cache.start();
    receive([one], 1);
    await time.advanceBy(0);
    folder.isHung = true;
    const closed = cache.close();
    await time.advanceBy(2_000);
    await closed;
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
