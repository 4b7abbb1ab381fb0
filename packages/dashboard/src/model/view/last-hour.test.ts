import type { State } from '@rollcall/core';
import { expect, it } from 'vitest';
import type { RegistryEvent } from '../live/answers.js';
import { historyOf, newestOf } from './last-hour.js';

const event = (seq: number, kind: RegistryEvent['kind'], state: State | null = 'HEALTHY'): RegistryEvent => ({
  seq,
  at: seq * 10,
  kind,
  namespace: 'default',
  service: 'orders',
  instance: 'orders-1',
  state,
  reason: null,
  revision: seq,
  by: 'registry',
  text: kind,
});

const rowsOf = (events: readonly RegistryEvent[]): readonly (readonly [string, number | null])[] =>
  historyOf(events, 100).map(({ event: { text }, lastedMs }) => [text, lastedMs]);

it('lists the actions of operators between the states, and counts the duration of each state without them', () => {
  const events = [event(1, 'registered', 'REGISTERING'), event(2, 'state'), event(3, 'admin'), event(4, 'circuit')];
  expect(rowsOf([...events, event(5, 'state', 'UNHEALTHY'), event(6, 'admin')])).toEqual([
    ['admin', null],
    ['state', 50],
    ['admin', null],
    ['state', 30],
    ['registered', 10],
  ]);
});

it('does not list circuits and unknown states', () => {
  expect(rowsOf([event(1, 'circuit'), event(2, 'state', null)])).toEqual([]);
});

it('keeps the newest state among the newest rows', () => {
  const rows = historyOf([event(1, 'state'), event(2, 'admin'), event(3, 'admin'), event(4, 'admin')], 100);
  const seqs = (maxRows: number): number[] => newestOf(rows, maxRows).map(({ event: { seq } }) => seq);
  expect([seqs(2), seqs(3), seqs(9)]).toEqual([
    [4, 1],
    [4, 3, 1],
    [4, 3, 2, 1],
  ]);
  expect(newestOf(rows.slice(0, 3), 2)).toHaveLength(2);
});
