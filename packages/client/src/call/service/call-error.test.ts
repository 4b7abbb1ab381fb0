import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ErrorCode, Instance, RollcallError } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import { GrpcStatusError } from '../../transport/grpc/message.js';
import type { Plan } from '../../transport/scripted.fixture.js';
import { CallWorld, fleet } from '../calls.fixture.js';
import type { WorldSetting } from '../calls.fixture.js';
import type { OneCall } from '../calls.js';
import { failureError } from './call-error.js';

const page = readFileSync(fileURLToPath(new URL('../../../../../docs/ERRORS.md', import.meta.url)), 'utf8');

function createWorld(setting: Partial<WorldSetting> = {}): CallWorld {
  const parts = { random: seededRandom(3), meter: memoryMeter(), log: recordingLog() };
  return new CallWorld({ ...parts, time: new ManualTime({ nowMs: 100_000 }), instances: fleet('HEALTHY'), ...setting });
}

/** Makes a call that must fail, and returns its error. */
async function failing(world: CallWorld, plan: Plan, options?: OneCall): Promise<RollcallError | undefined> {
  world.tcp.script = () => plan;
  return (await world.ask(options)).error;
}

const CLOSED: Plan = { afterMs: 1, failure: 'closed' };
const REFUSED: Plan = { afterMs: 1, failure: 'refused' };
const IDEMPOTENT: OneCall = { idempotent: true };

/** How to produce each error code, without and with `idempotent`. */
const ENDINGS: Readonly<Partial<Record<ErrorCode, (options: OneCall) => Promise<RollcallError | undefined>>>> = {
  NO_INSTANCE: (options) => failing(createWorld({ instances: fleet('CRITICAL') }), CLOSED, options),
  UNKNOWN_SERVICE: (options) => {
    const world = createWorld({ instances: [] });
    world.view.become([], 'unknown');
    return failing(world, CLOSED, options);
  },
  NO_ENDPOINT: (options) => {
    const endpoints = [{ protocol: 'http', host: '10.0.0.5', port: 3_000, tls: false }] as const;
    return failing(createWorld({ instances: [createInstance({ endpoints })] }), CLOSED, options);
  },
  NO_CATALOG: (options) => {
    const world = createWorld({ instances: [] });
    world.view.become([], 'waiting');
    return failing(world, CLOSED, options);
  },
  ALL_EJECTED: async (options) => {
    const world = createWorld();
    while (!world.calls.isEjected('a')) await failing(world, REFUSED);
    world.tcp.script = () => REFUSED;
    // this call is the one probe a second
    await world.ask({ ...options, deadlineMs: 200 }, 300);
    return (await world.ask({ ...options, deadlineMs: 200 }, 300)).error;
  },
  OVERLOADED: async (options) => {
    const world = createWorld({ options: { limit: { initial: 1, min: 1, max: 1 } } });
    world.tcp.script = () => 'never';
    world.calls.call('orders', 'find', 1).catch(() => {});
    return (await world.ask({ ...options, deadlineMs: 200 }, 300)).error;
  },
  DEADLINE_EXCEEDED: (options) => failing(createWorld(), 'never', options),
  BULKHEAD_FULL: async (options) => {
    const world = createWorld({ options: { maxConcurrent: 1 } });
    world.tcp.script = () => 'never';
    world.calls.call('orders', 'find', 1).catch(() => {});
    return (await world.ask(options, 0)).error;
  },
  REMOTE: (options) => failing(createWorld(), { afterMs: 1, failure: 'remote' }, options),
  TRANSPORT: (options) => failing(createWorld(), CLOSED, options),
  CANCELLED: (options) => failing(createWorld(), CLOSED, { ...options, signal: AbortSignal.abort() }),
  CLOSED: async (options) => {
    const world = createWorld();
    await world.calls.close();
    return (await world.ask(options, 0)).error;
  },
};

describe.each(Object.entries(ENDINGS))('%s', (code, ending) => {
  it('is retryable as documented in docs/ERRORS.md, and describes what happened', async () => {
    const plain = await ending({});
    const idempotent = await ending(IDEMPOTENT);
    expect([plain?.code, idempotent?.code]).toEqual([code, code]);
    const entry = page.slice(page.indexOf(`### ${code}\n`));
    const retryable = /\*\*Retryable:\*\* (yes|no|if )/.exec(entry)?.[1];
    const expected = { yes: [true, true], no: [false, false], 'if ': [false, true] }[retryable ?? ''];
    expect([plain?.retryable, idempotent?.retryable]).toEqual(expected);
    expect(plain?.message).toContain('orders');
    expect(plain?.message).not.toMatch(/undefined|NaN|\[object/);
  });
});

it('TRANSPORT states whether the call may have been executed, and warns of a retry only then', async () => {
  const refused = await failing(createWorld({ options: { attempts: 1 } }), REFUSED);
  expect(refused).toMatchObject({ code: 'TRANSPORT', retryable: true });
  expect(refused?.message).toContain('It was not executed: it may be tried again.');
  expect((await failing(createWorld(), CLOSED))?.message).toContain('It may have been executed: try it again only if');
});

const one = (id: string, fields: Partial<Instance> = {}): Instance =>
  createInstance({ id, state: 'HEALTHY', ...fields });
const textOf = async (instances: readonly Instance[], options: OneCall): Promise<string> => {
  const error = await failing(createWorld({ instances }), CLOSED, options);
  expect(error?.code).toBe('NO_INSTANCE');
  return error?.message ?? '';
};

describe('NO_INSTANCE states which criterion excludes which instances', () => {
  it('by an operator, by state, by version and by metadata, each instance once', async () => {
    const instances = [
      one('a', { admin: 'DRAINING', version: '1.3' }),
      one('b', { admin: 'DRAINING' }),
      one('c', { state: 'CRITICAL', reason: { code: 'SILENT', text: 'no answer' }, revision: 9 }),
      one('d', { version: '1.3' }),
      one('e', { version: '' }),
      one('f', { version: '1.4', metadata: { tier: 'stable' } }),
      one('g', { version: '1.4.1' }),
    ];
    const text = await textOf(instances, { version: '1.4', metadata: { tier: 'canary' } });
    expect(text).toBe(
      'No instance of orders may be called. 7 instances: 2 are DRAINING, 1 is CRITICAL, 1 has version 1.3, wanted 1.4, ' +
        '1 has no version, wanted 1.4, 1 has tier "stable", wanted "canary", 1 has no tier, wanted "canary". ' +
        'orders…c is CRITICAL: no answer. See the admin state, allowedStates, version and metadata.',
    );
  });

  it('without criteria that the call does not set', async () => {
    const text = await textOf([one('a', { version: '1.3' })], { version: '2' });
    expect(text).toBe('No instance of orders may be called. 1 instance: 1 has version 1.3, wanted 2. See version.');
  });

  it('in one printable line, however many there are', async () => {
    const instances = Array.from({ length: 500 }, (_, n) => one(`i${n}`, { version: `\u001b[3${n}` }));
    const text = await textOf(instances, { version: 'x'.repeat(64), metadata: { ['k'.repeat(90)]: 'v'.repeat(900) } });
    expect(text).toContain('500 instances: ');
    expect(text).toMatch(/ and 494 others\. See version\.$/);
    expect(text).not.toContain('\u001b');
    expect(text.length).toBeLessThan(1_200);
  });
});

describe('the text of an error from another process', () => {
  const FACTS = { service: 'orders', isIdempotent: false, attempts: [] };
  const hostileText = `\u001B[2J\nFAKE\u202E ${'y'.repeat(1_000_000)}`;

  it.each([
    ['a text', hostileText],
    ['an exception of Nest', { status: 'error', message: hostileText }],
    ['a gRPC status', new GrpcStatusError(2, hostileText, {})],
  ])('is shortened to one printable line in REMOTE, and kept in full in the cause: %s', (_what, cause) => {
    const error = failureError(FACTS, { kind: 'remote', cause });
    expect(error.message).toMatch(/^orders answered with an error: [ -~]{399}…$/);
    expect(error.cause).toBe(cause);
  });

  it('is shortened to one printable line in TRANSPORT, without its final full stop', () => {
    const cause = new GrpcStatusError(14, hostileText, {});
    expect(failureError(FACTS, { kind: 'unavailable', cause }).message).toMatch(/^[ -~]{400,500}…, in [ -~]{1,200}$/);
    const error = failureError(FACTS, { kind: 'closed', cause: new Error('Gone.') });
    expect(error.message).toContain('closed, Gone, in 0 attempts.');
  });

  it('is kept unchanged if it is short', () => {
    for (const message of ['sold out: "Käse" \\ 7 €', 'x'.repeat(400), '🙂'.repeat(200)]) {
      const { message: text } = failureError(FACTS, { kind: 'remote', cause: { message } });
      expect(text).toBe(`orders answered with an error: ${message}`);
    }
  });
});
