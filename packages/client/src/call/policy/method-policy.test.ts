import type { Instance, MethodPolicy } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import { CallWorld } from '../calls.fixture.js';
import type { WorldSetting } from '../calls.fixture.js';
import { methodName, methodRules, NO_RULES } from './method-policy.js';

function createWorld(setting: Partial<WorldSetting> = {}): CallWorld {
  const parts = { random: seededRandom(3), meter: memoryMeter(), log: recordingLog() };
  return new CallWorld({ ...parts, time: new ManualTime({ nowMs: 100_000 }), ...setting });
}

/** Instances `a`, `b`, … each of which publishes this policy for its method `find`; undefined: no policy. */
function instancesWith(...policies: (MethodPolicy | undefined)[]): Instance[] {
  return policies.map((find, i) => createInstance({ id: 'abcdefgh'.charAt(i), ...(find && { methods: { find } }) }));
}

describe('the rules of a method', () => {
  it('are those that its instances publish', () => {
    const policy: MethodPolicy = { idempotent: true, timeoutMs: 300, hedge: { afterMs: 20 } };
    expect(methodRules(undefined, [policy, policy])).toEqual({ isIdempotent: true, timeoutMs: 300, hedge: 20 });
    expect(methodRules(undefined, [])).toEqual(NO_RULES);
  });

  it('are the strictest while instances publish different policies, in any order', () => {
    const policy = fc.record<MethodPolicy>(
      {
        idempotent: fc.boolean(),
        timeoutMs: fc.integer({ min: 1, max: 900 }),
        hedge: fc.oneof(fc.boolean(), fc.record({ afterMs: fc.integer({ min: 1, max: 900 }) })),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(policy, { minLength: 1, maxLength: 6 }), fc.integer(), (policies, seed) => {
        const random = seededRandom(seed);
        const rules = methodRules(undefined, policies);
        const shuffled = policies
          .map((one) => ({ one, key: random.unit() }))
          .toSorted((one, other) => one.key - other.key);
        expect(
          methodRules(
            undefined,
            shuffled.map(({ one }) => one),
          ),
        ).toEqual(rules);
        if (rules.isIdempotent === true) expect(policies.every(({ idempotent }) => idempotent)).toBe(true);
        if (rules.hedge !== 'never')
          expect(policies.every(({ hedge }) => hedge !== undefined && hedge !== false)).toBe(true);
        for (const { timeoutMs = Infinity } of policies) expect(rules.timeoutMs).toBeLessThanOrEqual(timeoutMs);
      }),
    );
  });

  it('are our own if this process sets a policy', () => {
    const published: MethodPolicy = { idempotent: true, timeoutMs: 300, hedge: true };
    expect(methodRules({ idempotent: false, hedge: { afterMs: 9 } }, [published])).toEqual({
      isIdempotent: false,
      timeoutMs: 300,
      hedge: 9,
    });
  });
});

describe('the name of a method', () => {
  it('is its pattern, with the keys of an object sorted', () => {
    expect(methodName('find')).toBe('find');
    expect(methodName({ cmd: 'find' })).toBe('{"cmd":"find"}');
    expect(methodName({ role: 'item', cmd: 'find' })).toBe(methodName({ cmd: 'find', role: 'item' }));
    expect(methodName({ cmd: { b: 1, a: 2 } })).toBe(methodName({ cmd: { a: 2, b: 1 } }));
  });
});

describe('calls to a published method', () => {
  const broken = { afterMs: 1, failure: 'closed' } as const;

  it('are repeated if all instances declare it idempotent, and no longer after one stops declaring it', async () => {
    const world = createWorld({ instances: instancesWith({ idempotent: true }, { idempotent: true }, undefined) });
    world.tcp.script = () => broken;
    expect((await world.ask()).error?.attempts).toHaveLength(3);
    world.view.become(instancesWith({ idempotent: true }, { idempotent: false }, undefined));
    expect((await world.ask()).error?.attempts).toHaveLength(1);
    expect((await world.ask({ idempotent: true })).error?.attempts).toHaveLength(3);
  });

  it('ignore the policy of an instance that may not be called', async () => {
    const refused: Instance = createInstance({ id: 'z', state: 'CRITICAL', methods: { find: { idempotent: false } } });
    const world = createWorld({ instances: [...instancesWith({ idempotent: true }), refused] });
    world.tcp.script = () => broken;
    expect((await world.ask()).error?.attempts.length).toBeGreaterThan(1);
  });

  it.each(['its instances', 'this process'])(
    'follow the policy of %s, even after calls to many unknown names',
    async (source) => {
      const find = { idempotent: true };
      const isPublished = source === 'its instances';
      const world = createWorld({
        instances: isPublished ? instancesWith(find, find) : instancesWith(undefined, undefined),
        options: isPublished ? {} : { services: { orders: { methods: { find } } } },
      });
      for (let i = 0; i < 300; i += 1) {
        world.calls.call('orders', `made-up-${i}`, {}).catch(() => {});
        await world.time.advanceBy(5);
      }
      world.tcp.script = () => broken;
      expect((await world.ask()).error?.attempts).toHaveLength(3);
    },
  );

  it('are not repeated if the call is declared not idempotent', async () => {
    const world = createWorld({ instances: instancesWith({ idempotent: true }, { idempotent: true }) });
    world.tcp.script = () => broken;
    expect((await world.ask({ idempotent: false })).error?.attempts).toHaveLength(1);
  });

  it('end when the method exceeds its timeout, even in the last attempt', async () => {
    const world = createWorld({ instances: instancesWith({ timeoutMs: 300 }) });
    world.play({ a: 'never' });
    const { error, tookMs } = await world.ask();
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', attempts: [{ outcome: 'timeout' }] });
    expect(error?.message).toContain('300 ms');
    expect(tookMs).toBeLessThanOrEqual(310);
  });

  it('are repeated elsewhere after that time if they are idempotent', async () => {
    const policy: MethodPolicy = { timeoutMs: 300, idempotent: true };
    const world = createWorld({ instances: instancesWith(policy, policy) });
    const plans = ['never' as const];
    world.tcp.script = (id) => plans.pop() ?? { afterMs: 1, values: [id] };
    const { value, tookMs } = await world.ask();
    expect(value).toBeDefined();
    expect(tookMs).toBeGreaterThanOrEqual(300);
    expect(tookMs).toBeLessThanOrEqual(312);
  });

  it('use a method timeout above the default deadline as their deadline, unless the service sets one', async () => {
    const slow = { afterMs: 8_000, values: ['report'] } as const;
    const instances = instancesWith({ timeoutMs: 10_000 });
    const world = createWorld({ instances }).play({ a: slow });
    expect(await world.ask(undefined, 12_000)).toEqual({ value: 'report', tookMs: 8_000 });
    const strict = createWorld({ instances, options: { services: { orders: { deadlineMs: 700 } } } }).play({ a: slow });
    expect((await strict.ask(undefined, 12_000)).tookMs).toBeLessThanOrEqual(710);
    expect((await world.ask({ deadlineMs: 900 }, 12_000)).tookMs).toBeLessThanOrEqual(910);
  });

  it('are hedged if all instances allow it', async () => {
    const policy: MethodPolicy = { idempotent: true, hedge: { afterMs: 20 } };
    const world = createWorld({ instances: instancesWith(policy, policy), options: { hedgeRatio: 1 } });
    const plans = ['never' as const];
    world.tcp.script = (id) => plans.pop() ?? { afterMs: 1, values: [id] };
    expect((await world.ask()).tookMs).toBeLessThanOrEqual(23);
    plans.push('never');
    expect((await world.ask({ hedge: false, deadlineMs: 100 })).error?.code).toBe('DEADLINE_EXCEEDED');
  });

  it('follow the options of this process rather than those of its instances', async () => {
    const services = { orders: { methods: { find: { idempotent: true, timeoutMs: 200 } } } };
    const world = createWorld({
      instances: instancesWith({ idempotent: false }, { timeoutMs: 5_000 }),
      options: { services },
    });
    world.tcp.script = () => broken;
    expect((await world.ask()).error?.attempts).toHaveLength(3);
    world.tcp.script = () => 'never';
    expect((await world.ask()).tookMs).toBeLessThanOrEqual(420);
  });
});
