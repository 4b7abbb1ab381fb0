import { reasonFor } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { sampleInstance } from '@rollcall/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Testbed } from '../testbed.fixture.js';
import type { Screen, View } from './instance-table.js';
import { renderChange, renderView } from './view.js';

const NOW = new Date(2026, 8, 21, 14, 2, 23).getTime();
const SCREEN: Screen = { now: NOW, width: 80, rows: 18, isColoured: false, isUnicode: true };

const viewOf = (instances: readonly Instance[], overrides: Partial<View> = {}): View => ({
  url: 'http://10.0.0.2:1337',
  isLive: true,
  lastMessageAt: NOW,
  revision: 7,
  instances,
  heartbeats: new Map(),
  ...overrides,
});

const createInstance = (id: string, but: Partial<Instance> = {}): Instance =>
  sampleInstance({
    id,
    service: id.split('-')[0] ?? id,
    state: 'HEALTHY',
    admin: 'ENABLED',
    reason: reasonFor('BOTH_WAYS_OK'),
    since: NOW - 41_000,
    next: null,
    ...but,
  });
const drained = ['orders-0001', 'orders-0002'].map((id) => createInstance(id, { admin: 'DRAINING' }));
const users = [createInstance('users-0003'), createInstance('users-0004')];

describe('the picture of a fully drained service', () => {
  it('starts with the outage and its reason', () => {
    const lines = renderView(viewOf([...users, ...drained]), SCREEN);
    expect(lines[1]).toBe('No instance of orders may be called: 2 drained.');
    // the start and the operator are not part of the feed
    expect(lines[3]).toMatch(/^⊘ DRAINING +no +orders…0001 +–  Its state is HEALTHY\.$/);
    const terms = { by: '', reason: 'new disk', since: NOW - 10_000, untilMs: NOW + 3_600_000 };
    const away = new Map(drained.map(({ id }) => [id, terms]));
    expect(renderView(viewOf([...users, ...drained], { away }), { ...SCREEN, width: 160 })[3]).toMatch(
      /^⊘ DRAINING +no +orders…0001 .* 10 s  Drained 10 s ago by an operator \(new disk\)\. Its state is HEALTHY\. Until /,
    );
    expect(lines[4]).toMatch(/^⊘ DRAINING +no +orders…0002/);
    expect(lines[5]).toMatch(/^● HEALTHY +yes +users…0003/);
  });

  it('lists other problems after it, and uses the past tense for an old view', () => {
    const sick = createInstance('web-0009', { state: 'CRITICAL', reason: reasonFor('SILENT') });
    const lines = renderView(viewOf([sick, createInstance('web-0008'), ...drained]), SCREEN);
    expect(lines[1]).toBe('No instance of orders may be called: 2 drained. 2 of 2 services need attention.');
    expect(lines[3]).toMatch(/^⊘ DRAINING +no +orders/);
    expect(renderView(viewOf(drained, { isLive: false }), SCREEN)[1]).toBe(
      'No instance of orders could be called at 14:02:23: 2 drained.',
    );
  });

  it('counts the callable ones if only some are drained', () => {
    const view = viewOf([createInstance('orders-0001', { admin: 'MAINTENANCE' }), createInstance('orders-0002')]);
    expect(renderView(view, SCREEN)[1]).toBe('No service needs attention: 1 of 2 are callable, 1 in maintenance.');
    const folded = renderView(
      viewOf([...users, createInstance('orders-0001', { admin: 'DRAINING' }), createInstance('orders-0002')]),
      {
        ...SCREEN,
        rows: 2,
      },
    );
    expect(folded.join('\n')).toContain('callable: orders 1 of 2 · users 2 of 2');
  });

  it('shows no outage if all of its instances leave', () => {
    const leaving = createInstance('orders-0001', { state: 'DEREGISTERING', reason: reasonFor('LEAVING') });
    expect(renderView(viewOf([leaving]), SCREEN)[1]).toBe(
      'No service needs attention: 0 of 1 are callable. 1 on the way, nothing to do.',
    );
  });

  it('prints lines of changes with the admin state first', () => {
    const change = { name: 'orders…0001', state: 'HEALTHY', text: 'answers', admin: 'DRAINING' } as const;
    expect(renderChange(change, SCREEN)).toMatch(/ {2}⊘ DRAINING +orders…0001 +HEALTHY: answers$/);
  });
});

describe('an instance held by self-preservation', () => {
  it('shows the failure first and the hold second, at 80 × 24', () => {
    const cause = 'it neither answers Heartbeat-1 nor sends Heartbeat-2: connect ECONNREFUSED 10.0.3.21:3001';
    const rule = '3 of 5 instances are silent at once, so silence takes nobody out for an hour';
    const held = createInstance('orders-0001', {
      state: 'UNHEALTHY',
      reason: reasonFor('PRESERVED', `${rule}; of this one: ${cause}`),
    });
    const [, , , first = '', second = ''] = renderView(viewOf([held, createInstance('orders-0002')]), SCREEN);
    expect(first).toMatch(/^⊖ UNHEALTHY +yes +orders…0001 +41 s  It neither answers Heartbeat-1/);
    expect(second.trim()).toMatch(/^ECONNREFUSED 10\.0\.3\.21:3001; self-preservation holds it: 3 of/);
  });
});

describe('a registry whose orders are drained', () => {
  let testbed: Testbed;
  beforeAll(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register('orders-0001', 'orders');
    await testbed.register('orders-0002', 'orders');
    await testbed.register('users-0003', 'users');
    expect((await testbed.run('drain', 'orders-0001', '--reason', 'new disk')).code).toBe(0);
    expect((await testbed.run('maintenance', 'orders-0002')).code).toBe(0);
  });
  afterAll(() => testbed.close());

  it('lists the number of callable instances', async () => {
    const { code, out } = await testbed.run('ls');
    expect(code).toBe(0);
    expect(out.split('\n')[0]).toBe('orders: 0 of 2 callable: 1 drained, 1 in maintenance');
    const { services } = JSON.parse((await testbed.run('ls', '-o', 'json')).out) as { services: unknown };
    expect(services).toEqual([
      {
        namespace: 'default',
        name: 'orders',
        instances: 2,
        callable: 0,
        admin: { ENABLED: 0, DRAINING: 1, MAINTENANCE: 1 },
      },
      {
        namespace: 'default',
        name: 'users',
        instances: 1,
        callable: 1,
        admin: { ENABLED: 1, DRAINING: 0, MAINTENANCE: 0 },
      },
    ]);
    expect((await testbed.run('ls', '-o', 'wide')).out).toMatch(/orders-0001 .* DRAINING/);
  });

  it('fails with --fail-on, whatever the states are', async () => {
    for (const word of ['CRITICAL', 'NOT_CALLABLE']) {
      const { code, err } = await testbed.run('ls', '--fail-on', word);
      expect([word, code]).toEqual([word, 1]);
      expect(err).toContain('No instance of orders may be called: 1 drained, 1 in maintenance.');
    }
    expect((await testbed.run('ls', 'users', '--fail-on', 'NOT_CALLABLE')).code).toBe(0);
  });

  it('shows the admin state first, and the operator, time and reason of the drain', async () => {
    const lines = (await testbed.run('show', 'orders-0001')).out.split('\n');
    expect(lines[0]).toMatch(/^⊘ orders…0001 {2}DRAINING for \d+ s, its state: REGISTERING {2}for \d+ s$/);
    expect(lines[1]).toMatch(
      /^It gets no calls: drained \d+ s ago by an operator \(new disk\)\. Back: rollcall undrain orders-0001$/,
    );
  });
});
