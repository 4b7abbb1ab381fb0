import { ManualTime } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { cursorAt, FeedBench, Sink } from './feed.fixture.js';

it('sends beats at the interval that a watcher asks for, and to others at the default', () => {
  const registry = new FeedBench(new ManualTime());
  const [often, seldom] = [new Sink(), new Sink()];
  registry.watch({ services: ['a'], beatMs: 2_000 }, often);
  registry.watch({ services: ['a'] }, seldom);
  registry.time.advance(4_100);
  expect([often.beats.length, seldom.beats.length]).toEqual([2, 0]);
  registry.put('a', 'a-1');
  registry.time.advance(1_900);
  // it received a frame meanwhile
  expect(often.beats).toHaveLength(2);
  registry.time.advance(200);
  expect(often.beats.at(-1)).toEqual(cursorAt(1));
});

it('returns the number of services with which a stream begins', () => {
  const registry = new FeedBench(new ManualTime());
  registry.put('a', 'a-1');
  registry.put('b', 'b-1');
  const order = { namespace: '*', resume: [], cursor: null, line: null };
  expect(registry.feed.watch({ ...order, services: ['*'] }, new Sink()).services).toBe(2);
  expect(registry.feed.watch({ ...order, namespace: 'default', services: ['b', 'none'] }, new Sink()).services).toBe(1);
});
