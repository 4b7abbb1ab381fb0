import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fetcher } from '../../registry/node-fetch.js';
import { RegistryApi } from '../../registry/registry-api.js';
import { matchInstances } from '../../registry/resolve-instance.js';
import type { Edge } from '../../registry/traffic.js';
import { createTestShell } from '../../terminal/shell.fixture.js';
import { parseDuration } from '../../terminal/durations.js';
import { Testbed } from '../../testbed.fixture.js';
import { remainingCallsText, waitUntilQuiet } from './until-drained.js';

const ORDERS = 'orders-0192f0c1-7a3b-7c4d-8e5f-000000001e07';

describe('the commands of operators', () => {
  let testbed: Testbed;

  beforeAll(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register(ORDERS, 'orders', { weight: 50 });
    await testbed.register('users-1', 'users');
    await testbed.register('users-21', 'users');
  });
  afterAll(() => testbed.close());

  async function instance(id = ORDERS) {
    const answer = await fetch(`${testbed.url}/api/v1/instances/${id}`);
    return (await answer.json()) as {
      admin: string;
      weight: number;
      override: { reason: string; untilMs: number } | null;
    };
  }

  it.each(['orders…1e07', 'orders~1e07', 'orders-1e07', '1e07', ORDERS])('resolves %s for drain', async (typed) => {
    const { code, out } = await testbed.run('drain', typed, '--reason', 'new disk');
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^orders…1e07 is DRAINING: no new calls go to it/),
    });
    expect(await instance()).toMatchObject({ admin: 'DRAINING', override: { reason: 'new disk', untilMs: null } });
    expect(await testbed.run('undrain', typed)).toMatchObject({ code: 0, out: expect.stringContaining('is ENABLED') });
    expect(await instance()).toMatchObject({ admin: 'ENABLED', override: null });
  });

  it('takes several ids, prints how many stay callable, and warns if none does', async () => {
    const { code, out, err } = await testbed.run('drain', 'users-1', 'users-21', '--reason', 'move');
    expect(code).toBe(0);
    expect(out.split('\n').filter((line) => line.includes('is DRAINING'))).toHaveLength(2);
    expect(err).toBe(
      'After this no instance of users may be called, and every call to it fails; no service has reported calls to it in the last 15 s.',
    );
    const result = await testbed.run('undrain', 'users-1');
    expect(result).toMatchObject({ code: 0 });
    expect((await testbed.run('drain', 'users-21')).out).toContain('1 of 2 instances of users may be called.');
    await testbed.run('undrain', 'users-21');
  });

  it('selects all instances of a version of a service', async () => {
    await testbed.register('stock-a', 'stock', { version: '1.5.5' });
    await testbed.register('stock-b', 'stock', { version: '1.5.5' });
    await testbed.register('stock-c', 'stock', { version: '1.6.0' });
    const { code, out } = await testbed.run('drain', '--service', 'stock', '--version', '1.5.5');
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringMatching(/1 of 3 instances of stock may be called\.$/),
    });
    expect((await instance('stock-b')).admin).toBe('DRAINING');
    expect((await instance('stock-c')).admin).toBe('ENABLED');
    expect((await testbed.run('undrain', '--service', 'stock', '--version', '1.5.5')).code).toBe(0);
    expect((await instance('stock-a')).admin).toBe('ENABLED');
  });

  it.each([
    [['drain'], 'It is used as: rollcall drain <id>…'],
    [['drain', 'users-1', '--service', 'users'], 'It takes ids or --service, not both'],
    [['drain', '--version', '1.5.5'], 'It is used as'],
    [['drain', '--service', 'users', '--version', '9.9.9'], 'No instance of users with that version and zone'],
  ])('refuses %j', async (args, text) => {
    const { code, err } = await testbed.run(...args);
    expect(code).not.toBe(0);
    expect(err).toContain(text);
  });

  it('maintenance lasts until the time of --until', async () => {
    const before = Date.now();
    const { code, out } = await testbed.run('maintenance', '1e07', '--until', '2h', '-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ instance: { id: ORDERS, admin: 'MAINTENANCE' } });
    expect((await instance()).override?.untilMs).toBeGreaterThanOrEqual(before + 7_200_000);
    await testbed.run('undrain', '1e07', '--reason', 'done');
  });

  it('overrides the own weight of an instance until that is undone', async () => {
    expect(await testbed.run('weight', '1e07', '10')).toMatchObject({ code: 0, out: 'orders…1e07 has the weight 10.' });
    expect(await instance()).toMatchObject({ weight: 10 });
    expect(await testbed.run('weight', '1e07', 'own')).toMatchObject({
      code: 0,
      out: 'orders…1e07 has the weight 50, its own.',
    });
    expect(await instance()).toMatchObject({ weight: 50 });
  });

  it('removes an instance with rm, and still shows its events', async () => {
    await testbed.register('gone-1', 'gone');
    expect(await testbed.run('rm', 'gone-1', '--reason', 'unknown & more')).toEqual({
      code: 0,
      out: 'gone…ne-1 is removed.',
      err: expect.stringContaining('After this no instance of gone may be called'),
    });
    expect(await testbed.run('rm', 'gone-1')).toMatchObject({
      code: 1,
      err: expect.stringContaining('There is no instance "gone-1"'),
    });
    const { code, out } = await testbed.run('show', 'gone-1');
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^gone-1 {2}was removed[\s\S]*removed by an operator: unknown & more/),
    });
  });

  it.each([
    [['drain'], 2, 'It is used as: rollcall drain <id>… or rollcall drain --service <name>'],
    [['drain', 'orders-1e08'], 1, 'Did you mean orders-1e07?'],
    [['drain', '1'], 2, '"1" may be any of 2: users…rs-1, users…s-21.'],
    [['weight', '1e07', '1001'], 2, 'a whole number 0 … 1000'],
    [['weight', '1e07'], 2, 'rollcall weight <id>'],
    [['maintenance', '1e07', '--until', 'tomorrow'], 2, 'Option --until: received "tomorrow"'],
    [['maintenance', '1e07', '--until', '31d'], 2, 'at most 30d'],
    [['rm', '1e07', '--url', 'http://127.0.0.1:1'], 3, 'No registry answers'],
  ])('exits %j with %i and the reason', async (argv, code, why) => {
    expect(await testbed.run(...argv)).toEqual({ code, out: '', err: expect.stringContaining(why) });
  });

  it('ends --wait after its timeout, and prints the remaining calls', async () => {
    const { code, out } = await testbed.run('drain', '1e07', '--wait', '--timeout', '1ms');
    expect(code).toBe(1);
    expect(out).toContain('its calls have not ended: its callers have not reported');
    await testbed.run('undrain', '1e07');
  });

  it('does not request the topology for --wait before callers can have reported the time since', async () => {
    const paths: string[] = [];
    const fetcher: Fetcher = async (url) => {
      paths.push(new URL(url).pathname);
      return new Response('{}', { status: paths.length > 2 ? 404 : 200 });
    };
    const api = new RegistryApi('http://registry', { fetcher });
    const quiet = await waitUntilQuiet(api, { id: ORDERS, service: 'orders', timeoutMs: 60_000 }, createTestShell());
    expect(quiet).toMatchObject({ isQuiet: true, text: expect.stringContaining('It is gone') });
    expect(paths).toEqual(['/api/v1/registry', ...Array.from({ length: 2 }, () => `/api/v1/instances/${ORDERS}`)]);
  });

  it('returns from --wait when the instance is gone', async () => {
    await testbed.register('short-1', 'short');
    const waiting = testbed.run('drain', 'short-1', '--wait');
    await testbed.waitFor('short', (text) => text.includes('"admin":"DRAINING"'));
    await testbed.run('rm', 'short-1');
    expect(await waiting).toMatchObject({ code: 0, out: expect.stringContaining('It is gone') });
  });
});

const edge = (overrides: Partial<Edge>): Edge => ({
  namespace: 'default',
  from: 'gateway',
  to: 'orders',
  perSecond: 0,
  calls: 0,
  failures: 0,
  retries: 0,
  p99Ms: null,
  inFlight: 0,
  ageMs: 0,
  targets: [],
  ...overrides,
});
const at = (afterMs: number) => ({ afterMs, intervalMs: 1_000 });

describe('remainingCallsText', () => {
  const target = { instance: ORDERS, perSecond: 2, failures: 0, p99Ms: null, circuitsOpen: 0 };

  it('waits until every caller has reported the time since', () => {
    expect(remainingCallsText([], ORDERS, at(5_999))).toContain('have not reported');
    expect(remainingCallsText([], ORDERS, at(6_000))).toBeNull();
  });

  it('reports calls that end there, and the only ones in flight, which may be there', () => {
    expect(remainingCallsText([edge({ inFlight: 1, targets: [target] })], ORDERS, at(60_000))).toContain(
      'gateway reported calls',
    );
    // none is under way at the whole service: what ended is the past
    expect(remainingCallsText([edge({ targets: [target] })], ORDERS, at(60_000))).toBeNull();
    expect(remainingCallsText([edge({ inFlight: 1 })], ORDERS, at(60_000))).toContain(
      'gateway has 1 under way at orders',
    );
    expect(remainingCallsText([edge({ inFlight: 1, ageMs: 7_000 })], ORDERS, at(60_000))).toContain('under way');
    expect(remainingCallsText([edge({ inFlight: 1, ageMs: 7_001 })], ORDERS, at(60_000))).toBeNull();
  });

  it('reports none after two windows, if other instances are called all the time', () => {
    const busy = edge({ inFlight: 3, perSecond: 80, targets: [{ ...target, instance: 'orders-2' }] });
    expect(remainingCallsText([busy], ORDERS, at(10_000))).toContain('under way');
    expect(remainingCallsText([busy], ORDERS, at(11_000))).toBeNull();
  });
});

describe('matchInstances', () => {
  const all = ['orders-1', 'orders-21', 'order-items-1'].map((id) => ({
    id,
    service: id.slice(0, id.lastIndexOf('-')),
  }));
  const ids = (typed: string) => matchInstances(typed, all).map(({ id }) => id);

  it('prefers a whole id to ids that end alike', () => {
    expect(ids('orders-1')).toEqual(['orders-1']);
  });

  it('matches only instances of the named service', () => {
    expect(ids('order-items…1')).toEqual(['order-items-1']);
    expect(ids('orders...1')).toEqual(['orders-1', 'orders-21']);
    expect(ids('21')).toEqual(['orders-21']);
    expect(ids('orders…')).toEqual([]);
  });
});

describe('parseDuration', () => {
  it('parses a number and a unit', () => {
    expect(['500ms', '90s', '30m', '5 min', '2h', '1.5d'].map((typed) => parseDuration(typed, '--until'))).toEqual([
      500, 90_000, 1_800_000, 300_000, 7_200_000, 129_600_000,
    ]);
  });

  it.each(['', '2', 'h', '-1h', '0s', '1y', '2h30m'])('refuses %j', (typed) => {
    expect(() => parseDuration(typed, '--until')).toThrow('Option --until');
  });
});
