import type { Frame } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance, resetFrame, createView, EPOCH } from '../registry-client/registry-client.fixture.js';
import type { FakeStream } from '../registry-client/registry-client.fixture.js';
import { MAX_SERVICES } from './catalog.js';
import { setUp } from './feed.fixture.js';

const nameOf = (i: number): string => `s${i}`;
const viewOf = (service: string): Frame => resetFrame([createInstance({ id: `${service}-1`, service })]);
const denialOf = (service: string): Frame => ({ event: 'unknown', data: { namespace: 'shop', service } });

function setUpWith(count: number) {
  const world = setUp(1, new ManualTime());
  const views = Array.from({ length: count }, (_, i) => world.catalog.service(nameOf(i)));
  world.time.advance(0);
  return { ...world, views };
}

/** Lets each opened stream deliver all of its services. */
function acceptAll(streams: readonly FakeStream[], revision = 5): void {
  for (const stream of streams) stream.accept(stream.request.services.map(viewOf), revision);
}

describe('Feed, more services than one stream can carry', () => {
  it('opens several streams at once, with at most 256 names each, and receives all services', () => {
    const { link, views } = setUpWith(1_000);
    expect(link.streams.map(({ request }) => request.services.length)).toEqual([256, 256, 256, 232]);
    expect(views.every(({ status }) => status === 'waiting')).toBe(true);
    acceptAll(link.streams);
    expect(views.every(({ status, stale }) => status === 'known' && !stale)).toBe(true);
  });

  it('keeps a service waiting only while its stream is not open', () => {
    const { link, views } = setUpWith(300);
    const [first, second] = link.streams;
    first?.accept([denialOf('s0')], 5);
    second?.openOnly();
    expect([views[0]?.status, views[1]?.status, views[299]?.status]).toEqual(['unknown', 'waiting', 'waiting']);
    expect([views[1]?.stale, views[299]?.stale]).toEqual([false, true]);
  });

  it('reopens one stream for one more service, and leaves the others open', () => {
    const { link, time, catalog } = setUpWith(300);
    acceptAll(link.streams);
    const [first, second] = link.streams;
    catalog.service('orders');
    time.advance(0);
    expect(link.streams).toHaveLength(3);
    const { services, resume } = link.stream.request;
    expect(services).toEqual([...(second?.request.services ?? []), 'orders']);
    expect(resume).toEqual(second?.request.services);
    expect([first?.isClosed, second?.isClosed]).toEqual([false, false]);
    link.stream.accept([viewOf('orders')], 6);
    expect([first?.isClosed, second?.isClosed]).toEqual([false, true]);
    expect(catalog.service('orders').status).toBe('known');
  });

  it('resumes each stream from its own cursor', () => {
    const { link, time } = setUpWith(300);
    const [first, second] = link.streams;
    acceptAll(link.streams, 5);
    first?.flush([], 9);
    first?.end();
    second?.end();
    time.advance(100);
    const again = new Map(link.streams.slice(2).map(({ request }) => [request.services.length, request.cursor]));
    expect(again.get(256)).toEqual({ epoch: EPOCH, revision: 9 });
    expect(again.get(44)).toEqual({ epoch: EPOCH, revision: 5 });
  });

  it('marks the services of a broken stream as stale, and is disconnected once all streams are broken', () => {
    const { link, views, contact } = setUpWith(300);
    acceptAll(link.streams);
    link.streams[1]?.end();
    expect([views[0]?.stale, views[299]?.stale, contact.status]).toEqual([false, true, 'connected']);
    link.streams[0]?.end();
    expect([views[0]?.stale, contact.status]).toEqual([true, 'disconnected']);
  });

  it('holds the line in one of the streams', () => {
    const { link, line, feed, time } = setUpWith(600);
    acceptAll(link.streams);
    line.currentProof = { id: 'gateway-1', secret: 'secret' };
    feed.refresh();
    time.advance(0);
    const lines = link.streams.map(({ request }) => request.line?.id ?? null);
    expect(lines).toEqual([null, null, null, 'gateway-1']);
    link.stream.accept([], 6);
    link.streams[1]?.end();
    expect(line.events).toEqual(['opened']);
  });

  it('closes all streams, and leaves no timer', () => {
    const { link, feed, time, catalog } = setUpWith(600);
    acceptAll(link.streams.slice(0, 2));
    feed.close();
    catalog.service('orders');
    time.advance(60_000);
    expect(link.streams).toHaveLength(3);
    expect(link.streams.every(({ isClosed }) => isClosed)).toBe(true);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

describe('Feed, untrusted names', () => {
  it('closes the streams of forgotten names, without opening others', () => {
    const { link, time, catalog } = setUpWith(3_000);
    const { length } = link.streams;
    for (const stream of link.streams) stream.accept(stream.request.services.map(denialOf), 5);
    time.advance(0);
    expect(link.streams).toHaveLength(length);
    expect(link.streams.filter(({ isClosed }) => !isClosed).length).toBeLessThanOrEqual(6);
    expect(catalog.services.length).toBeLessThan(1_100);
  });

  it('does not use a late frame of a forgotten name as the answer to its next request', () => {
    const { link, time, catalog } = setUpWith(1);
    const [first] = link.streams;
    first?.accept([viewOf('s0')], 5);
    const remove = [{ id: 's0-1', revision: 6, reason: { code: 'GOODBYE' as const, text: 'left' } }];
    first?.flush([{ event: 'change', data: { namespace: 'shop', service: 's0', upsert: [], remove } }], 6);
    for (let i = 1; catalog.services.includes('s0'); i += 1) {
      catalog.service(`nobody-${i}`);
      catalog.apply(denialOf(`nobody-${i}`) as never);
    }
    const again = catalog.service('s0');
    const upsert = [createInstance({ id: 's0-2', service: 's0', revision: 7 })];
    first?.flush([{ event: 'change', data: { namespace: 'shop', service: 's0', upsert, remove: [] } }], 7);
    expect([again.status, again.stale, first?.isClosed]).toEqual(['waiting', true, false]);
    time.advance(0);
    for (const stream of link.streams.slice(1)) stream.accept(stream.request.services.map(viewOf), 7);
    expect(again.status).toBe('known');
  });

  it('reopens streams at most eight times a second, however fast names arrive', () => {
    const { link, time, catalog } = setUpWith(1);
    for (let ms = 0; ms < 10_000; ms += 1) {
      catalog.service(`nobody-${ms}`);
      time.advance(1);
      if (!link.stream.isClosed) link.stream.accept(link.stream.request.services.map(denialOf), 5);
    }
    expect(link.streams.length).toBeLessThan(32 + 10 * 8 + 60);
    time.advance(200);
    link.stream.accept(link.stream.request.services.map(denialOf), 5);
    expect(catalog.service('nobody-9999').status).toBe('unknown');
  });

  it('polls single services if streams are full', async () => {
    const { link, time, catalog, contact } = setUpWith(MAX_SERVICES);
    const [known, unknown] = [catalog.service('orders'), catalog.service('ordres')];
    time.advance(0);
    expect(link.polls.map(({ request }) => [request.service, request.revision])).toEqual([
      ['orders', null],
      ['ordres', null],
    ]);
    await link.polls[0]?.reply({ ok: true, value: createView([createInstance()], { revision: 7 }) });
    const problem = { code: 'NOT_FOUND', detail: 'This service does not exist.', fix: 'Start it.' } as const;
    await link.polls[1]?.reply({ ok: false, problem });
    expect([known.status, known.stale, unknown.status]).toEqual(['known', false, 'unknown']);
    time.advance(500);
    await link.polls[2]?.reply('unreachable');
    expect([known.status, known.stale]).toEqual(['known', true]);
    expect(contact.status).toBe('waiting');
  });
});
