import type { Time } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { FeedBench, Sink } from './feed.fixture.js';
import { NameHints } from './name-hints.js';

/** A settled registry with one service, `orders`. */
function setUp(log = recordingLog()): FeedBench {
  const registry = new FeedBench(new ManualTime(), memoryMeter(), log);
  registry.put('orders', 'orders-1');
  registry.feed.status({ settled: true });
  return registry;
}

const slips = (count: number): string[] => Array.from({ length: count }, (_, index) => `orders${index}`);

/** The unknown names that a watcher was informed of. */
function unknowns(sink: Sink): { readonly service: string; readonly nearest?: string }[] {
  return sink.frames.flatMap(({ event, data }) => (event === 'unknown' ? [data] : []));
}

describe('unknown names', () => {
  it('are all reported, the first eight with a suggestion', () => {
    const hints = unknowns(setUp().watch({ services: slips(20) }));
    expect(hints.map(({ service }) => service)).toEqual(slips(20));
    expect(hints.map(({ nearest }) => nearest)).toEqual(
      slips(20).map((_, index) => (index < 8 ? 'orders' : undefined)),
    );
  });

  it('are reported once', () => {
    const registry = setUp();
    const sink = registry.watch({ services: slips(3) });
    registry.feed.status({ settled: false });
    registry.time.advance(100);
    registry.feed.status({ settled: true });
    registry.time.advance(100);
    expect(unknowns(sink)).toHaveLength(3);
  });

  it('belong to their watcher, and are dropped with it', () => {
    const registry = setUp();
    const [one, other] = [registry.watch({ services: ['a', 'b'] }), registry.watch({ services: ['b', 'c'] })];
    const third = registry.watch({ services: ['b'] });
    const counts = (): number[] => ['a', 'b', 'c'].map((name) => registry.feed.watcherCount('default', name));
    expect(counts()).toEqual([1, 3, 1]);
    one.watcher?.closed();
    expect(counts()).toEqual([0, 2, 1]);
    third.watcher?.closed();
    registry.put('b', 'b-1');
    registry.time.advance(100);
    expect(other.frames.at(-1)).toMatchObject({ event: 'reset', data: { service: 'b' } });
    other.watcher?.closed();
    expect(counts()).toEqual([0, 0, 0]);
  });

  it('do not fill the log when their watcher is cut', () => {
    const log = recordingLog();
    const sink = new Sink();
    sink.waiting = 0;
    const registry = setUp(log);
    registry.watch({ services: slips(200) }, sink);
    registry.time.advance(10_000);
    expect(log.texts('warn')[0]?.length).toBeLessThan(200);
  });
});

describe('hints', () => {
  const services = Array.from({ length: 1_000 }, (_, index) => ({ namespace: 'default', service: `order${index}` }));

  it('are given while there is time', () => {
    let looks = 0;
    const time = { now: () => (looks += 1) } as unknown as Time;
    const nameHints = new NameHints({ view: { services: () => services }, time, until: 20 });
    const ask = (): string | null => nameHints.nearest({ namespace: 'default', service: 'orders' });
    expect(ask()).toBe('order0');
    // the second search is cut short, and there is no third one
    expect([ask(), ask()]).toEqual([null, null]);
    expect(looks).toBe(20);
  });

  it('read the names of a namespace once', () => {
    let reads = 0;
    const view = { services: () => ((reads += 1), services) };
    const nameHints = new NameHints({ view, time: new ManualTime(), until: 1 });
    for (const namespace of ['a', 'b', 'a', '*', 'a']) nameHints.nearest({ namespace, service: 'orders' });
    expect(reads).toBe(3);
  });
});
