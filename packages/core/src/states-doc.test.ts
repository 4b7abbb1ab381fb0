import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { due, forecast } from './deadlines.js';
import { transition } from './lifecycle.js';
import type { Event, Transition } from './lifecycle.js';
import { REASON_CODES, REASON_TEXTS, reasonFor } from './reason.js';
import type { ReasonCode } from './reason.js';
import { DEFAULT_POLICY, newborn } from './vitals.js';
import type { Cause, Fleet, Phase, Vitals } from './vitals.js';

/** docs/STATES.md is what this file makes of the lifecycle; `UPDATE_DOCS=1 npx vitest run states-doc` writes it anew. */
const DOC = fileURLToPath(new URL('../../../docs/STATES.md', import.meta.url));
const NOW = 1_000_000;
const policy = DEFAULT_POLICY;

const calm: Fleet = { otherHealthy: true, otherCallable: true, permit: { silence: true, mass: false } };
const held: Fleet = { ...calm, permit: { silence: false, mass: false } };
const alone: Fleet = { ...calm, otherHealthy: false, otherCallable: false };
const mass: Fleet = { ...calm, permit: { silence: true, mass: true } };

interface Column {
  readonly title: string;
  readonly phase: Phase;
  readonly reason: ReasonCode;
  readonly cause?: Cause;
  readonly proved?: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: 'REGISTERING', phase: 'REGISTERING', reason: 'NEW', proved: false },
  { title: 'HEALTHY', phase: 'HEALTHY', reason: 'BOTH_WAYS_OK' },
  { title: 'UNHEALTHY', phase: 'UNHEALTHY', reason: 'INBOUND_SILENT' },
  { title: 'CRITICAL by proof', phase: 'CRITICAL', reason: 'PROOF_OF_DEATH', cause: 'proof' },
  { title: 'CRITICAL otherwise', phase: 'CRITICAL', reason: 'SILENT', cause: 'silence' },
  { title: 'DEREGISTERING', phase: 'DEREGISTERING', reason: 'SILENT', cause: 'silence' },
  { title: 'LEAVING', phase: 'LEAVING', reason: 'LEAVING' },
];

interface Row {
  readonly title: string;
  readonly event: Event;
  readonly fleet?: Fleet;
  readonly vitals?: Partial<Vitals>;
}

const silentFor = (intervals: number): number => NOW - intervals * policy.intervalMs - policy.timeoutMs;
const bothSilent = { inboundAt: silentFor(6), anyInboundAt: silentFor(6), outboundAt: silentFor(6) };
const inboundSilent = { inboundAt: silentFor(3), anyInboundAt: silentFor(3) };
const failed = { type: 'call-failed', text: 'E', refused: false, partly: false, confirmed: false } as const;

const ROWS: readonly Row[] = [
  { title: 'proved both ways, the first in a row', event: { type: 'proved' } },
  { title: 'proved both ways, the second in a row', event: { type: 'proved' }, vitals: { proofsInARow: 1 } },
  {
    title: 'the same, while flapping',
    event: { type: 'proved' },
    vitals: { proofsInARow: 1, falls: { score: 4, at: NOW } },
  },
  {
    title: 'the same, while the address is shared',
    event: { type: 'proved' },
    vitals: { proofsInARow: 1, shared: true },
  },
  { title: 'any Heartbeat-2', event: { type: 'heartbeat-2' } },
  { title: 'Heartbeat-1 answered on every endpoint', event: { type: 'heartbeat-1' } },
  { title: 'a call timed out', event: failed },
  { title: 'a call timed out, and an ordinary call confirms it', event: { ...failed, confirmed: true } },
  { title: 'a call refused, without proof', event: { ...failed, refused: true } },
  { title: 'one endpoint of several failed', event: { ...failed, partly: true } },
  { title: 'proof of death', event: { type: 'proof', text: 'E' } },
  { title: 'proof of death, in the mass', event: { type: 'proof', text: 'E' }, fleet: mass },
  { title: 'the registry doubts its own network', event: { type: 'doubt' } },
  { title: 'never proved for 6 intervals, silent both ways', event: { type: 'unproved' }, vitals: bothSilent },
  { title: '… but it beats, permitted', event: { type: 'unproved' }, vitals: inboundSilent },
  { title: '… but it beats, not permitted', event: { type: 'unproved' }, vitals: inboundSilent, fleet: held },
  { title: '… but it beats and is the only one', event: { type: 'unproved' }, vitals: inboundSilent, fleet: alone },
  { title: 'a direction silent for 2 intervals + timeout', event: { type: 'one-silent' }, vitals: inboundSilent },
  { title: '… for 3, another is HEALTHY, permitted', event: { type: 'one-silent-long' }, vitals: inboundSilent },
  { title: '… for 3, not permitted', event: { type: 'one-silent-long' }, vitals: inboundSilent, fleet: held },
  { title: '… for 3, none other is HEALTHY', event: { type: 'one-silent-long' }, vitals: inboundSilent, fleet: alone },
  { title: 'both silent for 3 (the last: 6), permitted', event: { type: 'both-silent' }, vitals: bothSilent },
  { title: 'both silent, not permitted', event: { type: 'both-silent' }, vitals: bothSilent, fleet: held },
  { title: 'its step is due (below)', event: { type: 'step' }, vitals: bothSilent },
  {
    title: 'none other is callable, one direction alive',
    event: { type: 'last' },
    vitals: inboundSilent,
    fleet: alone,
  },
  { title: 'its removal is due (below)', event: { type: 'remove' } },
  { title: 'drain', event: { type: 'drain', deadlineMs: 30_000 } },
  { title: 'DELETE by itself', event: { type: 'end', code: 'GOODBYE', text: 'E' } },
  { title: 'DELETE by an operator', event: { type: 'end', code: 'OPERATOR', text: 'E' } },
  { title: 'superseded at its address', event: { type: 'end', code: 'SUPERSEDED', text: 'E' } },
  { title: 'registers again, same endpoints', event: { type: 'register', moved: false } },
  { title: 'registers again, other endpoints', event: { type: 'register', moved: true } },
  { title: 'the registry restarted', event: { type: 'restart' } },
  { title: 'another process answers in turns', event: { type: 'shared', text: 'E' } },
  { title: 'no longer', event: { type: 'unshared' }, vitals: { shared: true } },
];

function vitalsOf(column: Column, changes: Partial<Vitals> = {}): Vitals {
  return {
    ...newborn(NOW - 30_000),
    inboundAt: NOW - 1_000,
    anyInboundAt: NOW - 1_000,
    outboundAt: NOW - 1_000,
    proved: column.proved ?? true,
    phase: column.phase,
    reason: reasonFor(column.reason),
    cause: column.cause ?? null,
    ...changes,
  };
}

function cell(vitals: Vitals, result: Transition): string {
  if (result.removed !== null) {
    return `removed \`${result.removed.reason.code}\`${result.removed.ended ? ', for good' : ''}`;
  }
  if (result.changed) {
    const { phase, reason, cause } = result.vitals;
    const by = phase === 'CRITICAL' && cause !== null ? ` *${cause}*` : '';
    const permit = result.usesPermit ? ', uses a permit' : '';
    return `${phase}${by} \`${reason.code}\`${permit}`;
  }
  return JSON.stringify(result.vitals) === JSON.stringify(vitals) ? '–' : 'noted';
}

function document(): string {
  const rows = ROWS.map((row) => {
    const cells = COLUMNS.map((column) => {
      const vitals = vitalsOf(column, row.vitals);
      return cell(vitals, transition(vitals, row.event, { now: NOW, policy, fleet: row.fleet ?? calm }));
    });
    return `| ${row.title} | ${cells.join(' | ')} |`;
  });
  const next = COLUMNS.map((column) => {
    const fresh = newborn(NOW);
    const vitals = { ...fresh, ...vitalsOf(column), ...fresh, phase: column.phase, reason: reasonFor(column.reason) };
    const told = forecast({ ...vitals, cause: column.cause ?? null, leaveMs: 35_000 }, policy, calm);
    const line = told === null ? 'nothing' : `${told.state} after ${told.afterMs / 1_000} s`;
    return `| ${column.title} | ${line} | ${told?.unless ?? '–'} |`;
  });
  const codes = REASON_CODES.map((code) => `| \`${code}\` | ${REASON_TEXTS[code]} |`);
  return [
    '# States',
    '',
    'Generated from `packages/core/src/lifecycle.ts` by `states-doc.test.ts`, and held to it by the same test: do not edit.',
    '',
    'Every state × event pair. *noted*: clocks or counters move, nothing is published. *–*: nothing at all. *for good*: the id',
    'never comes back (410). LEAVING is DEREGISTERING on purpose; on the wire it is `DEREGISTERING` with the reason `LEAVING`.',
    '',
    `| event | ${COLUMNS.map(({ title }) => title).join(' | ')} |`,
    `|---|${COLUMNS.map(() => '---').join('|')}|`,
    ...rows,
    '',
    '## What comes next, if nothing else does',
    '',
    'With the default policy (5 s interval, 2 s timeout), right after the state was entered, while others are HEALTHY.',
    '',
    '| state | next | unless |',
    '|---|---|---|',
    ...next,
    '',
    'The step from CRITICAL is due after 1 interval by proof, else after 2 and only while both directions are silent. The',
    'removal is due 1 interval after DEREGISTERING, or when a leaving instance has used its time (its deadline + 1 interval).',
    '',
    '## Reasons',
    '',
    'Always `{ code, text }`; the text is this sentence, with what was seen (an error verbatim, an address) behind it.',
    '',
    '| code | text |',
    '|---|---|',
    ...codes,
    '',
  ].join('\n');
}

describe('docs/STATES.md', () => {
  it('says what the lifecycle does, for every state and event', () => {
    const made = document();
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
    expect(existsSync(DOC) ? readFileSync(DOC, 'utf8') : '').toBe(made);
  });

  it('has a row for every type of event', () => {
    const types = new Set(ROWS.map(({ event }) => event.type));
    const all: Record<Event['type'], true> = {
      'heartbeat-1': true,
      'heartbeat-2': true,
      proved: true,
      'call-failed': true,
      proof: true,
      doubt: true,
      drain: true,
      end: true,
      register: true,
      restart: true,
      shared: true,
      unshared: true,
      unproved: true,
      'one-silent': true,
      'one-silent-long': true,
      'both-silent': true,
      step: true,
      last: true,
      remove: true,
    };
    expect([...types].toSorted()).toEqual(Object.keys(all).toSorted());
  });

  it('knows no deadline for a state that the table does not step from', () => {
    const healthy = COLUMNS.find(({ phase }) => phase === 'HEALTHY')!;
    expect(due(vitalsOf(healthy), NOW, policy, calm)).toBeNull();
  });
});
