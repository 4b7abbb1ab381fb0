import type { Instance } from '@rollcall/core';
import { reasonFor } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { colourOf, isTroubled, Roll, servicesByTrouble, standingOf, tallyOf } from '../live/roll.js';
import { sample } from '../live/sample.fixture.js';
import { awayEnd, awayReason, keptAwayText, standingText } from './callable-text.js';
import { evidenceOf, verdictText, reasonText } from './instance-text.js';

const NOW = new Date(2026, 8, 21, 14, 2, 23).getTime();

function rollOf(services: Readonly<Record<string, readonly Instance[]>>): Roll {
  const roll = new Roll();
  for (const [service, instances] of Object.entries(services)) {
    const data = { namespace: 'default', service, epoch: 'e', revision: 1, part: 0, complete: true, instances };
    roll.apply([{ event: 'reset', data }]);
  }
  return roll;
}

const drained = (id: string): Instance => ({ ...sample(id), admin: 'DRAINING' });

const ordersOf = (namespace: string) =>
  ({ namespace, service: 'orders', epoch: 'e', revision: 1, part: 0, complete: true }) as const;

describe('a service whose name is in two namespaces', () => {
  const roll = new Roll();
  roll.apply([
    { event: 'reset', data: { ...ordersOf('staging'), instances: [{ ...drained('orders-1'), namespace: 'staging' }] } },
  ]);

  it('appears in the verdict with its namespace, unless there is only one', () => {
    expect(verdictText(tallyOf(roll.services.value, roll.nameOf), null)).toBe(
      'No instance of orders may be called: 1 drained.',
    );
    roll.apply([{ event: 'reset', data: { ...ordersOf('default'), instances: [sample('orders-2')] } }]);
    expect(verdictText(tallyOf(roll.services.value, roll.nameOf), null)).toMatch(
      /^No instance of staging\/orders may be called/,
    );
  });
});

describe('a service whose instances are all drained', () => {
  const nodes = rollOf({
    fine: [sample('fine-1')],
    worst: [sample('worst-1', 'CRITICAL', 'SILENT'), sample('worst-2')],
    orders: [drained('orders-1'), drained('orders-2')],
    half: [drained('half-1'), sample('half-2')],
  }).services.value;
  const orders = nodes.find(({ name }) => name === 'orders')!;
  const half = nodes.find(({ name }) => name === 'half')!;

  it('comes first as the worst problem, and the verdict names it with the reason', () => {
    expect(servicesByTrouble(nodes)[0]?.name).toBe('orders');
    const standing = standingOf(orders.instances.value);
    expect([isTroubled(standing), colourOf(standing), standing.count.callable]).toEqual([true, 'CRITICAL', 0]);
    const tally = tallyOf(nodes, (_, name) => name);
    expect(verdictText(tally, null)).toBe(
      'No instance of orders may be called: 2 drained. 2 of 4 services need attention.',
    );
    expect(verdictText(tally, NOW)).toMatch(/^No instance of orders could be called at 14:02:23: 2 drained\. 2 of 4 /);
    expect(standingText(standing)).toBe('0 of 2 callable: 2 drained');
  });

  it('counts as no outage while an instance is callable', () => {
    const standing = standingOf(half.instances.value);
    expect([isTroubled(standing), standingText(standing)]).toEqual([false, '1 of 2 callable: 1 drained']);
  });
});

const standingTextOf = (...instances: readonly Instance[]): string =>
  standingText(standingOf(new Map(instances.map((instance) => [instance.id, instance]))));

it('counts callable instances, and names those that are not HEALTHY', () => {
  const unhealthy = sample('a-3', 'UNHEALTHY', 'SILENT');
  expect(standingTextOf(sample('a-1'), sample('a-2'))).toBe('2 of 2 callable');
  expect(standingTextOf(sample('a-1'), unhealthy)).toBe('2 of 2 callable (1 UNHEALTHY)');
  expect(standingTextOf(unhealthy, sample('a-4', 'REGISTERING', 'NEW'), sample('a-5', 'CRITICAL', 'SILENT'))).toBe(
    '2 of 3 callable (1 UNHEALTHY, 1 REGISTERING): 1 CRITICAL',
  );
  expect(standingTextOf({ ...unhealthy, admin: 'DRAINING' })).toBe('0 of 1 callable: 1 drained');
});

const termsOf = (since: number, untilMs: number | null = null, by = '', reason = 'kernel update, see CHG-7') => ({
  since,
  untilMs,
  by,
  reason,
});

describe('instances that are kept away for the same reason', () => {
  it('show operator, time and reason, in the past tense if the view is old', () => {
    const two = [termsOf(NOW - 9_000), termsOf(NOW - 10_000)];
    expect(awayReason({ admin: 'DRAINING', terms: two, now: NOW })).toBe(
      'Drained 10 s ago by an operator (kernel update, see CHG-7).',
    );
    expect(awayReason({ admin: 'DRAINING', terms: two, now: NOW, isOld: true })).toBe(
      'Drained at 14:02:13 by an operator (kernel update, see CHG-7).',
    );
    expect(awayReason({ admin: 'MAINTENANCE', terms: [termsOf(NOW - 60_000, null, 'token 3f2a', '')], now: NOW })).toBe(
      'Put into maintenance 1 min ago by token 3f2a.',
    );
    expect(awayReason({ admin: 'DRAINING', terms: [], now: NOW })).toBe('Drained by an operator.');
  });

  it('show the end', () => {
    const until = (...ends: readonly (number | null)[]): string =>
      awayEnd({ admin: 'DRAINING', terms: ends.map((end) => termsOf(0, end)), now: NOW });
    expect(until(NOW + 60_000)).toBe('until 14:03:23');
    expect(until(NOW + 60_000, NOW + 60_400)).toBe('until 14:03:23');
    expect(until(NOW + 62_000, NOW + 60_000)).toBe('until 14:03:23 … 14:03:25');
    expect(until(null, NOW)).toBe('until undrained by an operator');
    expect(until()).toBe('');
    expect(awayEnd({ admin: 'MAINTENANCE', terms: [termsOf(0)], now: NOW })).toBe(
      'until taken out of maintenance by an operator',
    );
  });
});

describe('an instance that is kept away', () => {
  it('shows operator, start, reason and end', () => {
    const terms = { reason: 'new disk', since: NOW - 300_000, untilMs: null, by: 'token 3f2a from 10.0.0.7' };
    const override = {
      admin: 'DRAINING',
      weight: null,
      metadata: null,
      reason: '',
      since: NOW,
      untilMs: null,
      settings: { admin: terms },
    } as const;
    expect(keptAwayText({ instance: { admin: 'DRAINING' }, detail: { override }, now: NOW })).toBe(
      'It gets no calls: drained 5 min ago by token 3f2a from 10.0.0.7 (new disk).',
    );
    expect(keptAwayText({ instance: { admin: 'DRAINING' }, detail: { override }, now: NOW, isOld: true })).toMatch(
      /^It got no calls: drained at .*\d\d:\d\d:\d\d by token 3f2a from 10\.0\.0\.7 \(new disk\)\.$/,
    );
    const until = (untilMs: number): string =>
      keptAwayText({
        instance: { admin: 'DRAINING' },
        detail: { override: { ...override, settings: { admin: { ...terms, untilMs } } } },
        now: NOW,
      });
    expect(until(NOW + 3_600_000)).toMatch(/\(new disk\), until 15:02:23\.$/);
    expect(until(NOW + 24 * 3_600_000)).toMatch(/\(new disk\), until 2026-09-22 14:02:23\.$/);
    expect(keptAwayText({ instance: { admin: 'ENABLED' }, detail: { override }, now: NOW })).toBe('');
  });
});

describe('an instance held by self-preservation', () => {
  it('shows the failure first, and the hold second', () => {
    const cause = 'it neither answers Heartbeat-1 nor sends Heartbeat-2: connect ECONNREFUSED 10.0.3.21:3001';
    const reason = reasonFor('PRESERVED', `3 of 5 are silent at once; of this one: ${cause}`);
    expect(reasonText({ reason })).toBe('Neither heartbeat works. Self-preservation holds it.');
    expect(evidenceOf({ reason })).toBe('connect ECONNREFUSED 10.0.3.21:3001');
  });
});
