import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { CallWorld } from './calls.fixture.js';
import type { Inherited } from './calls.js';

const BROKEN = { afterMs: 1, failure: 'closed' } as const;

function world(inherited: () => Inherited | null = () => null): CallWorld {
  const methods = { find: { idempotent: true } };
  const instances = ['a', 'b', 'c'].map((id) => createInstance({ id, state: 'HEALTHY', methods }));
  const parts = { time: new ManualTime(), random: seededRandom(1), meter: memoryMeter(), log: recordingLog() };
  const made = new CallWorld({ ...parts, instances, inherited });
  made.tcp.script = () => BROKEN;
  return made;
}

describe('the resolved options that calls share', () => {
  it('differ for another verb with the same pattern', async () => {
    const here = world();
    expect((await here.ask()).error?.attempts).toHaveLength(3);
    const emitted = here.calls.emit('orders', 'find', {}).catch((error: unknown) => error);
    await here.time.advanceBy(1_000);
    expect(await emitted).toMatchObject({ code: 'TRANSPORT', attempts: { length: 1 } });
    expect((await here.ask()).error?.attempts).toHaveLength(3);
  });

  it('are not used for calls with options, even if one object is reused with other values', async () => {
    const here = world();
    const wishes: { deadlineMs?: number; idempotent?: boolean } = {};
    expect((await here.ask(wishes)).error?.attempts).toHaveLength(3);
    wishes.idempotent = false;
    expect((await here.ask(wishes)).error?.attempts).toHaveLength(1);
    expect((await here.ask()).error?.attempts).toHaveLength(3);
    here.tcp.script = () => 'never';
    wishes.deadlineMs = 70;
    expect((await here.ask(wishes)).tookMs).toBeLessThanOrEqual(80);
  });

  it('are not used for a call within a retry', async () => {
    let isRetry = true;
    const here = world(() => ({ deadlineAt: Infinity, isRetry }));
    expect((await here.ask()).error?.attempts).toHaveLength(1);
    isRetry = false;
    expect((await here.ask()).error?.attempts).toHaveLength(3);
    isRetry = true;
    expect((await here.ask()).error?.attempts).toHaveLength(1);
  });

  it('do not include the deadline of a single call', async () => {
    const here = world();
    here.tcp.script = () => 'never';
    const first = await here.ask();
    expect(first.error?.code).toBe('DEADLINE_EXCEEDED');
    expect(await here.ask()).toMatchObject({ tookMs: first.tookMs });
  });
});
