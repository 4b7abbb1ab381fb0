import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { serviceDispatcher } from '../../integrations/undici/dispatcher.js';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import { CallWorld } from '../calls.fixture.js';
import type { OneCall } from '../calls.js';
import { checkCallOptions } from './call-options.js';

function world(): CallWorld {
  const parts = { time: new ManualTime(), random: seededRandom(1), meter: memoryMeter(), log: recordingLog() };
  return new CallWorld({ ...parts, instances: [createInstance({ id: 'a', state: 'HEALTHY' })] });
}

const ODD = { dedlineMs: 5 } as OneCall;
const refusal = { code: 'OPTION_INVALID', message: expect.stringContaining('dedlineMs') };

describe('an option that no call has', () => {
  it('is refused with the one that was meant, by every verb, and nothing is sent', async () => {
    const { calls, tcp, http } = world();
    await expect(calls.call('orders', 'find', {}, ODD)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: 'dedlineMs is no option of a call. Did you mean deadlineMs?',
    });
    await expect(calls.emit('orders', 'find', {}, ODD)).rejects.toMatchObject(refusal);
    await expect(calls.fetch('orders', '/', {}, ODD)).rejects.toMatchObject(refusal);
    const observer = { next() {}, complete() {}, error() {} };
    expect(() => calls.stream('orders', 'find', {}, observer, ODD)).toThrow('Did you mean deadlineMs?');
    expect([tcp.seen, http.seen]).toEqual([[], []]);
  });

  it.each([
    ['deadline', 'Did you mean deadlineMs?'],
    ['timeout', 'Did you mean timeoutMs?'],
    ['timeoutms', 'Did you mean timeoutMs?'],
    ['idempotant', 'Did you mean idempotent?'],
    ['retries', 'It knows deadlineMs, inheritedMs, '],
    ['headers', 'Headers of an HTTP request go in the init of fetch; over TCP there are none.'],
  ])('%s: %s', async (name, advice) => {
    const { calls } = world();
    await expect(calls.call('orders', 'find', {}, { [name]: 1 })).rejects.toThrow(advice);
  });

  it('is found in an object that was used before, and among known options', async () => {
    const here = world();
    const wishes: Record<string, unknown> = { deadlineMs: 100 };
    expect((await here.ask(wishes)).error).toBeUndefined();
    wishes['versoin'] = '2';
    await expect(here.calls.call('orders', 'find', {}, wishes)).rejects.toThrow('Did you mean version?');
  });

  it('is refused among those that a dispatcher gives to all of its calls, when it is made', async () => {
    const parts = { calls: world().calls, bufferedBytes: 1_024, wake() {} };
    await expect(serviceDispatcher(parts, { call: ODD })).rejects.toMatchObject(refusal);
  });

  it('is found before any call, so that options can be kept for later', () => {
    expect(() => checkCallOptions(ODD)).toThrow('dedlineMs');
    checkCallOptions({ deadlineMs: 1, signal: undefined });
  });
});

it('every option of a call is known', () => {
  checkCallOptions({
    deadlineMs: 1,
    inheritedMs: 1,
    isRetry: true,
    idleMs: 1,
    idempotent: true,
    allowedStates: 'any' as const,
    version: '1',
    metadata: {},
    packetMetadata: {},
    hashKey: 'a',
    timeoutMs: 1,
    hedge: true,
    fallback: () => null,
    signal: undefined,
  } satisfies Record<keyof OneCall, unknown>);
});
