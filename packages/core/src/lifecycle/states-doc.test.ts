import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tableHead, tableRow } from '../testing.js';
import { due, forecast } from './deadlines.js';
import { alone, steadyFleet, COLUMNS, meet, NOW, policy, ROWS, VARIANTS, vitalsOf } from './lifecycle-table.fixture.js';
import { PROVED, run } from './lifecycle.fixture.js';
import type { HistoryEntry } from './lifecycle.fixture.js';
import type { Event } from './lifecycle.js';
import { DEFAULT_POLICY, PRESET_NAMES, PRESETS } from './policy.js';
import type { Policy } from './policy.js';
import { REASON_CODES, REASON_TEXTS, reasonFor } from './reason.js';
import type { ReasonCode } from './reason.js';
import { newborn } from './vitals.js';
import type { Cause, Phase } from './vitals.js';

/** Generates docs/STATES.md from the lifecycle; `UPDATE_DOCS=1 npx vitest run states-doc` updates it. */
const DOC = fileURLToPath(new URL('../../../../docs/STATES.md', import.meta.url));

function pairs(): readonly string[] {
  return [
    tableRow('event', ...COLUMNS.map(({ title }) => title)),
    `|---|${COLUMNS.map(() => '---').join('|')}|`,
    ...ROWS.map((row) => tableRow(row.title, ...COLUMNS.map((column) => meet(row, column).text))),
  ];
}

function forecasts(): readonly string[] {
  return COLUMNS.map((column) => {
    const fresh = newborn(NOW);
    const vitals = { ...fresh, ...vitalsOf(column), ...fresh, phase: column.phase, reason: reasonFor(column.reason) };
    const next = forecast({ ...vitals, cause: column.cause ?? null, leaveMs: 35_000 }, policy, steadyFleet);
    const line = next === null ? 'nothing' : `${next.state} after ${seconds(next.afterMs)}`;
    return tableRow(column.title, line, next?.unless ?? '–');
  });
}

const seconds = (ms: number): string => `${ms / 1_000} s`;

/** When the history entered `phase`; `never` if it did not. */
function timeOf(chapters: readonly HistoryEntry[], phase: HistoryEntry[0]): string {
  const at = chapters.find(([reached]) => reached === phase)?.[1];
  return at === undefined ? 'never' : seconds(at);
}

const once = (now: number): readonly Event[] => (now === 0 ? PROVED : []);

/** The times of one preset, measured on an instance that is healthy at 0 and then fails. */
function timetable(terms: Policy): readonly string[] {
  const silent = run(terms, steadyFleet, once);
  const lastOne = run(terms, alone, once);
  const oneWay = run(terms, steadyFleet, (now) => (now === 0 ? PROVED : [{ type: 'heartbeat-2' }]));
  const dead = run(terms, steadyFleet, (now) => (now === 0 ? [...PROVED, { type: 'proof', text: 'E' }] : []));
  const unproved = run(terms, steadyFleet, () => []);
  return [
    seconds(terms.intervalMs),
    seconds(terms.timeoutMs),
    ...OUT.map((phase) => timeOf(silent, phase)),
    timeOf(lastOne, 'CRITICAL'),
    ...OUT.slice(0, 3).map((phase) => timeOf(oneWay, phase)),
    ...OUT.slice(1).map((phase) => timeOf(dead, phase)),
    timeOf(unproved, 'CRITICAL'),
  ];
}

const OUT = ['UNHEALTHY', 'CRITICAL', 'DEREGISTERING', 'REMOVED'] as const;

function times(): readonly string[] {
  const titles = [
    'a heartbeat of each direction every',
    'a call may take',
    ...OUT.map((phase) => `silent in both directions: ${phase} after`),
    'the last callable one of its service: CRITICAL after',
    ...OUT.slice(0, 3).map((phase) => `silent in one direction, while another is HEALTHY: ${phase} after`),
    ...OUT.slice(1).map((phase) => `proof of death: ${phase} after`),
    'never proved: CRITICAL after',
  ];
  const columns = PRESET_NAMES.map((name) => timetable({ ...DEFAULT_POLICY, ...PRESETS[name] }));
  return [
    ...tableHead('', ...PRESET_NAMES.map((name) => `\`${name}\``)),
    ...titles.map((title, index) => tableRow(title, ...columns.map((column) => column[index] ?? ''))),
  ];
}

/** When each reason is given; the table of the lifecycle shows the states before and after. */
const GIVEN: Readonly<Record<ReasonCode, string>> = {
  NEW: 'at the first registration',
  BOTH_WAYS_OK:
    'by a proof: the first one of a new instance, else the second in a row (the fifth while it is flapping)',
  INBOUND_SILENT:
    'no Heartbeat-1 was answered on every endpoint for 2 intervals + timeout, or two calls in a row failed',
  INBOUND_REFUSED:
    'a call was refused; also where a proof of death is taken back, by a Heartbeat-2 or because most others also refuse',
  OUTBOUND_SILENT:
    'no Heartbeat-2 for 2 intervals + timeout, or it was considered dead or gone and answers Heartbeat-1 again',
  SILENT: 'both directions are silent',
  UNPROVED: 'never proved both ways for 6 intervals after it registered',
  PROOF_OF_DEATH:
    'refused on every endpoint, after its line was closed by its side and without a Heartbeat-2 since; kept on the way out',
  PRESERVED: 'silence would make it CRITICAL, but self-preservation forbids it; the text says why',
  LAST: 'it would be, or is, CRITICAL, but not by proof; one direction is alive, and no other instance of its service is callable',
  RESCUED: 'a Heartbeat-2 or its registration arrived while it was DEREGISTERING',
  MOVED: 'it registered again with other endpoints',
  ADDRESS_SHARED: 'probed twice, its address answered once with its id and once with that of another instance',
  ADDRESS_TAKEN:
    'it registered an address at which another instance answers, and was never proved there; it may register again',
  LEAVING: 'it reported that it drains',
  GOODBYE: 'it deregistered itself; or while it was leaving its time ran out, or its address refused',
  OPERATOR: 'an operator removed it',
  SUPERSEDED: 'another instance answers at its address, and its line is closed',
};

/** Reasons that the registry gives outside the lifecycle. */
const OUTSIDE: readonly (readonly [ReasonCode, string])[] = [
  ['NEW', 'REGISTERING'],
  ['ADDRESS_TAKEN', 'removed'],
];

/** The phases in which a reason occurs, in the order of the removal. */
function phasesOf(code: ReasonCode): readonly string[] {
  const given = ROWS.flatMap((row) => [...COLUMNS, ...VARIANTS].flatMap((column) => meet(row, column).given));
  const found = new Set([...OUTSIDE, ...given].filter(([reason]) => reason === code).map(([, phase]) => phase));
  return ['REGISTERING', 'HEALTHY', ...OUT.slice(0, 3), 'LEAVING', 'removed'].filter((phase) => found.has(phase));
}

const INTRODUCTION = `# States

Generated from \`packages/core/src/lifecycle/lifecycle.ts\` by \`states-doc.test.ts\`, and held to it by the same test: do not edit.

| state | means | gets calls |
|---|---|---|
| REGISTERING | known, not yet proved both ways | only if there is no better instance |
| HEALTHY | both directions proved for this very process | yes |
| UNHEALTHY | a direction fails | only if there is no better instance |
| CRITICAL | numerous misses, or proof of death: the first step of the removal | no |
| DEREGISTERING | the last step; saved only by a Heartbeat-2 or a registration | no |
| LEAVING | an intended DEREGISTERING: on the wire \`DEREGISTERING\` with the reason \`LEAVING\`; nothing reverts it | no new ones |

*Proved both ways*: Heartbeat-1 answered, and a Heartbeat-2 that quotes it. *Proof of death*: refused on every endpoint, after the
peer closed its line and without a Heartbeat-2 since. *Callable*, here: HEALTHY or UNHEALTHY, and enabled (callers also call a
REGISTERING one if there is no better instance). *Permitted*: by self-preservation, which lets silence remove only a few instances, and
none while most are silent.

*One direction silent*: the other one is not, and did not return within the last interval + timeout. While both are silent they count
together, from the last heartbeat of either.

*Not heard since the restart, refused, its host proved*: a store restored it, and this registry process has had no heartbeat, line
or registration from it; the last consecutive probes were refused on every endpoint, for 1.5 intervals or more, while another instance on
each of its hosts was HEALTHY and proved both ways by this process; and the registry does not doubt its own network. It was gone before
the registry started, so it takes the steps of silence without a permit, and does not count among the silent (decisions/0021).

## What each event does

Every state × event pair. *noted*: clocks or counters change, nothing is published. *–*: nothing changes. *for good*: the id
is never accepted again (410). A leaving instance that registers again is refused (409) beforehand.
`;

function document(): string {
  const { flappingLimit, flappingProofs, flappingHalfLifeMs, proofs } = policy;
  return [
    INTRODUCTION,
    ...pairs(),
    '',
    '## What comes next, if nothing else happens',
    '',
    'With the default policy (5 s interval, 2 s timeout), right after the state was entered, while others are HEALTHY.',
    '',
    '| state | next | unless |',
    '|---|---|---|',
    ...forecasts(),
    '',
    'The step from CRITICAL is due after 1 interval by proof, else after 2 and only while both directions are silent. The',
    'removal is due 1 interval after DEREGISTERING, or when a leaving instance has used its time (its deadline + 1 interval).',
    '',
    '## The presets, in seconds',
    '',
    'Counted from the last heartbeat (proof, registration), as long as self-preservation permits it; the registry evaluates 50 times an',
    'interval, but at most every 100 ms. Every threshold is an option, counted in intervals (docs/OPTIONS.md, `thresholds`).',
    '',
    ...times(),
    '',
    'A heartbeat is one moment of an interval, so silence looks up to an interval longer than it is. A process that stops for less than',
    '`criticalAfter` - 1 intervals + timeout (12 s, 2.4 s, 35 s) and then continues never becomes CRITICAL for that; between that and',
    '`criticalAfter` intervals + timeout it depends on how long before the stop its last heartbeats were.',
    '',
    '## Flapping',
    '',
    `Each fall from HEALTHY to UNHEALTHY or CRITICAL adds 1 to a score that halves every ${flappingHalfLifeMs / 60_000} minutes. While the score is above`,
    `${flappingLimit}, the instance is flapping, and the way back to HEALTHY takes ${flappingProofs} consecutive proofs instead of ${proofs}. A failed probe`,
    'between two proofs resets the count of proofs. Only time lowers the score of falls, not recovery.',
    '',
    '## Reasons',
    '',
    'Always `{ code, text }`; the text is this sentence, followed by what was observed (an error verbatim, an address).',
    '',
    '| code | text | given when | found in |',
    '|---|---|---|---|',
    ...REASON_CODES.map((code) => tableRow(`\`${code}\``, REASON_TEXTS[code], GIVEN[code], phasesOf(code).join(', '))),
    '',
  ].join('\n');
}

/** The cell without its reason, which may be kept from an earlier state. */
const withoutReason = (text: string): string => text.replace(/`[A-Z_]+`/, '');

describe('docs/STATES.md', () => {
  it('describes the lifecycle for every state and event', () => {
    const made = document();
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
    expect(existsSync(DOC) ? readFileSync(DOC, 'utf8') : '').toBe(made);
  });

  it('has a row for every type of event', () => {
    const types = new Set(ROWS.map(({ event }) => event.type));
    const all: Record<Event['type'], true> = {
      'heartbeat-1': true,
      'heartbeat-2': true,
      line: true,
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

  it('has a column for every phase, and for every cause of CRITICAL', () => {
    const phases: Record<Phase, true> = {
      REGISTERING: true,
      HEALTHY: true,
      UNHEALTHY: true,
      CRITICAL: true,
      DEREGISTERING: true,
      LEAVING: true,
    };
    const causes: Record<Cause, true> = { proof: true, silence: true, 'one-way': true, unproved: true };
    const columns = [...COLUMNS, ...VARIANTS];
    expect(new Set(columns.map(({ phase }) => phase))).toEqual(new Set(Object.keys(phases)));
    const critical = columns.filter(({ phase }) => phase === 'CRITICAL');
    expect(new Set(critical.map(({ cause }) => cause))).toEqual(new Set(Object.keys(causes)));
  });

  it.each(VARIANTS)('describes $title the same by $cause, except for a kept reason', (variant) => {
    const column = COLUMNS.find(({ title }) => title === variant.title)!;
    for (const row of ROWS)
      expect(withoutReason(meet(row, variant).text), row.title).toBe(withoutReason(meet(row, column).text));
  });

  it('lists the phases of every reason', () => {
    for (const code of REASON_CODES) expect(phasesOf(code), code).not.toEqual([]);
  });

  it('has no deadline for a state that does not end by time in the table', () => {
    const healthy = COLUMNS.find(({ phase }) => phase === 'HEALTHY')!;
    expect(due(vitalsOf(healthy), NOW, policy, steadyFleet)).toBeNull();
  });
});
