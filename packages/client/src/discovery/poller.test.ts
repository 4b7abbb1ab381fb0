import type { Frame, Tombstone } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Contact } from '../registry-client/connection-status.js';
import {
  createInstance,
  problemOf,
  resetFrame,
  createView,
  EPOCH,
  FakeLine,
  FakeLink,
} from '../registry-client/registry-client.fixture.js';
import { Catalog } from './catalog.js';
import { Feed } from './feed.js';
import { Poller } from './poller.js';

const OTHER_EPOCH = '0192f3a0-0000-7000-8000-000000000002';
const status: Frame = { event: 'status', data: { settled: false } };

function setUp(link = new FakeLink()) {
  const [log, time, line] = [recordingLog(), new ManualTime(), new FakeLine()];
  const contact = new Contact(log, link.name);
  const ejected = new Set<string>();
  const isEjected = (id: string): boolean => ejected.has(id);
  const catalog: Catalog = new Catalog({ time, log, onServiceRequested: () => feed.refresh(), isEjected });
  const common = { time, random: seededRandom(1), log, link, contact, catalog, line };
  const feed: Feed = new Feed({ ...common, namespace: 'default', intervalMs: () => 5_000 });
  feed.start();
  return { link, log, time, line, contact, catalog, feed, ejected };
}
type World = ReturnType<typeof setUp>;

/** Opens the next stream, which then delivers no data. */
function silence({ link, time }: World): void {
  const { length } = link.streams;
  while (link.streams.length === length) time.advance(10);
  link.stream.openOnly();
  time.advance(25_000);
  link.stream.fallSilent();
}

/** A feed that knows `orders`, and whose next two streams deliver no data. */
function polling(): World {
  const world = setUp();
  world.catalog.service('orders');
  world.time.advance(0);
  world.link.stream.accept([resetFrame([createInstance(), createInstance({ id: 'orders-2' })], 5)], 5);
  world.link.stream.end();
  silence(world);
  expect(world.link.polls).toEqual([]);
  silence(world);
  return world;
}

const ids = ({ catalog }: World): readonly string[] => catalog.service('orders').instances.map(({ id }) => id);

describe('two consecutive streams without data', () => {
  it('start polling, and log the reason once', async () => {
    const world = polling();
    const { link, log, catalog, contact } = world;
    expect(link.lastPoll.request).toMatchObject({ namespace: 'default', service: 'orders', revision: null });
    expect(catalog.service('orders').stale).toBe(true);
    await link.lastPoll.reply({ ok: true, value: createView([createInstance({ revision: 7 })], { revision: 7 }) });
    expect(ids(world)).toEqual(['orders-1']);
    expect(catalog.service('orders').stale).toBe(false);
    expect(contact.status).toBe('connected');
    expect(log.texts('warn').filter((text) => text.includes('proxy'))).toHaveLength(1);
  });

  it('do not start it if a stream between them delivered for long enough', () => {
    const world = setUp();
    world.catalog.service('orders');
    silence(world);
    const { link, time } = world;
    const { length } = link.streams;
    while (link.streams.length === length) time.advance(10);
    link.stream.accept([resetFrame([createInstance()])]);
    time.advance(25_000);
    link.stream.flush([status], 1);
    time.advance(25_000);
    link.stream.fallSilent();
    silence(world);
    expect(link.polls).toHaveLength(1);
  });

  it('also start it if they delivered data at first', () => {
    const world = setUp();
    world.catalog.service('orders');
    for (let stream = 0; stream < 2; stream += 1) {
      const { link, time } = world;
      const { length } = link.streams;
      while (link.streams.length === length) time.advance(10);
      link.stream.accept([resetFrame([createInstance()])]);
      time.advance(25_000);
      link.stream.fallSilent();
    }
    expect(world.link.polls).toHaveLength(1);
  });

  it('do not start it if no service is watched: the line is retried as before', () => {
    const world = setUp();
    world.line.currentProof = { id: 'orders-1', secret: 's' };
    world.feed.refresh();
    silence(world);
    silence(world);
    silence(world);
    const { length } = world.link.streams;
    world.time.advance(4_000);
    expect(world.link.streams).toHaveLength(length + 1);
    expect(world.link.polls).toEqual([]);
  });

  it('do not start it with a client that cannot poll', () => {
    const link = new FakeLink();
    const world = setUp(Object.assign(link, { poll: undefined }));
    world.catalog.service('orders');
    silence(world);
    silence(world);
    const { length } = link.streams;
    world.time.advance(4_000);
    expect(link.streams).toHaveLength(length + 1);
  });
});

describe('polling', () => {
  it('waits at the registry for changes, and never polls in a tight loop', async () => {
    const { link, time } = polling();
    await link.lastPoll.reply({ ok: true, value: createView([createInstance()], { revision: 7 }) });
    time.advance(499);
    expect(link.polls).toHaveLength(1);
    time.advance(1);
    expect(link.lastPoll.request).toMatchObject({ revision: 7, waitMs: 30_000 });
    time.advance(30_000);
    await link.lastPoll.reply({ ok: true, value: createView([createInstance({ revision: 8 })], { revision: 8 }) });
    time.advance(0);
    expect(link.lastPoll.request).toMatchObject({ revision: 8 });
    expect(link.polls).toHaveLength(3);
  });

  it('follows the requested services', async () => {
    const { link, time, catalog } = polling();
    catalog.service('users');
    time.advance(0);
    expect(link.polls.map(({ request }) => request.service)).toEqual(['orders', 'users']);
    await link.lastPoll.reply({ ok: true, value: createView([createInstance({ service: 'users' })]) });
    expect(catalog.service('users').status).toBe('known');
  });

  it('removes missing instances only within an epoch', async () => {
    const world = polling();
    const { link, time, ejected } = world;
    const other = { epoch: OTHER_EPOCH, revision: 1 };
    await link.lastPoll.reply({ ok: true, value: createView([createInstance({ id: 'orders-3' })], other) });
    expect([...ids(world)].toSorted()).toEqual(['orders-1', 'orders-2', 'orders-3']);
    time.advance(500);
    const gone: Tombstone = { id: 'orders-1', revision: 2, reason: { code: 'GOODBYE', text: 'it left' } };
    const later = { epoch: OTHER_EPOCH, revision: 2, removed: [gone] };
    await link.lastPoll.reply({ ok: true, value: createView([createInstance({ id: 'orders-3' })], later) });
    expect([...ids(world)].toSorted()).toEqual(['orders-2', 'orders-3']);
    time.advance(500);
    ejected.add('orders-2');
    const settled = { epoch: OTHER_EPOCH, revision: 3, settled: true };
    await link.lastPoll.reply({ ok: true, value: createView([createInstance({ id: 'orders-3' })], settled) });
    expect(ids(world)).toEqual(['orders-3']);
  });

  it('accepts "no such service" as an answer that removes no instance, and polls again later', async () => {
    const world = polling();
    const { link, time, catalog } = world;
    catalog.service('ordres');
    time.advance(0);
    await link.polls[0]?.reply({ ok: false, problem: problemOf('NOT_FOUND') });
    await link.polls[1]?.reply({ ok: false, problem: problemOf('NOT_FOUND') });
    expect(ids(world)).toHaveLength(2);
    expect(catalog.service('ordres').status).toBe('unknown');
    time.advance(4_999);
    expect(link.polls).toHaveLength(2);
    time.advance(1);
    expect(link.polls.slice(2).map(({ request }) => request.revision)).toEqual([null, null]);
  });

  it('keeps all instances while the registry is unreachable, then polls all services, and tries a stream at once', async () => {
    const world = polling();
    const { link, time, catalog, contact } = world;
    await link.lastPoll.reply({ ok: true, value: createView([createInstance()], { revision: 7 }) });
    time.advance(500);
    await link.lastPoll.reply('unreachable');
    expect([ids(world).length, catalog.service('orders').stale, contact.status]).toEqual([1, true, 'disconnected']);
    time.advance(100);
    expect(link.lastPoll.request.revision).toBe(null);
    const streams = link.streams.length;
    await link.lastPoll.reply({ ok: true, value: createView([createInstance()], { epoch: OTHER_EPOCH }) });
    expect(contact.status).toBe('connected');
    expect(link.streams).toHaveLength(streams + 1);
  });

  it('waits for a registry that is not ready', async () => {
    const { link, time, log } = polling();
    const warned = log.texts('warn').length;
    await link.lastPoll.reply({ ok: false, problem: { ...problemOf('NOT_READY'), retryAfterMs: 1_000 } });
    time.advance(999);
    expect(link.polls).toHaveLength(1);
    time.advance(1);
    expect(link.polls).toHaveLength(2);
    expect(log.texts('warn')).toHaveLength(warned);
  });

  it('ends with the feed', async () => {
    const { link, time, feed } = polling();
    feed.close();
    expect(link.lastPoll.request.signal.aborted).toBe(true);
    await link.lastPoll.reply('unreachable');
    time.advance(300_000);
    expect(link.polls).toHaveLength(1);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

describe('more services than the limit of waiting requests', () => {
  it('take turns', async () => {
    const time = new ManualTime();
    const link = new FakeLink();
    const received = new Set<string>();
    const poller = new Poller({
      time,
      random: seededRandom(1),
      namespace: 'default',
      poll: (request) => link.poll(request),
      intervalMs: () => 5_000,
      answered: (service) => received.add(service),
      failed: () => {},
    });
    poller.follow(Array.from({ length: 700 }, (_, i) => `s${i}`));
    expect(link.polls).toHaveLength(256);
    let answered = 0;
    while (answered < link.polls.length && answered < 2_000) {
      const poll = link.polls[answered];
      answered += 1;
      expect(link.polls.length - answered).toBeLessThan(256);
      expect(poll?.request.waitMs).toBe(1_000);
      await poll?.reply({ ok: true, value: createView([createInstance()]) });
    }
    expect(received.size).toBe(700);
    poller.close();
    await time.advanceBy(60_000);
    expect(link.polls).toHaveLength(700);
  });
});

/** Advances to the next attempt of a stream, and answers polls meanwhile. */
async function tried(world: World): Promise<void> {
  const { length } = world.link.streams;
  for (let waited = 0; world.link.streams.length === length; waited += 500) {
    expect(waited).toBeLessThanOrEqual(180_000);
    await world.link.lastPoll.reply({
      ok: true,
      value: createView([createInstance({ revision: 7 })], { revision: 7 }),
    });
    world.time.advance(500);
  }
}

describe('a stream that is tried while it polls', () => {
  it('is tried after minutes, and takes over with its first frame', async () => {
    const world = polling();
    const before = world.time.now();
    await tried(world);
    const { link, time, catalog } = world;
    expect(time.now() - before).toBeGreaterThanOrEqual(120_000);
    expect(link.stream.request).toMatchObject({ services: ['orders'], cursor: { epoch: EPOCH, revision: 5 } });
    link.stream.openOnly();
    expect(link.lastPoll.request.signal.aborted).toBe(false);
    link.stream.flush([status], 7);
    expect(link.lastPoll.request.signal.aborted).toBe(true);
    const polls = link.polls.length;
    time.advance(20_000);
    expect([link.polls.length, catalog.service('orders').stale]).toEqual([polls, false]);
  });

  it('has no effect if it delivers nothing again: polling continues without a gap', async () => {
    const world = polling();
    await tried(world);
    const { link, time, catalog, contact } = world;
    link.stream.openOnly();
    time.advance(25_000);
    link.stream.fallSilent();
    expect(link.lastPoll.request.signal.aborted).toBe(false);
    expect([catalog.service('orders').stale, contact.status]).toEqual([false, 'connected']);
    const { length } = link.streams;
    time.advance(100_000);
    expect(link.streams).toHaveLength(length);
  });
});
