import { AsyncLocalStorage } from 'node:async_hooks';
import type { RollcallError } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import type { Plan } from '../transport/scripted.fixture.js';
import { CallWorld, fleet } from './calls.fixture.js';
import type { WorldSetting } from './calls.fixture.js';
import type { OneCall } from './calls.js';

class World extends CallWorld {
  readonly meter;
  readonly log;

  constructor(setting: Partial<WorldSetting> = {}) {
    const [meter, log] = [memoryMeter(), recordingLog()];
    super({ time: new ManualTime({ nowMs: 100_000 }), random: seededRandom(11), meter, log, ...setting });
    this.meter = meter;
    this.log = log;
  }
}

const IDEMPOTENT: OneCall = { idempotent: true };
const failing = (failure: 'refused' | 'closed' | 'unsent' | 'misdirected' | 'remote', afterMs = 1): Plan => ({
  afterMs,
  failure,
});

describe('a call', () => {
  it('resolves with the last value of the answer', async () => {
    const world = new World().play({
      a: { afterMs: 1, values: [1, 2, 3] },
      b: { afterMs: 1, values: [3] },
      c: { afterMs: 1, values: [3] },
    });
    expect(await world.ask()).toEqual({ value: 3, tookMs: 1 });
    expect(world.meter.values('rollcall_call_seconds', { service: 'orders', outcome: 'success' })).toEqual([0.001]);
  });

  it('rejects with the error of the handler as REMOTE, is not repeated, and does not count against the instance', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: failing('remote') });
    for (let i = 0; i < 20; i += 1) {
      expect((await world.ask(IDEMPOTENT, 5)).error).toMatchObject({ code: 'REMOTE', retryable: false });
    }
    expect(world.tcp.seen).toHaveLength(20);
    expect(world.calls.explain('orders').protocols[0]).toMatchObject({ state: 'CLOSED' });
    expect(world.suspects).toEqual([]);
  });

  it('ends at its deadline in any case, with a list of its attempts', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: 'never' });
    const { error, tookMs } = await world.ask({ deadlineMs: 300 });
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', attempts: [{ instance: 'a', outcome: 'timeout' }] });
    expect(tookMs).toBeLessThanOrEqual(310);
    expect(world.tcp.cancelled).toBe(1);
  });

  it('uses the shorter of its own and the inherited deadline, and makes no attempt if that has passed', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: 'never' });
    expect((await world.ask({ deadlineMs: 900, inheritedMs: 200 })).tookMs).toBeLessThanOrEqual(210);
    expect((await world.ask({ inheritedMs: 0 })).error?.code).toBe('DEADLINE_EXCEEDED');
    expect(world.calledHosts).toEqual(['a']);
  });

  it('can be cancelled by a signal, before and during', async () => {
    const world = new World().play({ a: 'never', b: 'never', c: 'never' });
    expect((await world.ask({ signal: AbortSignal.abort() })).error?.code).toBe('CANCELLED');
    const controller = new AbortController();
    const ended = world.ask({ signal: controller.signal }, 50);
    controller.abort(new Error('the user left'));
    expect((await ended).error).toMatchObject({ code: 'CANCELLED', cause: { message: 'the user left' } });
    expect(world.tcp.cancelled).toBe(1);
  });

  it('is refused at once beyond the limit of calls under way', async () => {
    const world = new World({ options: { services: { orders: { maxConcurrent: 2 } } } });
    world.play({ a: 'never', b: 'never', c: 'never' });
    for (let i = 0; i < 2; i += 1) world.calls.call('orders', 'find', i).catch(() => {});
    expect((await world.ask(undefined, 0)).error).toMatchObject({ code: 'BULKHEAD_FULL', retryable: true });
    await world.time.advanceBy(6_000);
    expect((await world.play({}).ask()).error).toBeUndefined();
  });

  it('sends the instance the remaining deadline and the number of the attempt', async () => {
    const world = new World().play({ a: failing('refused', 40), b: failing('refused', 40) });
    await world.ask({ deadlineMs: 1_000 });
    const terms = world.tcp.seen.map((seen) => seen.terms);
    expect(terms.map(({ attempt }) => attempt)).toEqual(terms.map((_, i) => i + 1));
    expect(terms.map(({ remainingMs }) => remainingMs)).toEqual(terms.map((_, i) => 1_000 - 40 * i));
  });
});

describe('a retry', () => {
  it('goes to another instance at once when the first certainly did not execute it', async () => {
    const world = new World().play({ a: failing('refused'), b: failing('unsent') });
    for (let i = 0; i < 10; i += 1) expect(await world.ask(undefined, 20)).toMatchObject({ value: 'c' });
    expect(world.suspects).toContain('a refused');
    expect(world.suspects).toContain('b closed');
  });

  it('is made after a broken connection only if the call is idempotent', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY') }).play({
      a: failing('closed'),
      b: failing('closed'),
    });
    expect((await world.ask()).error).toMatchObject({
      code: 'TRANSPORT',
      retryable: false,
      attempts: [{ outcome: 'closed' }],
    });
    const { error } = await world.ask(IDEMPOTENT);
    expect(error).toMatchObject({ code: 'TRANSPORT', retryable: true });
    expect(error?.attempts).toHaveLength(3);
    expect(error?.attempts[0]?.instance).not.toBe(error?.attempts[1]?.instance);
  });

  it('stays within the budget when everything fails', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY') }).play({
      a: failing('closed'),
      b: failing('closed'),
    });
    for (let i = 0; i < 500; i += 1) await world.ask(IDEMPOTENT, 10);
    // 5 s: a fifth of 500, and the reserve of 30
    expect(world.tcp.seen.length).toBeGreaterThan(600);
    expect(world.tcp.seen.length).toBeLessThanOrEqual(630);
    expect(world.meter.count('rollcall_call_retries_total')).toBe(world.tcp.seen.length - 500);
  });

  it('costs no budget if the request was never executed: a dead instance fails none of many concurrent calls', async () => {
    const options = { retryRatio: 0, retriesPerSecond: 0 };
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY'), options }).play({ a: failing('misdirected') });
    const crowd = Array.from({ length: 300 }, () => world.calls.call('orders', 'find', {}));
    await world.time.advanceBy(10);
    expect(await Promise.allSettled(crowd).then((ends) => ends.filter(({ status }) => status === 'rejected'))).toEqual(
      [],
    );
  });

  it('to the same instance waits, and ends at the deadline', async () => {
    const world = new World({ instances: fleet('HEALTHY'), options: { attempts: 10 } }).play({ a: failing('unsent') });
    const { error, tookMs } = await world.ask({ deadlineMs: 100 });
    expect(['TRANSPORT', 'DEADLINE_EXCEEDED']).toContain(error?.code);
    expect(tookMs).toBeLessThanOrEqual(110);
    expect(new Set(world.tcp.seen.map(({ at }) => at)).size).toBe(world.tcp.seen.length);
  });

  it('can be configured by the state of the instance that failed', async () => {
    const states = { UNHEALTHY: { retries: 0 } };
    const world = new World({ instances: fleet('UNHEALTHY', 'UNHEALTHY'), options: { states } });
    world.play({ a: failing('refused'), b: failing('refused') });
    expect((await world.ask()).error?.attempts).toHaveLength(1);
  });
});

describe('a call without a callable instance', () => {
  it('fails with an error that depends on the known instances', async () => {
    const world = new World({ instances: fleet('CRITICAL', 'DEREGISTERING') });
    const { error } = await world.ask();
    expect(error).toMatchObject({ code: 'NO_INSTANCE', retryable: true });
    expect(error?.message).toContain('1 is CRITICAL, 1 is DEREGISTERING');
  });

  it('suggests a similar name when the registry knows no such service', async () => {
    const world = new World({ instances: [], names: ['order-service', 'orderz', 'users'] });
    world.view.become([], 'unknown');
    const { error } = await world.ask();
    expect(error).toMatchObject({ code: 'UNKNOWN_SERVICE' });
    expect(error?.message).toContain('Did you mean orderz?');
  });

  it('names the offered protocols when the requested one is not offered', async () => {
    const endpoints = [{ protocol: 'http', host: '10.0.0.5', port: 3_000, tls: false }] as const;
    const { error } = await new World({ instances: [createInstance({ endpoints })] }).ask();
    expect(error).toMatchObject({ code: 'NO_ENDPOINT', retryable: false });
    expect(error?.message).toContain('they offer http');
  });

  it('keeps no state for an unknown service: names may come from untrusted input', async () => {
    const world = new World({ instances: [] });
    world.view.become([], 'waiting');
    const called = world.ask();
    world.view.become([], 'unknown');
    expect((await called).error).toMatchObject({ code: 'UNKNOWN_SERVICE' });
    expect(world.view.listeners).toHaveLength(0);
    world.view.become(fleet('HEALTHY'), 'known');
    expect((await world.ask()).value).toBe('a');
  });

  it('is counted under one name for all unknown services, but under its own name once the service is known', async () => {
    const world = new World({ instances: [] });
    const counted = (service: string): number =>
      world.meter.values('rollcall_call_seconds', { service, outcome: 'unknown_service' }).length;
    world.view.become([], 'unknown');
    await world.ask();
    expect([counted('orders'), counted('(unknown)')]).toEqual([0, 1]);
    world.view.become(fleet('HEALTHY'));
    await world.ask();
    world.view.become([], 'unknown');
    await world.ask();
    expect([counted('orders'), counted('(unknown)')]).toEqual([1, 1]);
  });

  it('waits for the first report of the registry, until the deadline', async () => {
    const world = new World({ instances: [] });
    world.view.become([], 'waiting');
    const ended = world.ask(undefined, 500);
    world.time.setTimer(300, () => world.view.become(fleet('HEALTHY')));
    expect(await ended).toMatchObject({ value: 'a', tookMs: 301 });

    world.view.become([], 'waiting');
    expect(await world.ask()).toMatchObject({ error: { code: 'NO_CATALOG', retryable: true }, tookMs: 5_000 });
    expect((await world.ask({ deadlineMs: 100 })).error?.code).toMatch(/NO_CATALOG|DEADLINE_EXCEEDED/);
  });
});

describe('an event', () => {
  it('is repeated only if it was certainly not sent, even if the call is idempotent', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY') }).play({
      a: failing('closed'),
      b: failing('closed'),
    });
    const emit = async (): Promise<unknown> => {
      const sent = world.calls.emit('orders', 'placed', {}, IDEMPOTENT).catch((error: unknown) => error);
      await world.time.advanceBy(100);
      return sent;
    };
    expect(await emit()).toMatchObject({ code: 'TRANSPORT' });
    expect(world.calledHosts).toHaveLength(1);
    world.play({ a: failing('refused'), b: { afterMs: 1, values: [] } });
    expect(await emit()).toBeUndefined();
    expect(world.tcp.seen.at(-1)?.request).toMatchObject({ patternJson: '"placed"', dataJson: '{}', isEvent: true });
  });
});

describe('a stream', () => {
  it('delivers each value; the first ends the deadline, then idleMs applies', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    let deliver: ((value: unknown) => void) | null = null;
    world.tcp.channel = () => ({
      send: (_request, _terms, sink) => {
        deliver = (value) => sink.next(value);
        return { openedAt: null, cancel: () => (deliver = null) };
      },
      ping: () => ({ openedAt: null, cancel() {} }),
      retire() {},
    });
    const received: unknown[] = [];
    const observer = {
      next: (value: unknown) => received.push(value),
      error: (error: RollcallError) => received.push(error.code),
      complete: () => received.push('complete'),
    };
    world.calls.stream('orders', 'watch', {}, observer, { deadlineMs: 100, idleMs: 1_000 });
    await world.time.advanceBy(90);
    deliver!('one');
    await world.time.advanceBy(900);
    deliver!('two');
    expect(world.calls.explain('orders').protocols[0]?.instances[0]?.callsUnderWay).toBe(0);
    await world.time.advanceBy(1_020);
    expect(received).toEqual(['one', 'two', 'DEADLINE_EXCEEDED']);
    expect(deliver).toBeNull();
    await world.time.advanceBy(20);
    expect(world.time.nextAt()).toBeNull();
  });

  it('is not retried once a value has arrived', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY') });
    world.tcp.channel = () => ({
      send: (_request, _terms, sink) => {
        world.time.setTimer(1, () => sink.next(1));
        world.time.setTimer(2, () => sink.fail({ kind: 'closed', cause: new Error('gone') }));
        return { openedAt: null, cancel() {} };
      },
      ping: () => ({ openedAt: null, cancel() {} }),
      retire() {},
    });
    const received: unknown[] = [];
    const observer = {
      next: (value: unknown) => received.push(value),
      error: (error: RollcallError) => received.push(error.code),
      complete() {},
    };
    world.calls.stream('orders', 'watch', {}, observer, IDEMPOTENT);
    await world.time.advanceBy(100);
    expect(received).toEqual([1, 'TRANSPORT']);
  });

  it('calls its observer in the AsyncLocalStorage of the subscriber', async () => {
    const world = new World();
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const look = (): void => void seen.push(storage.getStore());
    const observer = { next: look, error: look, complete: look };
    storage.run('a request', () => world.calls.stream('orders', 'watch', {}, observer));
    await world.time.advanceBy(10);
    expect(seen).toEqual(['a request', 'a request']);
  });

  it('delivers nothing after a cancel, and survives an observer that throws', async () => {
    const world = new World();
    const received: unknown[] = [];
    const observer = {
      next(): void {
        throw new Error('a bug in the application');
      },
      error: (error: RollcallError) => received.push(error.code),
      complete: () => received.push('complete'),
    };
    world.calls.stream('orders', 'watch', {}, observer);
    world.calls.stream('orders', 'watch', {}, observer).cancel();
    await world.time.advanceBy(100);
    expect(received).toEqual([]);
    expect(world.log.texts('error')[0]).toContain('a bug in the application');
    expect(world.calls.explain('orders').callsUnderWay).toBe(0);
  });

  it('survives an observer that throws on an immediate refusal', async () => {
    const world = new World();
    const observer = {
      next() {},
      error(): void {
        throw new Error('a bug in the application');
      },
      complete() {},
    };
    world.calls.stream('orders', 'watch', {}, observer, { deadlineMs: 0 }).cancel();
    expect(world.log.texts('error')).toEqual([expect.stringContaining('a bug in the application')]);
    expect(world.calls.explain('orders').callsUnderWay).toBe(0);
  });
});

it('has no value of a response that broke off if the next response has none', async () => {
  const world = new World();
  let sent = 0;
  world.tcp.channel = () => ({
    send: (_request, _terms, sink) => {
      sent += 1;
      const isFirst = sent === 1;
      world.time.setTimer(1, () => (isFirst ? sink.next('value of the first response') : sink.complete()));
      if (isFirst) world.time.setTimer(2, () => sink.fail({ kind: 'closed', cause: new Error('gone') }));
      return { openedAt: null, cancel() {} };
    },
    ping: () => ({ openedAt: null, cancel() {} }),
    retire() {},
  });
  expect(await world.ask(IDEMPOTENT)).toMatchObject({ value: undefined, tookMs: 3 });
  expect(sent).toBe(2);
});

it('can share its signal with many calls without a leak warning from Node.js', async () => {
  const world = new World();
  const warnings: unknown[] = [];
  const warned = (warning: unknown): void => void warnings.push(warning);
  process.on('warning', warned);
  onTestFinished(() => void process.off('warning', warned));
  const { signal } = new AbortController();
  const calls = Array.from({ length: 20 }, () => world.calls.call('orders', 'find', {}, { signal }));
  await world.time.advanceBy(10);
  expect(await Promise.all(calls)).toHaveLength(20);
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
});

describe('closing', () => {
  it('ends every call with CLOSED, refuses later ones, and leaves no timer and no listener', async () => {
    const world = new World().play({ a: 'never', b: 'never', c: 'never' });
    const pending = world.calls.call('orders', 'find', 1).catch((error: RollcallError) => error.code);
    await world.calls.close();
    await world.calls.close();
    expect(await pending).toBe('CLOSED');
    expect((await world.ask(undefined, 0)).error?.code).toBe('CLOSED');
    expect(world.time.nextAt()).toBeNull();
    expect(world.view.listeners).toEqual([]);
  });
});
