import { AsyncLocalStorage } from 'node:async_hooks';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { CallWorld, fleet } from './calls.fixture.js';
import type { WorldSetting } from './calls.fixture.js';

class World extends CallWorld {
  readonly meter;
  readonly log;

  constructor(setting: Partial<WorldSetting> = {}) {
    const [meter, log] = [memoryMeter(), recordingLog()];
    const instances = fleet('HEALTHY');
    super({ time: new ManualTime({ nowMs: 100_000 }), random: seededRandom(3), meter, log, instances, ...setting });
    this.meter = meter;
    this.log = log;
    this.play({ a: { afterMs: 1, failure: 'closed' } });
  }
}

const fallback = ({ code }: { code: string }) => code;
const bug = (): never => {
  throw new Error('a bug in the application');
};

describe('a fallback', () => {
  it('makes a response out of the final error, which lists all attempts', async () => {
    const world = new World();
    expect((await world.ask({ fallback: (error) => `${error.code} ${error.attempts.length}` })).value).toBe(
      'TRANSPORT 1',
    );
    expect(world.meter.count('rollcall_call_fallbacks_total')).toBe(1);
  });

  it.each<[string, () => unknown]>([
    ['throws on any property access', () => new Proxy({}, { has: bug, get: bug })],
    ['has a `then` that cannot be read', () => new Proxy({}, { has: () => true, get: bug })],
    ['has a `then` that throws', () => new Proxy({}, { has: () => true, get: () => bug })],
  ])('may return a value that %s: the call ends with its own error', async (_what, trap) => {
    const world = new World();
    expect((await world.ask({ fallback: trap })).error?.code).toBe('TRANSPORT');
    expect(world.log.texts('error')).toEqual([expect.stringContaining('a bug in the application')]);
    expect(world.calls.explain('orders').callsUnderWay).toBe(0);
  });

  it('is not called when the call has a response', async () => {
    const world = new World().play({});
    expect((await world.ask({ fallback: () => 'made up' })).value).toBe('a');
  });

  it('also gets the error of a call that was not sent', async () => {
    const world = new World({ instances: [], options: { services: { orders: { maxConcurrent: 1 } } } });
    expect((await world.ask({ fallback })).value).toBe('NO_INSTANCE');
    expect((await world.ask({ fallback, inheritedMs: 0 })).value).toBe('DEADLINE_EXCEEDED');
    world.view.become(fleet('HEALTHY'));
    world.play({ a: 'never' });
    world.calls.call('orders', 'find', {}).catch(() => {});
    expect((await world.ask({ fallback }, 0)).value).toBe('BULKHEAD_FULL');
  });

  it('is not called after a cancel, or after the client was closed', async () => {
    const world = new World();
    expect((await world.ask({ fallback: () => 1, signal: AbortSignal.abort() })).error?.code).toBe('CANCELLED');
    await world.calls.close();
    expect((await world.ask({ fallback: () => 1 })).error?.code).toBe('CLOSED');
  });

  it('may be asynchronous, but not longer than the deadline', async () => {
    const world = new World();
    const after = (ms: number) => () => new Promise((resolve) => void world.time.setTimer(ms, () => resolve('late')));
    expect(await world.ask({ fallback: after(200) })).toEqual({ value: 'late', tookMs: 201 });
    const { error, tookMs } = await world.ask({ fallback: after(2_000), deadlineMs: 500 });
    expect(error?.code).toBe('TRANSPORT');
    expect(tookMs).toBeLessThanOrEqual(510);
  });

  it('does not change the error of the call if it throws or rejects', async () => {
    const world = new World();
    expect((await world.ask({ fallback: bug })).error?.code).toBe('TRANSPORT');
    expect((await world.ask({ fallback: async () => bug() })).error?.code).toBe('TRANSPORT');
    expect(world.log.texts('error')).toHaveLength(2);
    expect(world.log.texts('error')[0]).toContain('a bug in the application');
  });

  it('leaves the error of the call, and no timer, if the client is closed while it runs', async () => {
    const world = new World();
    const ended = world.ask({ fallback: () => new Promise(() => {}) }, 50);
    world.time.setTimer(20, () => void world.calls.close());
    expect((await ended).error?.code).toBe('TRANSPORT');
    expect(world.time.nextAt()).toBeNull();
  });

  it('is called in the AsyncLocalStorage of the caller', async () => {
    const world = new World();
    const storage = new AsyncLocalStorage<string>();
    const ended = storage.run('a request', () => world.ask({ fallback: () => storage.getStore() }));
    expect((await ended).value).toBe('a request');
  });

  it('lets an event that could not be sent succeed, and gives a fetch a Response', async () => {
    const world = new World();
    const sent = world.calls.emit('orders', 'placed', {}, { fallback: () => 'stored for a later attempt' });
    world.http.script = () => ({ afterMs: 1, failure: 'closed' });
    const got = world.calls.fetch('orders', '/', {}, { fallback: () => new Response('instead') });
    await world.time.advanceBy(1_000);
    expect(await sent).toBeUndefined();
    expect(await (await got).text()).toBe('instead');
  });

  it('runs for a stream only before the first value', async () => {
    const world = new World();
    const received: unknown[] = [];
    const observer = {
      next: (value: unknown) => received.push(value),
      error: ({ code }: { code: string }) => received.push(code),
      complete: () => received.push('complete'),
    };
    world.calls.stream('orders', 'watch', {}, observer, { fallback: () => 'instead' });
    await world.time.advanceBy(10);
    expect(received).toEqual(['instead', 'complete']);

    world.tcp.channel = () => ({
      send: (_request, _terms, sink) => {
        world.time.setTimer(1, () => sink.next(1));
        world.time.setTimer(2, () => sink.fail({ kind: 'closed', cause: new Error('gone') }));
        return { openedAt: null, cancel() {} };
      },
      ping: () => ({ openedAt: null, cancel() {} }),
      retire() {},
    });
    world.view.become(fleet('HEALTHY', 'HEALTHY').slice(1));
    world.calls.stream('orders', 'watch', {}, observer, { fallback: () => 'instead' });
    await world.time.advanceBy(10);
    expect(received.slice(2)).toEqual([1, 'TRANSPORT']);
  });
});
