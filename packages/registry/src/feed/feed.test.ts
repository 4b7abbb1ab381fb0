import type { Timer, TimerOptions } from '@rollcall/core';
import { ManualTime, memoryMeter } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { change, cursorAt, FeedBench, instanceOf, reset, Sink } from './feed.fixture.js';

function names(sink: Sink): readonly string[] {
  return sink.take().flatMap(({ data }) => ('service' in data ? [`${data.namespace}/${data.service}`] : []));
}

describe('a new watcher', () => {
  it('gets the status, then the whole view of each requested service, in one flush with the cursor', () => {
    const registry = new FeedBench(new ManualTime());
    const orders = registry.put('orders', 'orders-1');
    const gone = registry.bury('orders', 'orders-0');
    const billing = registry.put('billing', 'billing-1');
    registry.put('users', 'users-1');
    const sink = registry.watch({ services: ['orders', 'billing'] });
    expect(sink.flushes).toHaveLength(1);
    expect(sink.flushes[0]?.cursor).toEqual(cursorAt(4));
    expect(sink.frames).toEqual([
      { event: 'status', data: { settled: false } },
      reset('orders', 4, [orders], [gone]),
      reset('billing', 4, [billing]),
    ]);
  });

  it('gets everything in its namespace for *, and in all namespaces for * as namespace', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.put('orders', 'orders-2', { namespace: 'staging' });
    registry.put('billing', 'billing-1', { namespace: 'staging' });
    expect(names(registry.watch({ services: ['*'] }))).toEqual(['default/orders']);
    expect(names(registry.watch({ namespace: 'staging', services: ['*'] }))).toEqual([
      'staging/orders',
      'staging/billing',
    ]);
    expect(names(registry.watch({ namespace: '*', services: ['orders'] }))).toEqual([
      'default/orders',
      'staging/orders',
    ]);
    expect(names(registry.watch({ namespace: '*', services: ['*', 'orders'] }))).toHaveLength(3);
  });

  it('never gets the private fields of a tombstone', () => {
    const registry = new FeedBench(new ManualTime());
    registry.bury('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'] });
    registry.bury('orders', 'orders-2');
    registry.time.advance(100);
    const text = sink.flushes
      .flatMap(({ frames }) => frames.map((frame) => Buffer.from(frame.bytes()).toString()))
      .join('');
    expect(text).toContain('orders-2');
    expect(text).not.toContain('secretHash');
  });

  it('gets an empty reset for a service with tombstones only', () => {
    const registry = new FeedBench(new ManualTime());
    const gone = registry.bury('orders', 'orders-1');
    expect(registry.watch({ services: ['orders'] }).take()).toEqual([reset('orders', 1, [], [gone])]);
  });

  it('gets status and cursor if it watches no service', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = registry.watch({ line: { id: 'orders-1', secret: 's' } });
    expect(sink.flushes).toHaveLength(1);
    expect(sink.flushes[0]?.cursor).toEqual(cursorAt(1));
    registry.put('orders', 'orders-1');
    registry.time.advance(100);
    expect(sink.take()).toEqual([]);
  });
});

describe('a change', () => {
  it('is sent at once after a pause', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ services: ['orders'] });
    sink.take();
    const orders = registry.put('orders', 'orders-1');
    registry.time.advance(0);
    expect(sink.flushes.map(({ cursor }) => cursor)).toEqual([cursorAt(1)]);
    expect(sink.take()).toEqual([reset('orders', 1, [orders])]);
  });

  it('waits for the window after another one', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'] });
    registry.put('orders', 'orders-1');
    registry.time.advance(0);
    sink.take();
    const second = registry.put('orders', 'orders-1');
    registry.time.advance(19);
    expect(sink.flushes).toEqual([]);
    registry.time.advance(1);
    expect(sink.take()).toEqual([change('orders', [second])]);
  });

  it('contains the latest version of each instance, once', () => {
    const registry = new FeedBench(new ManualTime());
    for (const id of ['orders-1', 'orders-2', 'orders-3']) registry.put('orders', id);
    const sink = registry.watch({ services: ['orders'] });
    sink.take();
    registry.put('orders', 'orders-1', { state: 'UNHEALTHY' });
    const first = registry.put('orders', 'orders-1', { state: 'CRITICAL' });
    registry.put('orders', 'orders-2');
    const second = registry.bury('orders', 'orders-2');
    registry.bury('orders', 'orders-3');
    const third = registry.put('orders', 'orders-3');
    registry.time.advance(0);
    expect(sink.take()).toEqual([change('orders', [first, third], [second])]);
  });

  it('is sent only to the watchers of its service', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.put('billing', 'billing-1');
    const sink = registry.watch({ services: ['billing'] });
    sink.take();
    registry.put('orders', 'orders-1');
    registry.time.advance(100);
    expect(sink.flushes).toEqual([]);
  });

  it('is encoded once for all watchers', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const [one, other] = [registry.watch({ services: ['orders'] }), registry.watch({ services: ['*'] })];
    one.take();
    other.take();
    registry.put('orders', 'orders-1');
    registry.time.advance(0);
    const frame = one.flushes[0]?.frames[0];
    expect(other.flushes[0]?.frames[0]).toBe(frame);
    expect(frame?.bytes()).toBe(frame?.bytes());
    expect(Buffer.from(frame?.bytes() ?? []).toString()).toMatch(
      /^event: change\ndata: \{"namespace":"default",.*\}\n\n$/,
    );
  });

  it('is part of the next flush if a watcher causes it while it is written to', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = new Sink();
    sink.onFlush = () => {
      if (sink.flushes.length < 3) registry.put('orders', 'orders-1');
    };
    registry.watch({ services: ['orders'] }, sink);
    expect(sink.flushes.map(({ cursor }) => cursor.revision)).toEqual([1, 2, 3]);
  });

  it('must not decrease the revision', () => {
    const registry = new FeedBench(new ManualTime());
    const early = instanceOf('orders', 'orders-1', registry.feed.nextRevision());
    registry.put('orders', 'orders-2');
    expect(() => registry.feed.publish(early)).toThrow(RangeError);
  });

  it('continues the revisions of the store, before which no watcher can resume', () => {
    const registry = new FeedBench(new ManualTime());
    registry.feed.startAt(4_711);
    const orders = registry.put('orders', 'orders-1');
    expect(orders.revision).toBe(4_712);
    const sink = registry.watch({ services: ['orders'], resume: ['orders'], cursor: cursorAt(4_710) });
    expect(sink.take()).toEqual([reset('orders', 4_712, [orders])]);
  });
});

describe('a service that appears', () => {
  it('is sent as a reset, under * and by name, and its changes as changes', () => {
    const registry = new FeedBench(new ManualTime());
    const sinks = [registry.watch({ services: ['*'] }), registry.watch({ services: ['orders'] })];
    const first = registry.put('orders', 'orders-1');
    registry.time.advance(100);
    const second = registry.put('orders', 'orders-2');
    registry.time.advance(100);
    for (const sink of sinks) expect(sink.take()).toEqual([reset('orders', 1, [first]), change('orders', [second])]);
  });

  it('is reported as unknown before, once the feed is settled', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ services: ['orders'] });
    expect(sink.take()).toEqual([]);
    registry.feed.status({ settled: true });
    registry.time.advance(100);
    expect(sink.frames).toEqual([
      { event: 'status', data: { settled: true } },
      { event: 'unknown', data: { namespace: 'default', service: 'orders' } },
    ]);
    sink.take();
    registry.feed.status({ settled: false });
    registry.feed.status({ settled: true });
    registry.time.advance(100);
    expect(sink.take()).toEqual([]);
    const orders = registry.put('orders', 'orders-1');
    registry.time.advance(100);
    expect(sink.take()).toEqual([reset('orders', 1, [orders])]);
  });

  it('is reported as unknown at once by a settled feed', () => {
    const registry = new FeedBench(new ManualTime());
    registry.feed.status({ settled: true });
    const sink = registry.watch({ services: ['orders'] });
    expect(sink.take()).toEqual([{ event: 'unknown', data: { namespace: 'default', service: 'orders' } }]);
    expect(registry.watch({ namespace: '*', services: ['orders'] }).take()).toEqual([
      { event: 'unknown', data: { namespace: '*', service: 'orders' } },
    ]);
  });

  it('comes with a suggestion if another name is similar', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.feed.status({ settled: true });
    const data = { namespace: 'default', service: 'ordres', nearest: 'orders' };
    expect(registry.watch({ services: ['ordres'] }).take()).toEqual([{ event: 'unknown', data }]);
  });
});

describe('beats', () => {
  it('come after 10 s without a flush, with status and cursor', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['billing'] });
    registry.put('orders', 'orders-1');
    registry.time.advance(9_700);
    expect(sink.beats).toEqual([]);
    sink.flushes = [];
    registry.time.advance(100);
    expect(sink.beats).toEqual([cursorAt(2)]);
    expect(sink.frames).toEqual([{ event: 'status', data: { settled: false } }]);
    registry.time.advance(30_000);
    expect(sink.beats).toHaveLength(4);
  });

  it('follow the clock of each watcher', () => {
    const registry = new FeedBench(new ManualTime());
    const [early, late] = [new Sink(), new Sink()];
    registry.watch({ services: ['a'] }, early);
    registry.time.advance(5_000);
    registry.watch({ services: ['b'] }, late);
    registry.time.advance(5_000);
    expect([early.beats.length, late.beats.length]).toEqual([1, 0]);
    registry.time.advance(5_000);
    expect([early.beats.length, late.beats.length]).toEqual([1, 1]);
  });

  it('are sent soon after a line is pinged', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ line: { id: 'orders-1', secret: 's' } });
    sink.watcher?.ping();
    registry.time.advance(0);
    expect(sink.beats).toHaveLength(1);
  });
});

describe('status', () => {
  it('is sent to all watchers when it changes, and only then', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ line: { id: 'orders-1', secret: 's' } });
    sink.flushes = [];
    registry.feed.status({ settled: true });
    registry.time.advance(100);
    registry.feed.status({ settled: true });
    registry.time.advance(100);
    registry.feed.status({ settled: true, degraded: 'the disk is full' });
    registry.time.advance(100);
    expect(sink.frames.map(({ data }) => data)).toEqual([
      { settled: true },
      { settled: true, degraded: 'the disk is full' },
    ]);
  });
});

describe('a line', () => {
  it('is informed that its instance was removed; of two lines, the newer one is', () => {
    const registry = new FeedBench(new ManualTime());
    const line = { id: 'orders-1', secret: 's' };
    const [older, newer] = [registry.watch({ line }), registry.watch({ line })];
    const reason = { code: 'OPERATOR', text: 'removed by an operator' } as const;
    registry.feed.gone('orders-1', reason);
    registry.feed.gone('orders-2', reason);
    registry.time.advance(100);
    expect(older.take()).toEqual([]);
    expect(newer.take()).toEqual([{ event: 'gone', data: { id: 'orders-1', reason } }]);
  });

  it('gets nothing once it is closed, and the older one does not replace it', () => {
    const registry = new FeedBench(new ManualTime());
    const line = { id: 'orders-1', secret: 's' };
    const older = registry.watch({ line });
    const newer = registry.watch({ line });
    older.watcher?.closed();
    registry.feed.gone('orders-1', { code: 'OPERATOR', text: 'x' });
    registry.time.advance(100);
    expect([older.take().length, newer.take().length]).toEqual([0, 1]);
  });
});

describe('the watcher count', () => {
  it('counts the watchers of a service', () => {
    const meter = memoryMeter();
    const registry = new FeedBench(new ManualTime(), meter);
    const sink = registry.watch({ services: ['orders'] });
    registry.watch({ services: ['*'] });
    registry.watch({ services: ['billing'] });
    registry.watch({ namespace: 'staging', services: ['orders'] });
    registry.watch({ line: { id: 'orders-1', secret: 's' } });
    expect(registry.feed.watcherCount('default', 'orders')).toBe(2);
    expect(registry.feed.watchers).toBe(5);
    sink.watcher?.closed();
    sink.watcher?.closed();
    expect(registry.feed.watcherCount('default', 'orders')).toBe(1);
    expect(meter.count('rollcall_registry_watchers')).toBe(4);
  });
});

describe('many watchers', () => {
  /** A clock on which writing takes time. */
  class BusyTime extends ManualTime {
    lostMs = 0;
    onRun = (): void => {};

    override now(): number {
      return super.now() + this.lostMs;
    }

    override setTimer(ms: number, run: () => void, options?: TimerOptions): Timer {
      const runAndNotify = (): void => {
        run();
        this.onRun();
      };
      return super.setTimer(ms, runAndNotify, options);
    }
  }

  it('are written to in slices of 10 ms, and the next window grows with the duration', () => {
    const time = new BusyTime();
    const registry = new FeedBench(time);
    registry.put('orders', 'orders-1');
    const sinks = Array.from({ length: 30 }, () => {
      const sink = new Sink();
      registry.watch({ services: ['orders'] }, sink);
      sink.take();
      sink.onFlush = () => (time.lostMs += 1);
      return sink;
    });
    const served = (): number => sinks.filter(({ flushes }) => flushes.length > 0).length;
    registry.put('orders', 'orders-1');
    const steps: number[] = [];
    time.onRun = () => steps.push(served());
    time.advance(0);
    expect(steps).toEqual([10, 20, 30]);
    for (const sink of sinks) sink.take();
    registry.put('orders', 'orders-1');
    time.advance(4 * 30 - 1);
    expect(served()).toBe(0);
    time.advance(1);
    expect(served()).toBeGreaterThan(0);
  });
});

describe('close', () => {
  it('ends every stream, leaves no timer and makes later calls no-ops', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'] });
    registry.put('orders', 'orders-1');
    registry.feed.close();
    registry.feed.close();
    expect([sink.isEnded, sink.isCut]).toEqual([true, false]);
    expect(registry.time.pending()).toEqual({ foreground: 0, background: 0 });
    registry.put('orders', 'orders-1');
    registry.feed.status({ settled: true });
    const late = registry.watch({ services: ['orders'] });
    expect(late.isEnded).toBe(true);
    late.watcher?.ping();
    late.watcher?.closed();
    expect(registry.time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('stops all writes to a watcher, even during a write', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = new Sink();
    sink.onFlush = () => sink.watcher?.closed();
    registry.watch({ services: ['orders'] }, sink);
    registry.put('orders', 'orders-1');
    registry.time.advance(60_000);
    expect(sink.flushes).toHaveLength(1);
    expect(sink.beats).toEqual([]);
    expect(registry.time.pending().background).toBe(0);
  });
});
