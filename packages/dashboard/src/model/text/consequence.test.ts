import type { Instance } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import type { ServiceEdge } from '../live/answers.js';
import type { Known } from '../live/known.js';
import { sample } from '../live/sample.fixture.js';
import { clockText } from './age.js';
import { consequenceOf } from './consequence.js';

const edge = (from: string, callsPerSecond: number, to = 'catalog', namespace = 'default'): ServiceEdge => ({
  namespace,
  from,
  to,
  callers: 1,
  calls: callsPerSecond * 5,
  callsPerSecond,
  failures: 0,
  retries: 0,
  p50Ms: null,
  p99Ms: null,
  inFlight: 0,
  ageMs: 0,
  circuits: { closed: 1, open: 0, halfOpen: 0 },
});
const EDGES = [
  edge('vouchers', 6),
  edge('payments', 40),
  edge('idle', 0),
  edge('catalog', 900, 'payments'),
  edge('other', 900, 'catalog', 'staging'),
];
const known = (value: readonly ServiceEdge[]): Known<readonly ServiceEdge[]> => ({ kind: 'known', value, asOf: null });

const CATALOG: readonly Instance[] = [
  sample('catalog-1'),
  sample('catalog-2', 'UNHEALTHY', 'SILENT'),
  sample('catalog-3', 'CRITICAL', 'SILENT'),
];

function consequence(withdrawn: readonly string[], edges = known(EDGES), instances = CATALOG) {
  const withdrawal = { namespace: 'default', service: 'catalog', instances, withdrawn: new Set(withdrawn) };
  return consequenceOf(withdrawal, edges, (_, name) => name);
}

describe('consequenceOf', () => {
  it('counts the instances that stay callable, and reports if none of them is HEALTHY', () => {
    expect(consequence(['catalog-2'])).toEqual({ text: '1 of 3 stays callable.', isOut: false });
    expect(consequence(['catalog-3']).text).toBe('2 of 3 stay callable.');
    expect(consequence(['catalog-1']).text).toBe('1 of 3 stays callable, none of them HEALTHY.');
  });

  it('warns if they are the last, and names the callers of that service, the busiest first', () => {
    expect(consequence(['catalog-1', 'catalog-2'])).toEqual({
      text: 'After this no instance of catalog may be called; payments and vouchers call it (46/s).',
      isOut: true,
    });
    expect(consequence(['catalog-1', 'catalog-2'], known([edge('payments', 0.4)])).text).toContain(
      'payments calls it (0.4/s).',
    );
    const many = ['a', 'b', 'c', 'd', 'e'].map((from, at) => edge(from, 10 - at));
    expect(consequence(['catalog-1', 'catalog-2'], known(many)).text).toContain('a, b, c and 2 more call it (40/s).');
  });

  it('does not treat unknown callers as none', () => {
    const out = ['catalog-1', 'catalog-2'];
    expect(consequence(out, known([])).text).toContain('no caller has reported calls to it');
    expect(consequence(out, { kind: 'pending' }).text).toContain('its callers: Asking …');
    expect(consequence(out, { kind: 'unknown', since: 5_000, error: null }).text).toContain(
      `its callers: – unknown since ${clockText(5_000)}`,
    );
  });

  it('does not mention services that could not be called before', () => {
    const drained = CATALOG.map((instance): Instance => ({ ...instance, admin: 'MAINTENANCE' }));
    expect(consequence(['catalog-1'], known(EDGES), drained).text).toMatch(
      /^No instance of catalog may be called already; payments /,
    );
  });
});
