import type { Reason } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { CallWorld, fleet } from './calls.fixture.js';
import type { WorldSetting } from './calls.fixture.js';
import { explainText } from './explain-text.js';

const LATE: Reason = { code: 'OUTBOUND_SILENT', text: 'sent no Heartbeat-2 for 12 s' };

function createWorld(setting: Partial<WorldSetting> = {}): CallWorld {
  const parts = { random: seededRandom(3), meter: memoryMeter(), log: recordingLog() };
  const instances = fleet('HEALTHY', 'HEALTHY', 'UNHEALTHY', 'CRITICAL').map((one, i) =>
    i < 2 ? one : { ...one, reason: LATE },
  );
  return new CallWorld({ ...parts, time: new ManualTime({ nowMs: 100_000 }), instances, ...setting });
}

/** One of two HEALTHY instances refuses until it is ejected. */
async function troubled(): Promise<CallWorld> {
  const world = createWorld({ options: { balancer: 'round-robin' } }).play({ a: { afterMs: 1, failure: 'refused' } });
  while (!world.calls.isEjected('a')) await world.ask({ idempotent: true }, 10);
  return world;
}

describe('the last picks', () => {
  it('list each attempt with its instance, reason and outcome, newest first', async () => {
    const world = await troubled();
    const [lane] = world.calls.explain('orders').protocols;
    const failed = lane?.picks.findIndex(({ instance }) => instance === 'a') ?? -1;
    expect(lane?.picks[failed]).toMatchObject({
      tier: 0,
      reason: 'first',
      outcome: 'refused',
      tookMs: 1,
      isProbe: false,
    });
    expect(lane?.picks[failed - 1]).toMatchObject({ instance: 'b', reason: 'retry', outcome: 'success' });
    const ages = lane?.picks.map(({ msAgo }) => msAgo) ?? [];
    expect(ages).toEqual(ages.toSorted((one, other) => one - other));
  });

  it('are limited to 16, and attempts under way have no outcome yet', async () => {
    const world = createWorld();
    await world.warmUp(30);
    world.play({ a: 'never', b: 'never' });
    const controller = new AbortController();
    const ended = world.ask({ signal: controller.signal }, 200);
    world.time.setTimer(100, () => {
      expect(world.calls.explain('orders').protocols[0]?.picks).toHaveLength(16);
      expect(world.calls.explain('orders').protocols[0]?.picks[0]).toMatchObject({ outcome: null, tookMs: null });
      controller.abort();
    });
    await ended;
    expect(world.calls.explain('orders').protocols[0]?.picks[0]).toMatchObject({ outcome: 'cancelled', tookMs: 100 });
  });

  it('forget the outcome of an attempt that is no longer listed', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') });
    const plans = [{ afterMs: 900, values: ['slow'] }];
    world.tcp.script = () => plans.pop() ?? { afterMs: 1, values: ['fast'] };
    const slow = world.calls.call('orders', 'find', 1);
    await world.warmUp(40);
    await world.time.advanceBy(1_000);
    expect(await slow).toBe('slow');
    expect(world.calls.explain('orders').protocols[0]?.picks.every(({ tookMs }) => tookMs === 1)).toBe(true);
  });
});

describe('an explanation as text', () => {
  it('shows for each instance whether it gets calls, and the reason if not', async () => {
    const text = explainText((await troubled()).calls.explain('orders'));
    expect(text).toContain('Over tcp: DEGRADED, some instances are ejected here');
    expect(text).toContain('Calls go to tier 0 (lower is better) by round-robin.');
    const row = (id: string) => text.split('\n').find((line) => line.startsWith(`    ${id} `));
    expect(row('a')).toMatch(/ejected: .*; probed in \d+ ms$/);
    expect(row('b')).toMatch(/gets calls$/);
    expect(row('c')).toContain('unused: better instances have room (sent no Heartbeat-2 for 12 s)');
    expect(row('d')).toContain('never called: sent no Heartbeat-2 for 12 s');
    expect(text).toMatch(/ms ago +b +tier 0 +retry, another attempt failed or was too slow +success after 1 ms/);
  });

  it('reports that no instance is callable, or that none was called', async () => {
    const world = createWorld({ instances: [] });
    expect(explainText(world.calls.explain('orders'))).toContain('has not called it yet');
    await world.ask(undefined, 5);
    expect(explainText(world.calls.explain('orders'))).toContain('No instance of orders offers tcp.');
    world.view.become(fleet('CRITICAL'));
    expect(explainText(world.calls.explain('orders'))).toContain('OPEN, no instance can be called');
  });

  it('prints no control character from the registry', async () => {
    const reason: Reason = { code: 'OPERATOR', text: 'down\u001b[2J\nFAKE' };
    const world = createWorld({ instances: fleet('CRITICAL').map((one) => ({ ...one, reason })) });
    await world.ask(undefined, 5);
    expect(explainText(world.calls.explain('orders'))).toContain('never called: down?[2J?FAKE');
  });

  it('warns that the copy may be outdated, and prints only printable lines', async () => {
    const world = await troubled();
    world.view.stale = true;
    const text = explainText(world.calls.explain('orders'));
    expect(text.split('\n')[0]).toContain('our copy may be outdated');
    expect(text).not.toMatch(/undefined|NaN|Infinity|null|\[object/);
  });
});
