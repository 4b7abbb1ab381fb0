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

describe('an unknown option of a call', () => {
  it('is refused with a suggestion, by every verb, and nothing is sent', async () => {
    const { calls, tcp, http } = world();
    await expect(calls.call('orders', 'find', {}, ODD)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: 'dedlineMs is not an option of a call. Did you mean deadlineMs?',
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
    ['retries', 'Valid options: deadlineMs, inheritedMs, '],
    ['headers', 'Headers of an HTTP request go in the init of fetch; over TCP there are none.'],
  ])('%s: %s', async (name, advice) => {
    const { calls } = world();
    await expect(calls.call('orders', 'find', {}, { [name]: 1 })).rejects.toThrow(advice);
  });

  it('is found in an object that was used before, and among valid options', async () => {
    const here = world();
    const callOptions: Record<string, unknown> = { deadlineMs: 100 };
    expect((await here.ask(callOptions)).error).toBeUndefined();
    callOptions['versoin'] = '2';
    await expect(here.calls.call('orders', 'find', {}, callOptions)).rejects.toThrow('Did you mean version?');
  });

  it('is refused in the options of a dispatcher, when the dispatcher is created', async () => {
    const parts = { calls: world().calls, bufferedBytes: 1_024, wake() {} };
    await expect(serviceDispatcher(parts, { call: ODD })).rejects.toMatchObject(refusal);
  });

  it('is found before any call by checkCallOptions', () => {
    expect(() => checkCallOptions(ODD)).toThrow('dedlineMs');
    checkCallOptions({ deadlineMs: 1, signal: undefined });
  });
});

it('CALL_OPTION_NAMES lists every option of a call', () => {
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
