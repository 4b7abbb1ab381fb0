import { describe, expect, it } from 'vitest';
import type { BeatsAnswer } from '../live/answers.js';
import { visibleBeats } from './beats.js';

/** One every 5 s for 100 s; none came between 60 s and 35 s ago. */
const ANSWER: BeatsAnswer = {
  id: 'orders-1',
  intervalMs: 5_000,
  heartbeat1: [
    { agoMs: 90_000, roundTripMs: null },
    { agoMs: 58_000, roundTripMs: null },
    { agoMs: 10_000, roundTripMs: 2 },
  ],
  heartbeat2: Array.from({ length: 20 }, (_, at) => ({ agoMs: 100_000 - at * 5_000 })).filter(
    ({ agoMs }) => agoMs >= 60_000 || agoMs <= 35_000,
  ),
};

describe('heartbeats that did not arrive', () => {
  it('count as missed', () => {
    expect(visibleBeats(ANSWER)).toMatchObject({ missed: 2, missedArrivals: [55_000, 50_000, 45_000, 40_000] });
  });

  it('count not as missed while the registry itself could not listen', () => {
    const notListening = [{ fromAgoMs: 59_000, toAgoMs: 36_000 }];
    expect(visibleBeats({ ...ANSWER, notListening })).toEqual({
      rounds: [ANSWER.heartbeat1[0], ANSWER.heartbeat1[2]],
      missed: 1,
      missedArrivals: [],
    });
  });

  it('count as missed before and after such a span', () => {
    const notListening = [{ fromAgoMs: 51_000, toAgoMs: 48_000 }];
    expect(visibleBeats({ ...ANSWER, notListening })).toMatchObject({
      missed: 2,
      missedArrivals: [55_000, 45_000, 40_000],
    });
  });
});
