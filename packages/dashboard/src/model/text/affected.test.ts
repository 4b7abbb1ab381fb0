import { describe, expect, it } from 'vitest';
import type { TopologySummary } from '../live/answers.js';
import { affectedText } from './affected.js';
import { clockText } from './age.js';

const NOBODY: TopologySummary = { edges: 0, failures: 0, retries: 0, called: [], failing: [] };
const FINE: TopologySummary = { ...NOBODY, edges: 2 };
const FAILED: TopologySummary = {
  ...FINE,
  failures: 3,
  retries: 4,
  failing: [{ namespace: 'default', service: 'gateway', failures: 3 }],
};
const AT = clockText(5_000);
const plainName = (_: string, name: string): string => name;

const told = (value: TopologySummary, asOf: number | null): string =>
  affectedText({ kind: 'known', value, asOf }, plainName, new Set());

describe('whether callers are affected', () => {
  it.each([
    [NOBODY, 'No caller has told of its calls yet.'],
    [FINE, 'No caller is affected: every call that they told of last was answered at once.'],
    [
      { ...FINE, retries: 2 },
      'No caller is affected: of the calls that they told of last 2 attempts went to another instance, 0 failed.',
    ],
    [FAILED, 'Last reported: 3 calls of gateway failed, 4 attempts went to another instance.'],
  ])('is told of now: %#', (value, text) => expect(told(value, null)).toBe(text));

  it.each([
    [NOBODY, `No caller had told of its calls at ${AT}.`],
    [FINE, `No caller was affected at ${AT}: every call that they had told of last was answered at once.`],
    [
      { ...FINE, retries: 2 },
      `No caller was affected at ${AT}: of the calls that they had told of last 2 attempts went to another instance, 0 failed.`,
    ],
    [FAILED, `Last reported at ${AT}: 3 calls of gateway failed, 4 attempts went to another instance.`],
  ])('is told of then, where the newest question was not answered: %#', (value, text) =>
    expect(told(value, 5_000)).toBe(`${text} What has happened since is unknown here.`),
  );

  it('is unknown where nothing was answered', () => {
    const unknown = { kind: 'unknown', since: 5_000, error: null } as const;
    expect(affectedText(unknown, plainName, new Set())).toBe(`Whether callers are affected: – unknown since ${AT}`);
  });

  it('is not denied while a service that is called has nobody to call', () => {
    const called = [{ namespace: 'default', service: 'orders', failures: 0 }];
    const known = { kind: 'known', value: { ...FINE, called }, asOf: null } as const;
    expect(affectedText(known, plainName, new Set(['default/orders']))).toBe(
      'orders has callers: what becomes of their calls is not reported yet.',
    );
    expect(affectedText(known, plainName, new Set(['default/users']))).toMatch(/^No caller is affected/);
  });

  it('names the callers as it is told to', () => {
    const known = { kind: 'known', value: FAILED, asOf: null } as const;
    expect(affectedText(known, (namespace, name) => `${namespace}/${name}`, new Set())).toContain(
      'of default/gateway failed',
    );
  });
});
