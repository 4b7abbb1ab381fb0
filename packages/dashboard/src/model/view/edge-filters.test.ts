import { describe, expect, it } from 'vitest';
import type { ServiceEdge } from '../live/answers.js';
import { sampleEdge } from '../live/sample.fixture.js';
import { tooManyText } from '../text/instance-text.js';
import { callersText, fittingEdges, hiddenCallers, matchServices, servicesOf, shownEdges } from './edge-filters.js';
import { edgeKey } from './graph.js';

const ALL = [
  sampleEdge('catalog', 'vouchers'),
  sampleEdge('loyalty', 'vouchers', { failures: 50 }),
  sampleEdge('shop', 'catalog', { calls: 0 }),
  sampleEdge('catalog', 'users', { namespace: 'staging' }),
];

const keys = (edges: readonly ServiceEdge[]): string[] => edges.map(edgeKey);
const shown = (filters: Record<string, string>): string[] => keys(shownEdges(fittingEdges(ALL, filters), filters));

describe('the filter `service` of the topology', () => {
  it('accepts a name with its namespace, and without', () => {
    expect(shown({ service: 'default/vouchers' })).toEqual(['default/catalog>vouchers', 'default/loyalty>vouchers']);
    expect(shown({ service: 'vouchers' })).toEqual(shown({ service: 'default/vouchers' }));
    expect(shown({ service: 'nobody' })).toEqual([]);
  });

  it('matches a name in each namespace that has it', () => {
    expect(shown({ service: 'catalog' })).toEqual(['default/catalog>vouchers', 'staging/catalog>users']);
    expect(matchServices('catalog', servicesOf(ALL))).toEqual(['default/catalog', 'staging/catalog']);
    expect(matchServices('', ['default/a'])).toEqual(['default/a']);
  });
});

it('leaves out idle and healthy edges by the filters', () => {
  expect(shown({})).toHaveLength(3);
  expect(shown({ idle: 'shown' })).toHaveLength(4);
  expect(shown({ only: 'unhealthy' })).toEqual(['default/loyalty>vouchers']);
});

it('counts callers that the filters leave out', () => {
  const some = fittingEdges(ALL, { service: 'default/catalog' });
  expect(hiddenCallers('default/vouchers', ALL, some)).toBe(1);
  expect(hiddenCallers('default/vouchers', ALL, ALL)).toBe(0);
  expect(hiddenCallers('default/shop', ALL, some)).toBe(0);
  expect(hiddenCallers('default/catalog', ALL, shownEdges(ALL, {}))).toBe(1);
});

it('marks a service without callers, also beyond the filters, as an entry', () => {
  expect(callersText(null, 0)).toBe('entry');
  expect(callersText(null, 1)).toBe('+1 caller not shown');
  expect(callersText(null, 2)).toBe('+2 callers not shown');
  expect(callersText(20, 0)).toBe('20/s');
  expect(callersText(20, 3)).toBe('20/s +3 not shown');
});

it('does not offer a filter that is set', () => {
  expect(tooManyText('61 services', false)).toMatch(/: choose one above, or only what is unhealthy\.$/);
  expect(tooManyText('61 services', true)).toMatch(/: choose one above\.$/);
});
