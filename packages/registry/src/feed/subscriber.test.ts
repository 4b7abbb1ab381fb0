import type { Instance } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { change, cursorAt, FeedBench, Sink } from './feed.fixture.js';

/** Two kilobytes of metadata in half as many characters. */
const accented: Partial<Instance> = { metadata: { note: 'é'.repeat(1_000) } };
const big: Partial<Instance> = { metadata: { note: 'x'.repeat(4_000) } };

function kilobytes(sink: Sink): number {
  return Math.round((sink.waiting ?? 0) / 1_024);
}

/** Watches 1,000 instances of 4 KiB and reads nothing. */
function swamped(registry: FeedBench): Sink {
  for (let index = 0; index < 1_000; index += 1) registry.put('orders', `orders-${index}`, big);
  const sink = new Sink();
  sink.waiting = 0;
  return registry.watch({ services: ['orders'] }, sink);
}

describe('large views', () => {
  it('are sent in parts of at most 64 KiB that form the whole', () => {
    const registry = new FeedBench(new ManualTime());
    const all = Array.from({ length: 300 }, (_, index) => registry.put('orders', `orders-${index}`, accented));
    const gone = registry.bury('orders', 'orders-x');
    const sink = registry.watch({ services: ['orders'] });
    const parts = sink.flushes.flatMap(({ frames }) => frames).filter(({ frame }) => frame.event === 'reset');
    for (const part of parts) expect(part.bytes().byteLength).toBeLessThanOrEqual(65_536);
    const data = parts.flatMap(({ frame }) => (frame.event === 'reset' ? [frame.data] : []));
    expect(data.map(({ part }) => part)).toEqual(data.map((_, index) => index));
    expect(data.map(({ complete }) => complete)).toEqual(data.map((_, index) => index === data.length - 1));
    expect(data.flatMap(({ instances }) => instances)).toEqual(all);
    expect(data.map(({ removed }) => removed)).toEqual(
      data.map((_, index) => (index === data.length - 1 ? [gone] : undefined)),
    );
  });

  it('have their changes sent in parts, too', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-0');
    const sink = registry.watch({ services: ['orders'] });
    sink.take();
    const all = Array.from({ length: 100 }, (_, index) => registry.put('orders', `orders-${index}`, accented));
    registry.time.advance(0);
    const changes = sink.flushes.flatMap(({ frames }) => frames);
    for (const frame of changes) expect(frame.bytes().byteLength).toBeLessThanOrEqual(65_536);
    expect(changes.flatMap(({ frame }) => (frame.event === 'change' ? frame.data.upsert : []))).toEqual(all);
  });

  it('are encoded once for all watchers until their next change', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const frameOf = () => registry.watch({ services: ['orders'] }).flushes[0]?.frames[1];
    const first = frameOf();
    expect(frameOf()).toBe(first);
    registry.put('billing', 'billing-1');
    expect(frameOf()).toBe(first);
    registry.put('orders', 'orders-1');
    expect(frameOf()).not.toBe(first);
  });
});

describe('a slow watcher', () => {
  it('gets a large view at its own pace, and a cursor only afterwards', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = swamped(registry);
    expect(kilobytes(sink)).toBeLessThan(600);
    expect(sink.flushes.at(-1)?.cursor).toEqual(cursorAt(0));
    for (let step = 0; step < 12; step += 1) {
      sink.waiting = 0;
      registry.time.advance(20);
      expect(kilobytes(sink)).toBeLessThan(600);
    }
    expect(sink.flushes.at(-1)?.cursor).toEqual(cursorAt(1_000));
    const instances = sink.frames.flatMap((frame) => (frame.event === 'reset' ? frame.data.instances : []));
    expect(instances).toHaveLength(1_000);
  });

  it('has services pending beyond its room, which are neither prepared nor covered by a cursor', () => {
    const registry = new FeedBench(new ManualTime());
    for (const service of ['a', 'b', 'c']) {
      for (let index = 0; index < 100; index += 1) registry.put(service, `${service}-${index}`, big);
    }
    const sink = new Sink();
    sink.waiting = 0;
    registry.watch({ services: ['a', 'b', 'c'] }, sink);
    const changed = registry.put('c', 'c-0', big);
    registry.time.advance(20);
    expect(sink.flushes.map(({ cursor }) => cursor)).toEqual([cursorAt(0)]);
    for (let step = 0; step < 4; step += 1) {
      sink.waiting = 0;
      registry.time.advance(20);
    }
    expect(sink.flushes.map(({ cursor }) => cursor.revision)).toEqual([0, 0, 0, 301]);
    const frames = sink.take();
    expect(frames.filter(({ event }) => event === 'change')).toEqual([]);
    expect(frames.flatMap(({ event, data }) => (event === 'reset' ? data.instances : []))).toContain(changed);
  });

  it('is cut after 10 s if it reads nothing', () => {
    const [meter, log] = [memoryMeter(), recordingLog()];
    const registry = new FeedBench(new ManualTime(), meter, log);
    const sink = swamped(registry);
    registry.time.advance(9_700);
    expect(sink.isEnded).toBe(false);
    registry.time.advance(300);
    expect([sink.isEnded, sink.isCut]).toEqual([true, true]);
    expect(registry.feed.watchers).toBe(0);
    expect(log.texts('warn')).toEqual([
      'The stream of a watcher (orders) was ended: the client read nothing for 10 s.',
    ]);
    expect(meter.count('rollcall_registry_watchers_cut_total')).toBe(1);
  });

  it('gets its view after any time if it reads slowly but steadily', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = swamped(registry);
    for (let step = 0; step < 120; step += 1) {
      sink.waiting = Math.max(0, (sink.waiting ?? 0) - 64 * 1_024);
      registry.time.advance(5_000);
    }
    expect(sink.isEnded).toBe(false);
    expect(sink.flushes.at(-1)?.cursor).toEqual(cursorAt(1_000));
  });

  it('is cut after 10 s if it stays more than 1 MiB of changes behind, even if it reads', () => {
    const log = recordingLog();
    const registry = new FeedBench(new ManualTime(), memoryMeter(), log);
    const sink = swamped(registry);
    for (let step = 0; step < 20; step += 1) {
      sink.waiting = 0;
      registry.time.advance(20);
    }
    for (let second = 0; second < 20 && !sink.isEnded; second += 1) {
      for (let index = 0; index < 500; index += 1) registry.put('orders', `orders-${index}`, big);
      sink.waiting = Math.max(0, (sink.waiting ?? 0) - 100 * 1_024);
      registry.time.advance(1_000);
    }
    expect(sink.isEnded).toBe(true);
    expect(log.texts('warn')[0]).toContain('more than 1 MiB behind for 10 s');
  });

  it('delays no other watcher', () => {
    const registry = new FeedBench(new ManualTime());
    swamped(registry);
    const other = registry.watch({ services: ['orders'] });
    other.take();
    const next = registry.put('orders', 'orders-0');
    registry.time.advance(20);
    expect(other.take()).toEqual([change('orders', [next])]);
  });

  it('is not cut if it has nothing to read', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ services: ['orders'] });
    registry.time.advance(600_000);
    expect(sink.isEnded).toBe(false);
  });

  it('is cut if it does not even read its beats', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = new Sink();
    sink.waiting = 0;
    registry.watch({ services: ['orders'] }, sink);
    registry.time.advance(10_000);
    expect(sink.isEnded).toBe(true);
  });

  it('is cut if it throws, and the others are served', () => {
    const log = recordingLog();
    const registry = new FeedBench(new ManualTime(), memoryMeter(), log);
    const broken = new Sink();
    broken.onFlush = () => {
      throw new Error('socket is broken');
    };
    registry.watch({ services: ['orders'] }, broken);
    expect(broken.isEnded).toBe(true);
    expect(log.texts('warn')[0]).toContain('socket is broken');
  });

  it('is cut if it holds the most while all together hold more than 256 MiB', () => {
    const registry = new FeedBench(new ManualTime());
    for (let index = 0; index < 100; index += 1) registry.put('orders', `orders-${index}`, big);
    const sinks = Array.from({ length: 6 }, (_, index) => {
      const sink = new Sink();
      sink.waiting = index === 3 ? 100 * 1_048_576 : 40 * 1_048_576;
      return registry.watch({ services: ['orders'] }, sink);
    });
    expect(sinks.map(({ isEnded }) => isEnded)).toEqual([false, false, false, true, false, false]);
  });
});
