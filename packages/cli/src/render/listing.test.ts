import { reasonFor } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { columnsOf } from '../terminal/columns.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import type { TestTerminal } from '../terminal/shell.fixture.js';
import type { View } from './instance-table.js';
import { renderListing } from './listing.js';
import type { Listing } from './listing.js';

const createInstance = (id: string, but: Partial<Instance> = {}): Instance =>
  sampleInstance({
    id,
    service: id.split('-')[0] ?? id,
    state: 'HEALTHY',
    admin: 'ENABLED',
    weight: 100,
    reason: reasonFor('BOTH_WAYS_OK'),
    since: Date.now() - 300_000,
    next: null,
    ...but,
  });
const many = Array.from({ length: 60 }, (_, index) => createInstance(`orders-${1_000 + index}`));
const dead = createInstance('users-0001', {
  state: 'CRITICAL',
  reason: reasonFor('SILENT', 'no answer within 2000 ms'),
});
const drained = createInstance('mailer-0001', { admin: 'DRAINING' });
const REASON = 'kernel update, see CHG-7, which the team of the platform asked for on Monday';

const viewOf = (instances: readonly Instance[], overrides: Partial<View> = {}): View => ({
  url: 'http://10.0.0.2:1337',
  isLive: true,
  lastMessageAt: Date.now(),
  revision: 7,
  instances,
  heartbeats: new Map(),
  ...overrides,
});

function print(view: View, terminal: TestTerminal, overrides: Partial<Listing> = {}): readonly string[] {
  const listing: Listing = { view, format: 'table', isAll: false, isOneService: false, open: null, ...overrides };
  return renderListing(listing, createTestShell({}, { width: 100, ...terminal }));
}
const rowsOf = (lines: readonly string[], state: string): readonly string[] =>
  lines.filter((line) => line.startsWith(state));

describe('ls, on a terminal with fewer lines than rows', () => {
  const lines = print(viewOf([...many, dead]), { height: 40 });

  it('folds HEALTHY instances into one line, prints how to list them, and is no higher than the terminal', () => {
    expect(rowsOf(lines, '●')).toEqual(['● HEALTHY        60 of 61  callable: users 0 of 1 · orders 60 of 60']);
    expect(rowsOf(lines, '▲')).toHaveLength(1);
    expect(lines.at(-1)).toBe('--all shows all 61; filters show fewer');
    expect(lines.length).toBeLessThan(40);
  });

  it('lists all of them with --all, in a pipe, of one service, and in a requested order; and ends with the verdict', () => {
    const verdict = 'No instance of users may be called: 1 CRITICAL.';
    for (const shown of [
      print(viewOf([...many, dead]), { height: 40 }, { isAll: true }),
      print(viewOf([...many, dead]), { height: 40 }, { isOneService: true }),
      print(viewOf([...many, dead], { isSorted: true }), { height: 40 }),
    ]) {
      expect(rowsOf(shown, '●')).toHaveLength(60);
      expect(shown.at(-1)).toBe(verdict);
    }
    const piped = print(viewOf([...many, dead]), {});
    expect(rowsOf(piped, '●')).toHaveLength(60);
    expect(piped.join('\n')).not.toContain(verdict);
  });

  it('folds and repeats nothing if there is room', () => {
    const shown = print(viewOf([...many, dead]), { height: 100 });
    expect(rowsOf(shown, '●')).toHaveLength(60);
    expect(shown.at(-1)).toMatch(/^● HEALTHY/);
  });

  it('prints no verdict about the whole with a filter', () => {
    const shown = print(viewOf(many, { isPartial: true }), { height: 40 });
    expect(rowsOf(shown, '●')).toHaveLength(60);
    expect(shown.join('\n')).not.toContain('attention');
  });
});

describe('the reason why an instance gets no calls', () => {
  const terms = { by: 'token 3f2a from 10.0.0.7', reason: REASON, since: Date.now() - 10_000, untilMs: null };
  const away = new Map([[drained.id, { ...terms, untilMs: Date.now() + 600_000 }]]);
  const view = viewOf([drained, dead], { away });

  it('fits one whole line in a pipe, with the start of the operator’s setting', () => {
    const [row = ''] = rowsOf(print(view, {}), '⊘');
    expect(row).toMatch(/ 1\d s  Drained 1\d s ago by token 3f2a from 10\.0\.0\.7 \(kernel update, .* on Monday\)\. /);
    expect(row).toMatch(/ Its state is HEALTHY\. Until .*\d\d:\d\d:\d\d\.$/);
  });

  it.each([80, 100, 140])('wraps, and is not cut, in a terminal of %d columns', (width) => {
    const lines = print(view, { width, height: 40 });
    expect(lines.filter((line) => columnsOf(line) > width)).toEqual([]);
    const text = lines.join(' ').replaceAll(/\s+/g, ' ');
    expect(text).not.toContain('…  ');
    for (const part of [`(${REASON}).`, 'Until ', 'no answer within 2000 ms']) expect(text).toContain(part);
  });

  it('appears in the REASON of wide, beside the weight and the circuits', () => {
    const open = new Map([[dead.id, 2]]);
    const lines = print(viewOf([drained, { ...dead, weight: 7 }], { away }), {}, { format: 'wide', open });
    expect(lines[0]).toMatch(/CALLABLE +WEIGHT +CIRCUIT +REASON$/);
    expect(lines[1]).toMatch(
      /no +100 +– +Drained 1\d s ago by token 3f2a .* on Monday\)\. Its state is HEALTHY\. Until /,
    );
    expect(lines[2]).toMatch(/no +7 +open:2 +it neither answers/);
  });

  it('appears in the JSON', () => {
    const json = JSON.parse(print(view, {}, { format: 'json', open: new Map([[dead.id, 2]]) })[0] ?? '') as {
      instances: object[];
    };
    expect(json.instances).toMatchObject([
      { id: drained.id, adminTerms: { reason: REASON }, circuitsOpen: 0 },
      { id: dead.id, adminTerms: null, circuitsOpen: 2 },
    ]);
  });
});
