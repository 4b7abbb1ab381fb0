import { REASON_CODES, reasonFor } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { sample } from '../live/sample.fixture.js';
import { evidenceOf, nextText, verdictText, reasonText } from './instance-text.js';

describe('the reason', () => {
  it.each(REASON_CODES)('prints a sentence for %s in a live and in an old view', (code) => {
    const instance = { reason: reasonFor(code, 'connect ECONNREFUSED 10.0.3.21:3001') };
    expect(reasonText(instance)).toMatch(/^[A-Z].*\.$/);
    expect(reasonText(instance, true)).toMatch(/^[A-Z].*\.$/);
    expect(evidenceOf(instance)).toBe('connect ECONNREFUSED 10.0.3.21:3001');
    expect(evidenceOf({ reason: reasonFor(code) })).toBe('');
  });

  it('shows an unknown code with the text of the registry', () => {
    const reason = { code: 'MOONLIGHT', text: 'the moon is too bright' } as unknown as ReturnType<typeof reasonFor>;
    expect(reasonText({ reason })).toBe('The moon is too bright.');
  });
});

describe('the next transition', () => {
  const refused = sample('orders-1e07', 'UNHEALTHY', 'INBOUND_REFUSED');
  const falls = { ...refused, next: { state: 'CRITICAL', afterMs: 12_000, unless: 'HEARTBEAT_1' } } as const;

  it('counts down to the next state, and names what prevents it', () => {
    expect(nextText(falls, 1_007_000, 0)).toEqual({
      what: 'CRITICAL in 5 s',
      unless: 'unless it answers Heartbeat-1',
      state: 'CRITICAL',
      ratio: expect.closeTo(7 / 12, 6),
    });
    expect(nextText(falls, 1_013_000, 0)).toMatchObject({ what: 'CRITICAL any moment', ratio: 1 });
  });

  it('prints no transition in an old view', () => {
    expect(nextText(falls, null, 1_007_000)).toMatchObject({
      what: expect.stringMatching(/^unknown after \d\d:/),
      ratio: null,
    });
  });

  it('shows no clock without a deadline', () => {
    expect(nextText(refused, 1_007_000, 0)).toMatchObject({ ratio: null, state: null });
    expect(nextText(sample('a-1'), 1_007_000, 0)).toMatchObject({ what: '' });
  });

  it('names the deadline of an instance that leaves or registers', () => {
    const leaving = {
      ...sample('a-1', 'DEREGISTERING', 'LEAVING'),
      next: { state: 'REMOVED', afterMs: 30_000, unless: null },
    } as const;
    expect(nextText(leaving, 1_004_000, 0)).toMatchObject({
      what: 'Removed when done',
      unless: 'in 26 s at the latest',
    });
    const fresh = {
      ...sample('a-1', 'REGISTERING', 'NEW'),
      next: { state: 'CRITICAL', afterMs: 30_000, unless: 'PROOF' },
    } as const;
    expect(nextText(fresh, 1_003_000, 0)).toMatchObject({
      what: 'HEALTHY once proved',
      unless: 'it has 27 s for that',
    });
  });
});

describe('the verdict', () => {
  it.each([
    [0, 0, 0, 'No service has registered yet.'],
    [0, 1, 0, 'The one service can be reached.'],
    [0, 14, 0, 'All 14 services can be reached.'],
    [1, 14, 1, '1 of 14 services needs attention.'],
    [2, 14, 0, '2 of 14 services need attention.'],
    [0, 14, 3, '3 of 14 services have no HEALTHY instance yet.'],
  ])('%d troubled of %d, %d without a HEALTHY instance: %s', (trouble, all, waiting, text) =>
    expect(verdictText({ trouble, all, waiting, outages: [] }, null)).toBe(text),
  );

  it('uses the past tense for an old view', () => {
    const at = /^2 of 14 services needed attention at \d\d:\d\d:\d\d\.$/;
    expect(verdictText({ trouble: 2, all: 14, waiting: 0, outages: [] }, 0)).toMatch(at);
    expect(verdictText({ trouble: 0, all: 14, waiting: 0, outages: [] }, 0)).toMatch(/could be reached at/);
    expect(verdictText({ trouble: 0, all: 14, waiting: 1, outages: [] }, 0)).toMatch(/had no HEALTHY instance at/);
  });
});
