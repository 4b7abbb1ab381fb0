import { describe, expect, it } from 'vitest';
import { sample } from '../live/sample.fixture.js';
import { pictureOf } from './picture.js';

const WORKS = { lastSuccessAgoMs: 2_000, roundTripMs: 1.8, misses: 0, error: null };
const REFUSED = {
  lastSuccessAgoMs: 12_000,
  roundTripMs: null,
  misses: 2,
  error: 'connect ECONNREFUSED 10.0.3.21:3001',
};
const SILENT = { lastSuccessAgoMs: 14_000, roundTripMs: null, misses: 2, error: null };

describe('the heartbeat picture', () => {
  it('shows that both directions work', () => {
    const picture = pictureOf(sample('a-1'), { heartbeat1: WORKS, heartbeat2: WORKS });
    expect(picture).toMatchObject({
      heading: 'We reach it, and it reaches us.',
      heartbeat1: { wire: 'flows', status: '1.8 ms', aside: 'last answered 2 s ago' },
      heartbeat2: { wire: 'flows', status: 'arrives', aside: 'last one 2 s ago' },
    });
  });

  it('draws a refusal as a cross at a shut door, with its error verbatim', () => {
    const picture = pictureOf(sample('a-1', 'UNHEALTHY', 'INBOUND_REFUSED'), {
      heartbeat1: REFUSED,
      heartbeat2: WORKS,
    });
    expect(picture).toMatchObject({
      heading: 'It reaches us, but we cannot reach it.',
      heartbeat1: { wire: 'refused', tone: 'unhealthy', status: 'refused, 2 in a row', evidence: REFUSED.error },
      heartbeat2: { wire: 'flows' },
    });
  });

  it('draws silence as a line that fades', () => {
    const picture = pictureOf(sample('a-1', 'UNHEALTHY', 'OUTBOUND_SILENT'), { heartbeat1: WORKS, heartbeat2: SILENT });
    expect(picture).toMatchObject({
      heading: 'We reach it, but it does not call.',
      heartbeat2: { wire: 'fades', status: 'silent 14 s', evidence: '2 missed' },
    });
    expect(pictureOf(sample('a-1', 'UNHEALTHY', 'SILENT'), null)).toMatchObject({
      heading: 'Neither reaches the other.',
      heartbeat1: { wire: 'fades' },
      heartbeat2: { wire: 'fades' },
    });
  });

  it('draws no process after a proof of death', () => {
    const picture = pictureOf(sample('a-1', 'CRITICAL', 'PROOF_OF_DEATH'), { heartbeat1: REFUSED, heartbeat2: SILENT });
    expect(picture).toMatchObject({
      isGone: true,
      line: { kind: 'closed' },
      heartbeat1: { wire: 'refused', tone: 'critical' },
      heartbeat2: { wire: 'ended' },
    });
  });

  it('shows a new instance as awaited, never in red', () => {
    const never = { lastSuccessAgoMs: null, roundTripMs: null, misses: 0, error: null };
    const picture = pictureOf(sample('a-1', 'REGISTERING', 'NEW'), { heartbeat1: WORKS, heartbeat2: never });
    expect(picture.heartbeat1).toMatchObject({ wire: 'flows', tone: 'healthy' });
    expect(picture.heartbeat2).toMatchObject({ wire: 'waits', tone: 'registering' });
  });
});
