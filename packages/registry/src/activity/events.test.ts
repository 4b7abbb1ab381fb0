import type { RegistryEvent } from '@rollcall/core';
import { ManualTime, sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, SECRET, silent, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';
import { EventHistory } from './events.js';
import type { EventQuery } from './events.js';

const ID = 'orders-1';
const OPERATOR = { operator: true } as const;
const ALL: EventQuery = { after: null, limit: 1_000, namespace: '*', services: [], kinds: [] };

const timelineOf = (fixture: RegistryFixture, id = ID): readonly RegistryEvent[] =>
  value(fixture.registry.timeline(id)).events;
const eventsOf = (fixture: RegistryFixture, query: Partial<EventQuery> = {}): readonly RegistryEvent[] =>
  value(fixture.registry.events({ ...ALL, ...query })).events;

describe('the timeline of an instance', () => {
  it('lists each event since the registration, with its actor and its reason', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    value(await fixture.register(ID, 3001, { version: '2.0.0' }));
    value(await fixture.registry.amend(ID, { admin: 'DRAINING', weight: 5, reason: 'move' }, OPERATOR));
    value(await fixture.registry.amend(ID, { admin: 'ENABLED', weight: null }, OPERATOR));
    value(await fixture.registry.drain(ID, SECRET, {}));
    value(await fixture.registry.leave(ID, { secret: SECRET }));
    const entries = timelineOf(fixture).map(({ kind, state, reason, by, text }) => [
      kind,
      state,
      reason?.code,
      by,
      text,
    ]);
    expect(entries).toEqual([
      ['registered', 'REGISTERING', 'NEW', 'instance', 'registered'],
      ['state', 'HEALTHY', 'BOTH_WAYS_OK', 'registry', 'REGISTERING → HEALTHY'],
      ['re-registered', 'HEALTHY', undefined, 'instance', 'registered again with other details'],
      ['admin', 'HEALTHY', 'OPERATOR', 'operator', 'drained, weight set to 5 by an operator'],
      ['admin', 'HEALTHY', undefined, 'operator', 'undrained, weight back to its own 100 by an operator'],
      ['state', 'DEREGISTERING', 'LEAVING', 'instance', 'HEALTHY → DEREGISTERING'],
      ['removed', null, 'GOODBYE', 'instance', 'removed'],
    ]);
    const revisions = timelineOf(fixture).map(({ revision }) => revision ?? 0);
    expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
    expect(timelineOf(fixture)[3]?.reason?.text).toBe('move');
  });

  it.each([
    [
      'a drain after a weight with a reason names the drain alone, without that reason',
      [{ weight: 10, reason: 'canary' }, { admin: 'DRAINING' }],
      ['drained by an operator', undefined],
    ],
    [
      'the end of a drain is not reported as a weight',
      [{ weight: 10, reason: 'canary' }, { admin: 'DRAINING' }, { admin: 'ENABLED' }],
      ['undrained by an operator', undefined],
    ],
    [
      'another weight has its own reason, or none',
      [{ weight: 20, reason: 'test' }, { weight: 100 }],
      ['weight set to 100 by an operator', undefined],
    ],
    [
      'the end of a maintenance is reported as such',
      [
        { admin: 'MAINTENANCE', reason: 'kernel' },
        { admin: 'ENABLED', reason: 'done' },
      ],
      ['taken out of maintenance by an operator', 'done'],
    ],
    [
      'metadata is named by its keys',
      [{ metadata: { track: 'canary', size: 'xl' } }],
      ['metadata track size set by an operator', undefined],
    ],
  ] as const)('has one event for each action of an operator: %s', async (_what, patches, [text, reason]) => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    for (const patch of patches) value(await fixture.registry.amend(ID, patch, OPERATOR));
    const actions = timelineOf(fixture).filter(({ kind }) => kind === 'admin');
    expect(actions).toHaveLength(patches.length);
    expect(actions.at(-1)).toMatchObject({ text, by: 'operator' });
    expect(actions.at(-1)?.reason?.text).toBe(reason);
  });

  it('shows how long the setting of an operator lasts', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    value(
      await fixture.registry.amend(
        ID,
        { admin: 'MAINTENANCE', untilMs: fixture.time.wall() + 3_600 * SECOND },
        OPERATOR,
      ),
    );
    expect(timelineOf(fixture).at(-1)?.text).toBe('put into maintenance by an operator for 60 min');
  });

  it('reports another address, the end of a setting, and a removal by an operator', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    fixture.addService(ID, 3002);
    value(await fixture.register(ID, 3002));
    const untilMs = fixture.time.wall() + SECOND;
    value(await fixture.registry.amend(ID, { weight: 1, untilMs }, OPERATOR));
    await fixture.time.advanceBy(2 * SECOND);
    value(await fixture.registry.leave(ID, OPERATOR));
    const entries = timelineOf(fixture).map(({ kind, by }) => `${kind} by ${by}`);
    expect(entries).toContain('moved by instance');
    expect(entries.slice(-2)).toEqual(['admin by registry', 'removed by operator']);
    expect(entries).toContain('admin by operator');
  });

  it('has no event for a registration that changes nothing', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    const before = timelineOf(fixture).length;
    value(await fixture.register(ID, 3001));
    expect(timelineOf(fixture)).toHaveLength(before);
  });

  it('stays as long as the tombstone, and continues when the instance comes back', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    await fixture.registerHealthy('orders-2', 3002);
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(60 * SECOND);
    expect(codeOf(fixture.registry.instance(ID))).toBe('NOT_FOUND');
    expect(timelineOf(fixture).at(-1)?.kind).toBe('removed');
    await fixture.registerHealthy(ID, 3001);
    expect(timelineOf(fixture).map(({ kind }) => kind)).toEqual(expect.arrayContaining(['removed', 'registered']));
    value(await fixture.registry.leave(ID, { secret: SECRET }));
    await fixture.time.advanceBy(599 * SECOND);
    expect(timelineOf(fixture).at(-1)?.reason?.code).toBe('GOODBYE');
    await fixture.time.advanceBy(2 * SECOND);
    expect(codeOf(fixture.registry.timeline(ID))).toBe('NOT_FOUND');
  });

  it('is complete since the last start of the registry, and reports that time', async () => {
    const store = new MemoryStore();
    const first = await RegistryFixture.start({ store });
    await first.registerHealthy(ID, 3001);
    const fixture = new RegistryFixture({ store });
    fixture.time.shiftWall(7 * SECOND);
    await fixture.registry.start();
    expect(value(fixture.registry.timeline(ID))).toEqual({ id: ID, since: fixture.time.wall(), events: [] });
    expect(codeOf(fixture.registry.timeline('nobody'))).toBe('NOT_FOUND');
  });
});

describe('the events of the registry', () => {
  it('begin with its start, and include when it is settled and when it could not listen', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.time.advanceBy(60 * SECOND);
    fixture.stoppedMs += 9_000;
    await fixture.time.advanceBy(SECOND);
    const entries = eventsOf(fixture).map(({ kind, text, instance, by }) => [kind, text, instance, by]);
    expect(entries).toEqual([
      ['registry', expect.stringContaining('is ready'), null, 'registry'],
      ['registry', expect.stringContaining('is settled'), null, 'registry'],
      ['registry', expect.stringMatching(/could not listen for \d+ ms/), null, 'registry'],
    ]);
  });

  it('report once that self-preservation begins to hold, and once that it ends', async () => {
    const fixture = await RegistryFixture.start();
    for (let at = 1; at <= 4; at += 1) await fixture.registerHealthy(`orders-${at}`, 3_000 + at);
    for (let at = 1; at <= 3; at += 1) fixture.network.responders.set(3_000 + at, () => silent);
    await fixture.time.advanceBy(60 * SECOND);
    const began = eventsOf(fixture, { kinds: ['preservation'] });
    expect(began.map(({ service }) => service)).toEqual(expect.arrayContaining([null, 'orders']));
    expect(began).toHaveLength(2);
    expect(began[0]?.text).toMatch(/holds .*: [34] of 4 instances/);
    expect(fixture.log.texts('warn').filter((text) => text.startsWith('Self-preservation holds'))).toHaveLength(2);
    expect(fixture.record('orders-1').reason).toMatchObject({
      code: 'PRESERVED',
      text: expect.stringMatching(/silent at once.*of this one: it neither answers/),
    });

    for (let at = 1; at <= 3; at += 1) fixture.addService(`orders-${at}`, 3_000 + at);
    await fixture.time.advanceBy(120 * SECOND);
    const ended = eventsOf(fixture, { kinds: ['preservation'] }).slice(2);
    expect(ended.map(({ text }) => text)).toEqual([
      expect.stringMatching(/no longer holds .*after \d+ s/),
      expect.stringMatching(/no longer holds .*after \d+ s/),
    ]);
  });

  it('continue where the last answer ended, also through a filter', async () => {
    const fixture = await RegistryFixture.start();
    for (let at = 1; at <= 3; at += 1) await fixture.registerHealthy(`orders-${at}`, 3_000 + at);
    const whole = eventsOf(fixture);
    const read: RegistryEvent[] = [];
    let after = 0;
    for (let more = true; more;) {
      const part = value(fixture.registry.events({ ...ALL, after, limit: 2, kinds: ['state'] }));
      read.push(...part.events);
      ({ last: after, more } = part);
    }
    expect(read).toEqual(whole.filter(({ kind }) => kind === 'state'));
    expect(read).toHaveLength(3);
    expect(value(fixture.registry.events({ ...ALL, after }))).toMatchObject({ events: [], more: false, missed: 0 });
  });

  it('are the newest ones without a position in the query, newest last', async () => {
    const fixture = await RegistryFixture.start();
    for (let at = 1; at <= 3; at += 1) await fixture.registerHealthy(`orders-${at}`, 3_000 + at);
    expect(eventsOf(fixture, { limit: 2 })).toEqual(eventsOf(fixture).slice(-2));
  });

  it('start again for a number that was never assigned: it is of another epoch', async () => {
    const fixture = await RegistryFixture.start();
    expect(eventsOf(fixture, { after: 4_711 })).toEqual(eventsOf(fixture));
  });

  it('can be limited to some services or to a namespace', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy(ID, 3001);
    value(await fixture.register('stock-1', 3002, { service: 'stock', namespace: 'shop' }));
    const services = (query: Partial<EventQuery>) => new Set(eventsOf(fixture, query).map(({ service }) => service));
    expect(services({ services: ['orders'] })).toEqual(new Set(['orders']));
    expect(services({ namespace: 'shop' })).toEqual(new Set([null, 'stock']));
    expect(services({})).toEqual(new Set([null, 'orders', 'stock']));
  });
});

describe('the event history', () => {
  const record = sampleInstance({ id: ID });
  const step = { kind: 'state', by: 'registry', text: 'up and down' } as const;
  const minor = { kind: 're-registered', by: 'instance', text: 'again' } as const;
  const action = { kind: 'admin', by: 'operator', text: 'weight set to 7 by an operator' } as const;

  it('keeps the newest events, and reports how many are missing', () => {
    const history = new EventHistory(new ManualTime(), 10);
    history.begin();
    for (let count = 0; count < 25; count += 1) history.noteOf(record, step);
    const { events, last, missed, since } = history.events({ ...ALL, after: 3 });
    expect(events.map(({ seq }) => seq)).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    expect([last, missed]).toEqual([25, 12]);
    expect(since).toBe(events[0]?.at);
  });

  it('keeps the events of operators and of the registry, regardless of how many others there are', () => {
    const time = new ManualTime();
    const history = new EventHistory(time, 10);
    history.begin();
    history.note({ kind: 'registry', by: 'registry', text: 'ready' });
    const flood = (count: number): void => {
      for (let at = 0; at < count; at += 1) history.noteOf(record, at % 2 === 0 ? step : minor);
    };
    flood(20);
    time.advance(SECOND);
    history.noteOf(record, action);
    history.noteOf(record, { ...action, kind: 'removed' });
    history.note({ kind: 'preservation', by: 'registry', text: 'of one service' }, record);
    history.note({ kind: 'preservation', by: 'registry', text: 'of all' });
    flood(1_000);
    const kept = history.events({ ...ALL, after: 0 });
    expect(kept.events.map(({ seq }) => seq)).toEqual([
      1,
      22,
      23,
      25,
      ...Array.from({ length: 10 }, (_, at) => 1_016 + at),
    ]);
    expect(kept).toMatchObject({ last: 1_025, more: false, missed: 1_025 - 14 });
    expect(kept.since).toBe(kept.events[4]?.at);
    expect(history.events({ ...ALL, kinds: ['admin'] }).events.map(({ seq }) => seq)).toEqual([22]);
    expect(history.events({ ...ALL, limit: 12 }).events.map(({ seq }) => seq)).toEqual([
      23,
      25,
      ...kept.events.slice(4).map(({ seq }) => seq),
    ]);
  });

  it('counts each missing event once across pages', () => {
    const history = new EventHistory(new ManualTime(), 10);
    history.begin();
    for (let round = 0; round < 5; round += 1) {
      for (let at = 0; at < 7; at += 1) history.noteOf(record, step);
      history.noteOf(record, action);
    }
    const seqs: number[] = [];
    let [after, gone] = [0, 0];
    for (let more = true; more;) {
      const part = history.events({ ...ALL, after, limit: 2 });
      seqs.push(...part.events.map(({ seq }) => seq));
      gone += part.missed;
      ({ last: after, more } = part);
    }
    expect(seqs).toEqual([8, 16, 24, ...Array.from({ length: 10 }, (_, at) => 31 + at)]);
    expect([after, gone]).toEqual([40, 40 - 13]);
  });

  it('keeps the newest 1,000 events of operators', () => {
    const history = new EventHistory(new ManualTime(), 10);
    history.begin();
    for (let count = 0; count < 3_000; count += 1) history.note({ ...action, text: 'an action' }, record);
    const { events, missed } = history.events({ ...ALL, after: 0, limit: 2_000 });
    expect([events.length, events[0]?.seq, missed]).toEqual([1_010, 1_991, 1_990]);
  });

  it('keeps the last 64 events of an instance, and reports since when they are complete', () => {
    const time = new ManualTime();
    const history = new EventHistory(time);
    history.begin();
    for (let count = 0; count < 100; count += 1) {
      time.advance(SECOND);
      history.noteOf(record, step);
    }
    const { events, since } = history.timeline(ID);
    expect([events.length, events[0]?.seq, since]).toEqual([64, 37, (events[0]?.at ?? 0) - SECOND]);
  });

  it('keeps states rather than repeated registrations', () => {
    const history = new EventHistory(new ManualTime());
    history.begin();
    for (let count = 0; count < 5; count += 1) history.noteOf(record, step);
    for (let count = 0; count < 1_000; count += 1) history.noteOf(record, minor);
    const kinds = history.timeline(ID).events.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'state')).toHaveLength(5);
    expect(kinds.length).toBeLessThan(30);
    expect(history.timeline(ID).events.at(-1)?.seq).toBe(1_005);
  });

  it('keeps the actions of operators on an instance that registers again and flaps', () => {
    const history = new EventHistory(new ManualTime());
    history.begin();
    history.noteOf(record, action);
    for (let count = 0; count < 100; count += 1) history.noteOf(record, minor);
    for (let count = 0; count < 100; count += 1) history.noteOf(record, step);
    const { events } = history.timeline(ID);
    expect([events.length, events[0]?.kind, events.at(-1)?.seq]).toEqual([64, 'admin', 201]);
    for (let count = 0; count < 1_000; count += 1) history.noteOf(record, action);
    const kinds = history.timeline(ID).events.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'admin')).toHaveLength(16);
    expect(kinds.filter((kind) => kind === 'state').length).toBeGreaterThan(40);
  });

  it('keeps few events for each of many: a fleet that flaps for hours costs no more than its instances themselves', () => {
    const history = new EventHistory(new ManualTime());
    history.begin();
    const fleet = Array.from({ length: 4_000 }, (_, at) => sampleInstance({ id: `orders-${at}` }));
    for (let count = 0; count < 64; count += 1) for (const one of fleet) history.noteOf(one, step);
    const lengths = fleet.map(({ id }) => history.timeline(id).events.length);
    expect(lengths.reduce((sum, length) => sum + length)).toBeLessThanOrEqual(100_000 + 8 * fleet.length);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(8);
  });

  it('forgets an instance once its tombstone is dropped', () => {
    const history = new EventHistory(new ManualTime());
    history.begin();
    history.noteOf(record, step);
    history.forget(ID);
    expect(history.timeline(ID).events).toEqual([]);
  });
});
