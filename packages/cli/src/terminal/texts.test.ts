import type { ReasonCode } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { ageText, clockText, explainReason, nextText, printable, shortName, shortNames } from './texts.js';

describe('an age', () => {
  it.each([
    [-5, '0 s'],
    [999, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_600_000, '1 h'],
    [11_520_000, '3 h 12 min'],
    [187_200_000, '2 d 4 h'],
  ])('prints %d ms as %s', (ms, text) => {
    expect(ageText(ms)).toBe(text);
  });
});

it('prints a clock with two digits each', () => {
  expect(clockText(new Date(2026, 8, 21, 4, 2, 3).getTime())).toBe('04:02:03');
});

describe('a reason', () => {
  it('splits into the sentence and the evidence', () => {
    const reason = {
      code: 'INBOUND_REFUSED',
      text: 'it cannot be reached: connect ECONNREFUSED 10.0.3.21:3001',
    } as const;
    expect(explainReason(reason)).toEqual({
      sentence: 'It cannot be reached.',
      evidence: 'ECONNREFUSED 10.0.3.21:3001',
    });
  });

  it('stays unchanged if it is of a newer registry', () => {
    expect(explainReason({ code: 'MOON' as ReasonCode, text: 'the moon is full: truly' })).toEqual({
      sentence: 'The moon is full: truly.',
      evidence: '',
    });
  });

  it('cannot control the terminal', () => {
    const reason = { code: 'INBOUND_SILENT', text: 'it does not answer Heartbeat-1: \u001b[2J\u202e!' } as const;
    expect(explainReason(reason).evidence).toBe('?[2J?!');
  });
});

describe('the next transition', () => {
  const since = 10_000;
  const now = since + 7_000;

  it('names its time, and what prevents it', () => {
    const next = { state: 'CRITICAL', afterMs: 12_000, unless: 'HEARTBEAT_1' } as const;
    expect(nextText({ state: 'UNHEALTHY', since, next }, now)).toBe('CRITICAL in 5 s unless it answers Heartbeat-1');
  });

  it('never happens before the announced time', () => {
    const next = { state: 'CRITICAL', afterMs: 7_100, unless: 'HEARTBEAT_2' } as const;
    expect(nextText({ state: 'UNHEALTHY', since, next }, now)).toBe('CRITICAL in 1 s unless it sends Heartbeat-2');
    expect(nextText({ state: 'UNHEALTHY', since, next }, now + 200)).toBe('CRITICAL now unless it sends Heartbeat-2');
  });

  it('leads to HEALTHY for an instance that registers', () => {
    const next = { state: 'CRITICAL', afterMs: 30_000, unless: 'PROOF' } as const;
    expect(nextText({ state: 'REGISTERING', since, next }, now)).toBe('HEALTHY once proved, it has 23 s for that');
  });

  it('names no prevention for an instance that leaves, and is empty if unknown', () => {
    const next = { state: 'REMOVED', afterMs: 15_000, unless: null } as const;
    expect(nextText({ state: 'DEREGISTERING', since, next }, now)).toBe('REMOVED in 8 s at the latest');
    expect(nextText({ state: 'HEALTHY', since, next: null }, now)).toBe('');
  });
});

describe('short names', () => {
  it('consist of the last four characters, or of more where those are not unique within the service', () => {
    const names = shortNames([
      { id: 'a-0001e07', service: 'a' },
      { id: 'a-0002e07', service: 'a' },
      { id: 'a-12345', service: 'a' },
      { id: 'b-0001e07', service: 'b' },
    ]);
    expect([...names.values()]).toEqual(['a…1e07', 'a…2e07', 'a…2345', 'b…1e07']);
  });

  it('grow for ids that end alike until they differ', () => {
    const names = shortNames([
      { id: 'a-x1e07', service: 'a' },
      { id: 'a-y1e07', service: 'a' },
    ]);
    expect([...names.values()]).toEqual(['a…x1e07', 'a…y1e07']);
  });

  it('match those in a list of the same instances', () => {
    const [first, second] = [
      { id: 'a-x1e07', service: 'a' },
      { id: 'a-y1e07', service: 'a' },
    ];
    expect(shortName(first, [first, second])).toBe('a…x1e07');
    expect(shortName(first, [first])).toBe('a…1e07');
  });
});

it('prevents a text of the network from controlling a terminal, and keeps it whole', () => {
  expect(printable(`\u001b[2J\n\ud800 ${'y'.repeat(5_000)}`)).toBe(`?[2J?? ${'y'.repeat(5_000)}`);
});
