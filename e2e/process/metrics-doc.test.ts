import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Rollcall } from '@rollcall/client';
import { memoryMeter, tableHead, tableRow, withGenerated } from '@rollcall/core/testing';
import type { MemoryMeter } from '@rollcall/core/testing';
import { RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { beforeAll, describe, expect, it } from 'vitest';

// Compares docs/METRICS.md, the alerts and the dashboard with the metrics in the code. `UPDATE_DOCS=1 npx vitest run
// metrics-doc` writes the tables again, from the last build.

const root = fileURLToPath(new URL('../..', import.meta.url));
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const DOC = 'docs/METRICS.md';
const OPERATIONS = 'docs/guide/operations.md';
const DASHBOARD = 'deploy/grafana/rollcall.json';
const ALERTS = 'deploy/prometheus/alerts.yml';

const HEAD = tableHead('name', 'kind', 'labels', 'what it tells');
const tableOf = (rows: readonly string[]): string => [...HEAD, ...rows].join('\n');
const namesIn = (text: string): readonly string[] => [
  ...new Set(text.match(/\b(?:rollcall|process)_[a-z0-9_]+[a-z0-9]\b/g)),
];
/** Without the suffix of a histogram. */
const counted = (name: string): string => name.replace(/_(?:bucket|sum|count)$/, '');

/** The metric names in the sources, so that an instrument which is created late is not overlooked. */
function namesInSources(): readonly string[] {
  const folders = ['core', 'client', 'nestjs', 'registry', 'cli'].map((name) => `packages/${name}/src`);
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  );
  const sources = files.filter((file) => file.endsWith('.ts') && !/\.(test|fixture)\.ts$|contract\.ts$/.test(file));
  const names = sources.flatMap((file) => textOf(file).match(/(?<=')(?:rollcall|process)_[a-z0-9_]+(?=')/g) ?? []);
  return [...new Set(names)].toSorted();
}

/** The rows of the second that the first does not have. */
const rowsBeside = (first: MemoryMeter, second: MemoryMeter): readonly string[] =>
  second.rows().filter((row) => !first.rows().includes(row));

let tables: ReadonlyMap<string, readonly string[]>;
const names = (): readonly string[] => [...tables.values()].flat().map((row) => /`(\w+)`/.exec(row)?.[1] ?? row);

beforeAll(async () => {
  const [ofClient, ofNest, ofRegistry] = [memoryMeter(), memoryMeter(), memoryMeter()];
  const registry = await startTestRegistry({ meter: ofRegistry });
  const shown = await (await fetch(`${registry.url}/metrics`)).text();
  await new Rollcall({}, { meter: ofClient }).close();
  @Module({
    imports: [RollcallModule.forRoot({ service: 'orders', registry: registry.url, meter: ofNest })],
  })
  class AppModule {}
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  await app.close();
  await registry.close();
  const ofProcess = [...shown.matchAll(/^# HELP (process_\w+) (.*)\n# TYPE \w+ (\w+)$/gm)].map(
    ([, name = '', help = '', kind = '']) => tableRow(`\`${name}\``, kind, '', help),
  );
  tables = new Map([
    ['client', ofClient.rows()],
    ['nestjs', rowsBeside(ofClient, ofNest)],
    ['registry', ofRegistry.rows()],
    ['process', ofProcess],
  ]);
});

describe('docs/METRICS.md', () => {
  it('lists every metric', () => {
    const parts = new Map([...tables].map(([name, rows]) => [name, tableOf(rows)]));
    const made = withGenerated(textOf(DOC), parts);
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(join(root, DOC), made);
    expect(textOf(DOC)).toBe(made);
    for (const rows of tables.values()) expect(made).toContain(`${rows.at(-1)}\n\n<!-- end -->`);
  });

  it('knows every metric name in the sources', () => {
    expect(namesInSources()).toEqual(names().toSorted());
  });

  it('mentions no metric that does not exist', () => {
    const known = names();
    expect(namesIn(textOf(DOC)).filter((name) => !known.includes(counted(name)))).toEqual([]);
  });

  it.each([ALERTS, 'deploy/prometheus/alerts.test.yml', DASHBOARD, OPERATIONS, 'docs/guide/monitoring.md'])(
    'has all that %s uses',
    (path) => {
      const known = names();
      const used = namesIn(textOf(path)).map(counted);
      expect(used.length).toBeGreaterThan(0);
      expect(used.filter((name) => !known.includes(name))).toEqual([]);
    },
  );
});

describe('each alert', () => {
  const alerts = [...textOf(ALERTS).matchAll(/^ +- alert: (\w+)$/gm)].map(([, name = '']) => name);

  it('is described in the page on operations, to which it links, and no other is', () => {
    const described = [...textOf(OPERATIONS).matchAll(/^### (Rollcall\w+)$/gm)].map(([, name = '']) => name);
    expect(described).toEqual(alerts);
    const runbooks = [...textOf(ALERTS).matchAll(/^ +runbook: (\S+)$/gm)].map(([, link]) => link);
    expect(runbooks).toEqual(alerts.map((name) => `${OPERATIONS}#${name.toLowerCase()}`));
    expect(alerts.length).toBeGreaterThan(8);
  });

  it('has a test of its rule, in which it fires and in which it does not', () => {
    const tests = textOf('deploy/prometheus/alerts.test.yml').split(/^ {2}# /m);
    for (const name of alerts) {
      const own = tests.find((test) => test.startsWith(`${name}\n`)) ?? '';
      expect([name, own.match(/exp_labels:/g)?.length, own.match(/exp_alerts: \[\]/g)?.length]).toEqual([name, 1, 1]);
    }
  });
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

describe('the dashboard for Grafana', () => {
  const { panels } = JSON.parse(textOf(DASHBOARD)) as { readonly panels: readonly Panel[] };

  it('has a row each for the registry, services and calls, and a query in every panel', () => {
    const rows = panels.filter(({ type }) => type === 'row');
    expect(rows.map(({ title }) => title)).toEqual(['Registry', 'Services', 'Calls']);
    const others = panels.filter(({ type }) => type !== 'row');
    expect(
      others.filter(({ targets = [] }) => targets.length === 0 || targets.some(({ expr }) => expr === '')),
    ).toEqual([]);
  });

  it('has panels that lie beside each other, each with an id of its own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)} ${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});
