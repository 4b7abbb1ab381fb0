import type { Instance } from '@rollcall/core';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, startFleetRegistry, LONGEST_NAME, LONGEST_NAMESPACE } from '../fleet.fixture.js';
import type { Edge } from '../registry/traffic.js';
import { run } from '../run.js';
import { columnsOf, shortenedName } from '../terminal/columns.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import type { TestTerminal } from '../terminal/shell.fixture.js';
import { Testbed } from '../testbed.fixture.js';
import type { View } from './instance-table.js';
import { countsOf, outageText } from './outages.js';
import { renderView } from './view.js';

const NOW = Date.now();
const INSTANCES = createFleet(200, NOW);
const WIDTHS = [80, 100, 160, 200];

let url = '';
let server: Server;
beforeAll(async () => {
  ({ url, server } = await startFleetRegistry(INSTANCES, 'namespaces'));
});
afterAll(() => void server.close());

async function printed(terminal: TestTerminal, ...argv: readonly string[]) {
  const shell = createTestShell({ ROLLCALL_URL: url }, terminal);
  const code = await run(argv, shell);
  return { code, lines: shell.outLines, err: shell.errLines.join('\n') };
}

const tooWide = (lines: readonly string[], width: number): readonly string[] =>
  lines.filter((line) => columnsOf(line) > width);

describe.each(WIDTHS)('names of 63 characters in namespaces of 63, at %d columns', (width) => {
  it.each([[['ls', '-A']], [['ls', '-A', '--all']], [['ls', LONGEST_NAME, '-A']]])('fit in %j', async (argv) => {
    const { code, lines } = await printed({ width, height: 40 }, ...argv);
    expect(code).toBe(0);
    expect(tooWide(lines, width)).toEqual([]);
    const rows = lines.filter((line) => /^. [A-Z]+ +(yes|no) {2,}/.test(line));
    expect(rows.length).toBeGreaterThanOrEqual(5);
    // state, callability, the beginning of the namespace and of the service, and the end of the id
    const row = /^. [A-Z]+ +(yes|no) +(def|tea)[\w-]*…?\/[a-z][\w-]*…\d{4,} .*(?:\d (?:s|min|h|d)|–) /;
    expect(rows.filter((line) => !row.test(line))).toEqual([]);
  });

  it('resolve as they are cut', async () => {
    const { lines } = await printed({ width, height: 40 }, 'ls', LONGEST_NAME, '-A');
    const names = lines.flatMap((line) => /^. [A-Z]+ +(?:yes|no) +(\S+)/.exec(line)?.[1] ?? []);
    expect(names).toHaveLength(5);
    for (const name of names) {
      const shown = await printed({ width, height: 40 }, 'show', name);
      expect([name, shown.code, shown.err]).toEqual([name, 0, '']);
      expect(tooWide(shown.lines, width)).toEqual([]);
      expect(shown.lines.join('').replaceAll(/\s/g, '')).toContain(LONGEST_NAME);
    }
  });

  it('fit in the picture of one service, with the numbers of each edge, and it is no higher than the terminal', () => {
    const edges = Array.from({ length: 30 }, (_, index) => edge(`gateway-${'z'.repeat(50)}-${index}`, LONGEST_NAME));
    for (const height of [10, 24, 50]) {
      const lines = renderView(viewOf(INSTANCES.slice(0, 5), { edges }), screenOf(width, height));
      expect(tooWide(lines, width)).toEqual([]);
      expect(lines.length).toBeLessThanOrEqual(height - 1);
      const numbers = lines.filter((line) => /success 90\.00 % +1 of 10 failed +p99 42 ms/.test(line));
      expect(numbers.length).toBeGreaterThanOrEqual(1);
      expect(lines.filter((line) => /tea.*gateway.* → payments/.test(line))).toHaveLength(numbers.length);
      expect(lines.join('\n')).toContain(`and ${30 - numbers.length} more edges`);
    }
  });

  it('fit in the verdict, which keeps its statement', () => {
    const dead = INSTANCES.slice(0, 2).map((instance) => ({ ...instance, admin: 'DRAINING' as const }));
    const [one] = dead;
    if (one !== undefined)
      expect(verdictAt(width, [one])).toMatch(/^No instance of default\S* may be called: 1 drained\.$/);
    expect(verdictAt(width, dead)).toMatch(/^No instance of (2 services|default\/payments\S+, team\S+) may be called/);
  });
});

const edge = (from: string, to: string): Edge => ({
  namespace: LONGEST_NAMESPACE,
  from,
  to,
  perSecond: 2,
  calls: 10,
  failures: 1,
  retries: 2,
  p99Ms: 42,
  inFlight: 0,
  ageMs: 900,
  targets: [],
});

const viewOf = (instances: readonly Instance[], overrides: Partial<View> = {}): View => ({
  url: 'http://10.0.0.2:1337',
  isLive: true,
  lastMessageAt: NOW,
  revision: 48_213,
  hasNamespaces: true,
  instances,
  heartbeats: new Map(),
  ...overrides,
});

const screenOf = (width: number, height: number) => ({
  now: NOW,
  width,
  rows: Math.max(1, height - 6),
  lines: height - 1,
  isColoured: false,
  isUnicode: true,
});

const verdictAt = (width: number, instances: readonly Instance[]): string =>
  renderView(viewOf(instances), screenOf(width, 24))[1] ?? '';

/** The lines above the table. */
const above = (lines: readonly string[]): readonly string[] =>
  lines.slice(
    0,
    lines.findIndex((line) => line.startsWith('  STATE')),
  );

describe('many services that are not fully callable', () => {
  const short = new Set(
    INSTANCES.filter(({ state, admin }) => state === 'CRITICAL' || admin !== 'ENABLED').map(
      ({ namespace, service }) => `${namespace}/${service}`,
    ),
  ).size;

  it('take 10 lines above the table on a terminal, those with the fewest callable instances first, and a count of the others', async () => {
    const { lines } = await printed({ height: 24 }, 'ls', '-A');
    const head = above(lines);
    expect(head).toHaveLength(11);
    expect(head[0]).toMatch(/: 0 of \d+ callable: /);
    expect(head.at(-1)).toBe(`… and ${short - 10} more services of which not all are callable`);
  });

  it('appear all in a pipe, and with --all', async () => {
    expect(above((await printed({}, 'ls', '-A')).lines)).toHaveLength(short);
    expect(above((await printed({ height: 24 }, 'ls', '-A', '--all')).lines)).toHaveLength(short);
  });

  it('appear as a count with --fail-on if more than ten have no callable instance', () => {
    const drained = INSTANCES.map((instance) => ({ ...instance, admin: 'DRAINING' as const }));
    expect(outageText(countsOf(drained))).toMatch(
      /^No instance of 200 services may be called: (\S+, ){9}\S+ and 190 more\.$/,
    );
  });
});

describe('a truncated name', () => {
  it('keeps the beginning of its namespace, that of its service, and its end', () => {
    expect(shortenedName('staging/orders…1e07', 30)).toBe('staging/orders…1e07');
    expect(shortenedName('staging/payments…1e07', 16)).toBe('staging/pay…1e07');
    expect(shortenedName('team-payments/gateway…1e07', 14)).toBe('tea…/gate…1e07');
    expect(shortenedName('team-payments/gateway…1e07', 8)).toBe('tea…1e07');
    expect(shortenedName('team-payments/cart…1e07', 17)).toBe('team-p…/cart…1e07');
  });
});

describe('services of one name in two namespaces', () => {
  let testbed: Testbed;
  beforeAll(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register('stock-77aa', 'stock');
    await testbed.register('stock-88bb', 'stock', { namespace: 'staging' });
    expect((await testbed.run('drain', 'staging/88bb')).code).toBe(0);
  });
  afterAll(() => testbed.close());

  it('count as two for programs', async () => {
    const { services } = JSON.parse((await testbed.run('ls', '-A', '-o', 'json')).out) as { services: unknown };
    expect(services).toMatchObject([
      { namespace: 'default', name: 'stock', instances: 1, callable: 1 },
      { namespace: 'staging', name: 'stock', instances: 1, callable: 0 },
    ]);
  });

  it('do not hide each other: watch and ls report an outage of one', async () => {
    const shell = createTestShell({ ROLLCALL_URL: testbed.url });
    const code = run(['watch', '-A'], shell);
    expect(await shell.errorLine(/No instance/)).toContain('No instance of staging/stock may be called: 1 drained.');
    shell.end();
    expect(await code).toBe(0);
    const { err } = await testbed.run('ls', '-A', '--fail-on', 'NOT_CALLABLE');
    expect(err).toContain('No instance of staging/stock may be called: 1 drained.');
  });

  it('make the common start of their namespaces ambiguous', async () => {
    await testbed.register('stock-99cc', 'stock', { namespace: 'stable' });
    expect(await testbed.run('show', 'sta…/st…88bb')).toMatchObject({
      code: 2,
      err: expect.stringContaining('"sta…" may be any of 2 namespaces: stable, staging'),
    });
    expect((await testbed.run('show', 'stag…/st…88bb')).out).toContain('stock-88bb');
  });
});

describe('a selection of instances', () => {
  it('gets no verdict about services on a terminal either: its order depends on states alone', async () => {
    const { lines } = await printed({ height: 24 }, 'ls', '-A', '--search', 'service');
    const states = lines.flatMap((line) => /^. ([A-Z]+) +(?:yes|no) {2}/.exec(line)?.[1] ?? []);
    expect(states).toHaveLength(200);
    expect(new Set(states)).toEqual(new Set(['CRITICAL']));
  });
});
