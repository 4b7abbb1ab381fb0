import { AsyncLocalStorage } from 'node:async_hooks';
import { systemTime } from '@rollcall/core';
import type { Frame } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance, problemOf, resetFrame, EPOCH } from '../registry-client/registry-client.fixture.js';
import type { Catalog } from './catalog.js';
import { orders, setUp, watching } from './feed.fixture.js';

const users = resetFrame([createInstance({ service: 'users' })]);
const OTHER_EPOCH = '0192f3a0-0000-7000-8000-000000000002';

const changeFrame = (id: string, revision: number): Frame => ({
  event: 'change',
  data: { namespace: 'default', service: 'orders', upsert: [createInstance({ id, revision })], remove: [] },
});

const ids = (catalog: Catalog): readonly string[] => catalog.service('orders').instances.map(({ id }) => id);

describe('Feed, the watched services', () => {
  it('opens no stream while no service is requested', () => {
    const { feed, link, time } = setUp(1, new ManualTime());
    feed.refresh();
    time.advance(60_000);
    expect(link.streams).toEqual([]);
  });

  it('watches all services that are requested in one turn with one stream', () => {
    const { catalog, link, time } = setUp(1, new ManualTime());
    catalog.service('orders');
    catalog.service('users');
    time.advance(0);
    expect(link.streams).toHaveLength(1);
    expect(link.stream.request).toEqual({
      namespace: 'shop',
      services: ['orders', 'users'],
      resume: [],
      cursor: null,
      line: null,
    });
  });

  it('fills the catalog, and reports that it is connected', () => {
    const { catalog, contact } = watching();
    expect(catalog.service('orders')).toMatchObject({ status: 'known', stale: false });
    expect(contact.status).toBe('connected');
  });

  it('opens the new stream before it closes the old one, and resumes its services', () => {
    const { catalog, link, time } = watching();
    const [old] = link.streams;
    catalog.service('users');
    time.advance(0);
    expect(old?.isClosed).toBe(false);
    expect(link.stream.request).toMatchObject({
      services: ['orders', 'users'],
      resume: ['orders'],
      cursor: { epoch: EPOCH, revision: 5 },
    });
    link.stream.accept([users], 6);
    expect(old?.isClosed).toBe(true);
    expect(catalog.service('users').status).toBe('known');
    expect(catalog.service('orders').stale).toBe(false);
  });

  it('reads the old stream until the new one is open, but not after that', () => {
    const { catalog, link, time } = watching();
    const [old] = link.streams;
    catalog.service('users');
    time.advance(0);
    old?.flush([changeFrame('orders-2', 6)], 6);
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
    link.stream.accept([users], 7);
    old?.flush([changeFrame('orders-3', 8)], 8);
    expect(ids(catalog)).toEqual(['orders-1', 'orders-2']);
  });

  it('keeps the old stream if the new one fails, and retries', () => {
    const { catalog, link, time, contact } = watching();
    catalog.service('users');
    time.advance(0);
    link.stream.end();
    expect(contact.status).toBe('connected');
    expect(link.streams[0]?.isClosed).toBe(false);
    time.advance(100);
    expect(link.streams).toHaveLength(3);
    link.stream.accept([users], 6);
    expect(catalog.service('users').status).toBe('known');
  });

  it('watches services that are requested while a stream is being opened', () => {
    const { catalog, link, time } = setUp(1, new ManualTime());
    catalog.service('orders');
    time.advance(0);
    catalog.service('users');
    time.advance(0);
    expect(link.streams).toHaveLength(1);
    link.stream.accept([orders], 5);
    expect(link.streams).toHaveLength(2);
    expect(link.stream.request.services).toEqual(['orders', 'users']);
  });
});

describe('Feed, opened by a request', () => {
  it('keeps no AsyncLocalStorage of that request', async () => {
    const request = new AsyncLocalStorage<string>();
    const { feed, catalog, link } = setUp(1, systemTime);
    const watch = link.watch.bind(link);
    const watched = (): Promise<unknown> =>
      new Promise((resolve) => {
        link.watch = (...args) => {
          resolve(request.getStore());
          return watch(...args);
        };
      });
    const first = watched();
    catalog.service('orders');
    await first;
    link.stream.accept([orders]);
    const second = watched();
    request.run('request 1', () => catalog.service('users'));
    await expect(second).resolves.toBeUndefined();
    feed.close();
  });
});

describe('Feed, when it breaks', () => {
  it('keeps the catalog full but stale, and reconnects within 100 ms with all services resumed', () => {
    const { catalog, contact, link, time } = watching();
    link.stream.end();
    expect(ids(catalog)).toEqual(['orders-1']);
    expect(catalog.service('orders').stale).toBe(true);
    expect(contact.status).toBe('disconnected');
    time.advance(100);
    expect(link.stream.request).toMatchObject({ resume: ['orders'], cursor: { epoch: EPOCH, revision: 5 } });
    link.stream.accept([], 5);
    expect(catalog.service('orders').stale).toBe(false);
    expect(contact.status).toBe('connected');
  });

  it('keeps retrying with waits up to the maximum, not in a tight loop', () => {
    const { link, time } = watching();
    link.stream.end();
    const gaps: number[] = [];
    let last = time.now();
    for (let i = 0; i < 50; i += 1) {
      const { length } = link.streams;
      while (link.streams.length === length) time.advance(1);
      gaps.push(time.now() - last);
      last = time.now();
      link.stream.end();
    }
    expect(gaps[0]).toBeLessThanOrEqual(100);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(4_001);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10);
    const late = gaps.slice(10);
    expect(late.reduce((sum, gap) => sum + gap, 0) / late.length).toBeGreaterThan(1_000);
  });

  it('spreads the reconnects of a fleet', () => {
    const times = Array.from({ length: 40 }, (_, seed) => {
      const { link, time } = watching(seed);
      link.stream.end();
      time.advance(100);
      link.stream.end();
      const { length } = link.streams;
      while (link.streams.length === length) time.advance(1);
      return time.now();
    });
    expect(new Set(times).size).toBeGreaterThan(20);
  });

  it('returns to short waits only after a complete flush', () => {
    const { link, time } = watching();
    const opened = (): void => {
      const { length } = link.streams;
      while (link.streams.length === length) time.advance(1);
    };
    for (let i = 0; i < 12; i += 1) {
      link.stream.end();
      opened();
    }
    const before = time.now();
    for (let i = 0; i < 5; i += 1) {
      // accepted, but broken before the first mark
      link.stream.openOnly();
      link.stream.end();
      opened();
    }
    expect(time.now() - before).toBeGreaterThan(1_000);
  });

  it('returns to short waits after a long stream', () => {
    const { link, time } = watching();
    for (let i = 0; i < 20; i += 1) {
      link.stream.end();
      time.advance(4_000);
    }
    link.stream.accept([], 6);
    time.advance(5_000);
    link.stream.end();
    const { length } = link.streams;
    time.advance(100);
    expect(link.streams).toHaveLength(length + 1);
  });

  it('does not retry in a tight loop if each stream delivers something and ends', () => {
    const { link, log, time } = watching();
    for (let i = 0; i < 60_000; i += 10) {
      time.advance(10);
      if (link.stream.isClosed) continue;
      link.stream.accept([], 6);
      link.stream.end({ ...problemOf('INTERNAL'), detail: `The stream violated the protocol, time ${i}.` });
    }
    expect(link.streams.length).toBeLessThan(60);
    expect(log.texts('warn')).toHaveLength(1);
  });

  it('does not wait if its next stream is already being opened', () => {
    const { catalog, link, time } = watching();
    catalog.service('users');
    time.advance(0);
    link.streams[0]?.end();
    link.stream.accept([users], 6);
    catalog.service('payments');
    time.advance(0);
    expect(link.stream.request.services).toEqual(['orders', 'users', 'payments']);
  });

  it('waits as long as a registry that is not ready asks for, and does not warn', () => {
    const { catalog, link, log, time } = setUp(1, new ManualTime());
    catalog.service('orders');
    time.advance(0);
    link.stream.end({ ...problemOf('NOT_READY'), retryAfterMs: 1_000 });
    time.advance(999);
    expect(link.streams).toHaveLength(1);
    time.advance(1);
    expect(link.streams).toHaveLength(2);
    expect(log.texts('warn')).toEqual([]);
  });

  it('logs a permanent refusal once', () => {
    const { catalog, link, log, time } = setUp(1, new ManualTime());
    catalog.service('orders');
    time.advance(0);
    for (let i = 0; i < 5; i += 1) {
      link.stream.end(problemOf('FORBIDDEN'));
      time.advance(5_000);
    }
    expect(link.streams.length).toBeGreaterThan(5);
    expect(log.texts('warn')).toHaveLength(1);
  });

  it('does not resume a service that was received only in part', () => {
    const { catalog, link, time } = watching();
    link.stream.end();
    time.advance(100);
    link.stream.accept([], 9, OTHER_EPOCH);
    const data = { namespace: 'default', service: 'orders', epoch: OTHER_EPOCH, revision: 9, part: 0, complete: false };
    link.stream.send([{ event: 'reset', data: { ...data, instances: [createInstance({ id: 'orders-9' })] } }]);
    link.stream.end();
    expect(ids(catalog)).toEqual(['orders-1']);
    time.advance(200);
    expect(link.stream.request).toMatchObject({ services: ['orders'], resume: [], cursor: null });
  });

  it('watches a service again if its frames violate the protocol', () => {
    const { catalog, link, log, time } = watching();
    const data = { namespace: 'default', service: 'orders', epoch: EPOCH, revision: 9, part: 3, complete: true };
    link.stream.flush([{ event: 'reset', data: { ...data, instances: [] } }], 9);
    expect(link.streams[0]?.isClosed).toBe(true);
    expect(ids(catalog)).toEqual(['orders-1']);
    expect(log.texts('warn')).toHaveLength(1);
    time.advance(100);
    expect(link.stream.request).toMatchObject({ resume: [], cursor: null });
  });
});

describe('Feed, absence', () => {
  it('keeps instances that a registry of another epoch does not report until the registry is settled', () => {
    const { catalog, link, time } = watching();
    link.stream.end();
    time.advance(100);
    const other = resetFrame([createInstance({ id: 'orders-2' })], 1, OTHER_EPOCH);
    link.stream.accept([other, { event: 'status', data: { settled: false } }], 1, OTHER_EPOCH);
    expect([...ids(catalog)].toSorted()).toEqual(['orders-1', 'orders-2']);
    link.stream.flush([{ event: 'status', data: { settled: true } }], 2, OTHER_EPOCH);
    expect(ids(catalog)).toEqual(['orders-2']);
  });
});

describe('Feed, closing', () => {
  it('closes its streams, leaves no timer, and may be closed twice', () => {
    const { feed, link, time, catalog } = watching();
    catalog.service('users');
    time.advance(0);
    feed.close();
    feed.close();
    expect(link.streams.every((stream) => stream.isClosed)).toBe(true);
    catalog.service('payments');
    time.advance(60_000);
    expect(link.streams).toHaveLength(2);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('closes while it waits to reconnect', () => {
    const { feed, link, time } = watching();
    link.stream.end();
    feed.close();
    time.advance(60_000);
    expect(link.streams).toHaveLength(1);
  });
});
