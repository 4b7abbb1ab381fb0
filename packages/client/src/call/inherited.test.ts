import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { CallWorld } from './calls.fixture.js';
import type { Inherited, OneCall } from './calls.js';

function world(inherited: (now: number) => Inherited | null): CallWorld {
  const time = new ManualTime();
  const parts = { time, random: seededRandom(1), meter: memoryMeter(), log: recordingLog() };
  const endpoints = (['tcp', 'http'] as const).map((protocol) => ({
    protocol,
    host: '10.0.0.1',
    port: 80,
    tls: false,
  }));
  const instances = ['a', 'b', 'c'].map((id) => createInstance({ id, state: 'HEALTHY', endpoints }));
  return new CallWorld({ ...parts, instances, inherited: () => inherited(time.now()) });
}

const terms = (here: CallWorld): unknown =>
  here.tcp.seen.map(({ terms: { attempt, remainingMs } }) => [attempt, remainingMs]);

describe('a call that is made for a request', () => {
  it('has no more time than the request, and less if it sets a shorter deadline', async () => {
    const here = world((now) => ({ deadlineAt: now + 700, isRetry: false }));
    await here.ask();
    await here.ask({ deadlineMs: 2_000 });
    await here.ask({ deadlineMs: 300 });
    await here.ask({ inheritedMs: 200 });
    expect(terms(here)).toEqual([
      [1, 700],
      [1, 700],
      [1, 300],
      [1, 200],
    ]);
  });

  it('is not sent when the caller of the request no longer waits', async () => {
    const here = world((now) => ({ deadlineAt: now, isRetry: false }));
    expect((await here.ask()).error?.code).toBe('DEADLINE_EXCEEDED');
    expect(here.calledHosts).toEqual([]);
  });

  it('has no more time over HTTP either, nor as an event', async () => {
    const here = world((now) => ({ deadlineAt: now + 700, isRetry: false }));
    here.http.script = () => 'never';
    const fetched = here.calls.fetch('orders', '/').catch((error: unknown) => error);
    await expect.poll(() => here.http.seen).toHaveLength(1);
    const emitted = here.calls.emit('orders', 'placed', {});
    await here.time.advanceBy(800);
    expect(here.http.seen.map(({ terms: { remainingMs } }) => remainingMs)).toEqual([700]);
    expect(await fetched).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await emitted;
    expect(terms(here)).toEqual([[1, 700]]);
  });

  it('is as any other where nothing is inherited', async () => {
    const here = world(() => null);
    await here.ask();
    expect(terms(here)).toEqual([[1, 5_000]]);
  });
});

describe('a call that is made within a retry', () => {
  const repetition: Inherited = { deadlineAt: Infinity, isRetry: true };
  const idempotent: OneCall = { idempotent: true };

  it('is marked as a retry, too', async () => {
    const here = world(() => repetition);
    await here.ask();
    expect(terms(here)).toEqual([[2, 5_000]]);
  });

  it('is not repeated once it may have been executed: retries would multiply', async () => {
    const here = world(() => repetition);
    here.tcp.script = () => ({ afterMs: 1, failure: 'closed' });
    const { error } = await here.ask(idempotent);
    expect([error?.code, error?.retryable, here.calledHosts.length]).toEqual(['TRANSPORT', false, 1]);
  });

  it('goes elsewhere when it was certainly not executed', async () => {
    const here = world(() => repetition);
    let isFirst = true;
    here.tcp.script = (id) => {
      if (!isFirst) return { afterMs: 1, values: [id] };
      isFirst = false;
      return { afterMs: 1, failure: 'refused' };
    };
    expect((await here.ask(idempotent)).value).toBeDefined();
    expect(here.calledHosts).toHaveLength(2);
  });

  it('is repeated if the call allows it', async () => {
    const here = world(() => repetition);
    here.tcp.script = () => ({ afterMs: 1, failure: 'closed' });
    await here.ask({ ...idempotent, isRetry: false });
    expect(here.calledHosts.length).toBeGreaterThan(1);
  });
});
