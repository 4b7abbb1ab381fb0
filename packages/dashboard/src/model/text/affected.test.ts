import { describe, expect, it } from 'vitest';
import type { ServiceEdge, TopologySummary } from '../live/answers.js';
import { sampleEdge } from '../live/sample.fixture.js';
import { affectedText, shortList } from './affected.js';
import { clockText } from './age.js';

const NO_CALLS: TopologySummary = {
  withinMs: 15_000,
  edges: 0,
  calls: 0,
  callsPerSecond: 0,
  failures: 0,
  retries: 0,
  called: [],
  failing: [],
};
const NO_FAILURES: TopologySummary = { ...NO_CALLS, edges: 2, calls: 200 };
const FAILED: TopologySummary = {
  ...NO_FAILURES,
  failures: 3,
  retries: 4,
  failing: [{ namespace: 'default', service: 'gateway', failures: 3 }],
};
const MANY_FAILURES: TopologySummary = {
  ...FAILED,
  failures: 1_176,
  retries: 972,
  failing: Array.from({ length: 33 }, (_, at) => ({ namespace: 'default', service: `s${at}`, failures: 1 })),
};
const AT = clockText(5_000);
const plainName = (_: string, name: string): string => name;

const fullName = (namespace: string, name: string): string => `${namespace}/${name}`;

const textOf = (value: TopologySummary, asOf: number | null): string =>
  affectedText({ summary: { kind: 'known', value, asOf }, outages: new Set(), edges: null, nameOf: plainName });

describe('whether callers are affected', () => {
  it.each([
    [NO_CALLS, 'No caller has reported its calls yet.'],
    [NO_FAILURES, 'No caller is affected: in the last 5 s no call failed.'],
    [
      { ...NO_FAILURES, retries: 2 },
      'No caller is affected: in the last 5 s no call failed, 2 attempts went to another instance.',
    ],
    [FAILED, 'In the last 5 s, 3 calls of gateway failed, 4 attempts went to another instance.'],
    [MANY_FAILURES, 'In the last 5 s, 1,176 calls of 33 services failed, 972 attempts went to another instance.'],
  ])('uses the present tense: %#', (value, text) => expect(textOf(value, null)).toBe(text));

  it.each([
    [NO_CALLS, `No caller had reported its calls at ${AT}.`],
    [NO_FAILURES, `No caller was affected at ${AT}: in the 5 s before no call failed.`],
    [
      { ...NO_FAILURES, retries: 2 },
      `No caller was affected at ${AT}: in the 5 s before no call failed, 2 attempts went to another instance.`,
    ],
    [FAILED, `In the 5 s before ${AT}, 3 calls of gateway failed, 4 attempts went to another instance.`],
  ])('uses the past tense without a newer answer: %#', (value, text) =>
    expect(textOf(value, 5_000)).toBe(`${text} What has happened since is unknown here.`),
  );

  it('reports unknown callers without an answer', () => {
    const summary = { kind: 'unknown', since: 5_000, error: null } as const;
    expect(affectedText({ summary, outages: new Set(), edges: null, nameOf: plainName })).toBe(
      `Whether callers are affected: – unknown since ${AT}`,
    );
  });

  it('names the callers with the given function', () => {
    const summary = { kind: 'known', value: FAILED, asOf: null } as const;
    expect(affectedText({ summary, outages: new Set(), edges: null, nameOf: fullName })).toContain(
      'of default/gateway failed',
    );
  });
});

const edge = (from: string, to: string, callsPerSecond: number): ServiceEdge =>
  sampleEdge(from, to, { callsPerSecond });
const calledOf = (...names: readonly string[]): TopologySummary['called'] =>
  names.map((service) => ({ namespace: 'default', service, calls: 1, failures: 0, retries: 0 }));
const outageTextOf = (
  overrides: Partial<TopologySummary>,
  edges: readonly ServiceEdge[] | null,
  asOf: number | null = null,
): string =>
  affectedText({
    summary: { kind: 'known', value: { ...NO_FAILURES, ...overrides }, asOf },
    outages: new Set(['default/a', 'default/b']),
    edges,
    nameOf: plainName,
  });

describe('affectedText without a callable instance', () => {
  it('reports no caller as unaffected', () => {
    const called = calledOf('a', 'users');
    const yet = 'what becomes of these calls is not reported yet.';
    expect(outageTextOf({ called }, [edge('gateway', 'a', 20), edge('gateway', 'users', 7)])).toBe(
      `gateway calls a (20/s): ${yet}`,
    );
    expect(outageTextOf({ called }, [edge('gateway', 'a', 20), edge('shop', 'a', 1)])).toBe(
      `gateway and shop call a (21/s): ${yet}`,
    );
    // all that it calls waits
    expect(outageTextOf({ called }, [edge('gateway', 'a', 0)])).toBe(`gateway calls a: ${yet}`);
    expect(outageTextOf({ called: calledOf('a', 'b') }, [edge('gateway', 'a', 20), edge('gateway', 'b', 2)])).toBe(
      `gateway calls a and b (22/s): ${yet}`,
    );
    expect(outageTextOf({ called }, null)).toBe(`Callers of a: ${yet}`);
    expect(outageTextOf({ called }, [edge('gateway', 'a', 20)], 5_000)).toBe(
      'gateway called a (20/s): what becomes of these calls was not reported yet. What has happened since is unknown here.',
    );
  });

  it('puts reports of other callers first, and reports failures', () => {
    const { failing, failures } = FAILED;
    expect(outageTextOf({ failing, failures, called: calledOf('a') }, [edge('shop', 'a', 2)])).toBe(
      'In the last 5 s, 3 calls of gateway failed. shop calls a (2/s): what becomes of these calls is not reported yet.',
    );
    const called = [{ namespace: 'default', service: 'a', calls: 3, failures: 3, retries: 0 }];
    expect(outageTextOf({ failing, failures, called }, [edge('gateway', 'a', 20)])).not.toContain('not reported yet');
  });

  it('reports no affected caller if there are none', () =>
    expect(outageTextOf({ called: calledOf('users') }, [])).toMatch(/^No caller is affected/));
});

it('shows a few names and counts the others', () => {
  expect([['a'], ['a', 'b'], ['a', 'b', 'c'], ['a', 'b', 'c', 'd', 'e']].map(shortList)).toEqual([
    'a',
    'a and b',
    'a, b and c',
    'a, b, c and 2 others',
  ]);
});
