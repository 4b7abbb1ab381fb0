import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PRESETS } from '@rollcall/core';
import type { Preset } from '@rollcall/core';
import { tableHead, tableRow, withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../instances/limits.js';
import { budgetsOf, capacityOf } from './host-budget.js';
import type { Workload } from './host-budget.js';
import type { HostFacts } from './host-facts.js';

/** `UPDATE_DOCS=1 npx vitest run sizing-doc` regenerates its tables. */
const DOC = fileURLToPath(new URL('../../../../docs/SIZING.md', import.meta.url));

const workload = (preset: Preset, freshEvery: number, isLocal: boolean): Workload => ({
  ...PRESETS[preset],
  freshEvery,
  isLocal,
  maxCalls: DEFAULT_LIMITS.maxCalls,
});
/** Column heads and their values. */
const COLUMNS: readonly (readonly [string, Preset, number])[] = [
  ['`default`, 5 s', 'default', 1],
  ['… `freshEvery: 10`', 'default', 10],
  ['`fast`, 1 s', 'fast', 1],
  ['… `freshEvery: 10`', 'fast', 10],
  ['`relaxed`, 15 s', 'relaxed', 1],
];
const HEADS = COLUMNS.map(([head]) => head);
const numberText = (count: number): string => Math.round(count).toLocaleString('en-US');

/** A host with all facts known: the defaults of most Linux systems, unless a test overrides them. */
const LINUX: HostFacts = {
  openFiles: 1_048_576,
  localPorts: 28_232,
  timeWaits: 131_072,
  reusesTimeWaits: false,
  trackedConnections: 262_144,
  trackedTimeWaitMs: 120_000,
  acceptQueue: 4_096,
};
const UNKNOWN: HostFacts = {
  openFiles: null,
  localPorts: null,
  timeWaits: null,
  reusesTimeWaits: false,
  trackedConnections: null,
  trackedTimeWaitMs: null,
  acceptQueue: null,
};

function needs(): string {
  const load = { instances: 1_000, watchers: 1_000 };
  const columns = COLUMNS.map(([, preset, freshEvery]) => {
    const work = workload(preset, freshEvery, true);
    const perSecond = (2 * load.instances * 1_000) / (work.intervalMs * freshEvery);
    return [perSecond, ...budgetsOf(work, LINUX).map(({ need }) => need(load))].map(numberText);
  });
  const names = [
    'new connections per second',
    ...budgetsOf(workload('default', 1, true), LINUX).map(({ name }) => name),
  ];
  return table('1,000 instances need', names, columns);
}

function capacities(): string {
  const hosts: readonly (readonly [string, Partial<HostFacts>])[] = [
    ['1,024 open files', { openFiles: 1_024 }],
    ['20,000 open files', { openFiles: 20_000 }],
    ['65,536 open files', { openFiles: 65_536 }],
    ['a firewall’s table of 65,536', { trackedConnections: 65_536 }],
    ['a firewall’s table of 262,144', { trackedConnections: 262_144 }],
    ['a firewall’s table of 1,048,576', { trackedConnections: 1_048_576 }],
    ['an accept queue of 4,096', { acceptQueue: 4_096 }],
  ];
  const columns = COLUMNS.map(([, preset, freshEvery]) =>
    hosts.map(([, facts]) => {
      const capacity = capacityOf(workload(preset, freshEvery, false), { ...UNKNOWN, ...facts });
      return numberText(capacity?.instances ?? NaN);
    }),
  );
  return table(
    'so many instances are carried by',
    hosts.map(([name]) => name),
    columns,
  );
}

/** Measured: see the page. CPU in % of a core, on fast and slow machines; memory beyond that of an empty registry. */
const PER_1_000 = { leastPercent: 5, maxPercent: 7, megabytes: 17, megabytesPerSecond: 0.4 };
const EMPTY_MEGABYTES = 85;
const FLEETS = [200, 1_000, 5_000, 15_000];

/** A whole host for fleets of several sizes, with the preset `default`. */
function fleets(): string {
  const budgets = budgetsOf(workload('default', 1, false), LINUX);
  const rows = FLEETS.map((instances) => {
    const needOf = (wanted: string): number =>
      budgets.find(({ name }) => name.startsWith(wanted))?.need({ instances, watchers: instances }) ?? NaN;
    const share = instances / 1_000;
    return tableRow(
      numberText(instances),
      `${numberText(share * PER_1_000.leastPercent)} to ${numberText(Math.min(100, share * PER_1_000.maxPercent))} %`,
      `${numberText(EMPTY_MEGABYTES + share * PER_1_000.megabytes)} MB`,
      `${(share * PER_1_000.megabytesPerSecond).toFixed(share < 1 ? 2 : 1)} MB/s`,
      numberText(needOf('open files')),
      numberText(needOf('connections in the table of the firewall')),
    );
  });
  const head = tableHead('instances', 'of one core', 'memory', 'traffic', 'open files', 'firewall’s table');
  return [...head, ...rows].join('\n');
}

function table(corner: string, names: readonly string[], columns: readonly (readonly string[])[]): string {
  const rows = names.map((name, index) => tableRow(name, ...columns.map((column) => column[index] ?? '')));
  return [...tableHead(corner, ...HEADS), ...rows].join('\n');
}

it('docs/SIZING.md states the figures that the registry uses', () => {
  const tables = new Map([
    ['fleets', fleets()],
    ['needs', needs()],
    ['capacities', capacities()],
  ]);
  const made = withGenerated(readFileSync(DOC, 'utf8'), tables);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  for (const part of tables.values()) expect(made).toContain(`${part}\n\n<!-- end -->`);
});
