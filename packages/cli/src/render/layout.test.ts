import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, startFleetRegistry, LONGEST_NAME } from '../fleet.fixture.js';
import { run } from '../run.js';
import { columnsOf } from '../terminal/columns.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import type { Screen, View } from './instance-table.js';
import { renderView } from './view.js';

const NOW = Date.now();
const INSTANCES = createFleet(200, NOW);
const STATES = 'HEALTHY|UNHEALTHY|CRITICAL|REGISTERING|DEREGISTERING|DRAINING|MAINTENANCE';
const IS_ROW = new RegExp(`^. (${STATES}) `);
/** The line that those share that are HEALTHY. */
const IS_FOLDED = / \d+ of \d+ +callable: /;
/** Lines that may stand below the rows. */
const IS_FOOTER = /^(?:… and [\d,]+ more: |--all shows all |\d+ of \d+ services need attention\.$)/;
const WIDTHS = [80, 100, 160, 200];

const VIEW: View = {
  url: 'http://10.0.0.2:1337',
  isLive: true,
  lastMessageAt: NOW,
  revision: 48_213,
  instances: INSTANCES,
  heartbeats: new Map(),
};

const screenOf = (width: number, height: number): Screen => ({
  now: NOW,
  width,
  rows: Math.max(1, height - 6),
  lines: height - 1,
  isColoured: false,
  isUnicode: true,
});

let url = '';
let server: Server;
beforeAll(async () => {
  ({ url, server } = await startFleetRegistry(INSTANCES));
});
afterAll(() => void server.close());

async function printed(width: number, ...argv: readonly string[]): Promise<readonly string[]> {
  const shell = createTestShell({ ROLLCALL_URL: url }, { width, height: 40 });
  expect(await run(argv, shell)).toBe(0);
  return shell.outLines;
}

function expectToFit(lines: readonly string[], width: number): void {
  expect(lines.filter((line) => columnsOf(line) > width)).toEqual([]);
}

describe.each(WIDTHS)('at %d columns', (width) => {
  it.each([
    [['ls'], 200],
    [['ls', '--all', '-A'], 1_000],
    [['ls', '--instances', '--sort', 'version'], 200],
    [['ls', LONGEST_NAME], 5],
  ])('prints %j no wider, with state, callability and the end of the name of each instance', async (argv, count) => {
    const lines = await printed(width, ...argv);
    expectToFit(lines, width);
    // the lines above it list services that are not fully callable
    const [head = '', ...rows] = lines.slice(lines.findIndex((line) => line.startsWith('  STATE')));
    expect(head).toMatch(/^ {2}STATE +CALLABLE .*SINCE +WHY \/ NEXT$/);
    const firsts = rows.filter((line) => IS_ROW.test(line) && !IS_FOLDED.test(line));
    expect(firsts).toHaveLength(count);
    const others = rows.filter((line) => !IS_ROW.test(line) && !line.startsWith('        '));
    expect(others.filter((line) => !IS_FOOTER.test(line))).toEqual([]);
    const row = new RegExp(`^. (${STATES}) +(yes|no) +.*…\\d{4,} .*(?:\\d (?:s|min|h|d)|–) `);
    expect(firsts.filter((line) => !row.test(line))).toEqual([]);
    const at = head.indexOf('CALLABLE');
    expect(firsts.filter((line) => !/^(yes|no) /.test(line.slice(at)))).toEqual([]);
  });

  it('prints rollcall show no wider, without the loss of a fact', async () => {
    for (const instance of INSTANCES.slice(0, 5)) {
      const lines = await printed(width, 'show', instance.id);
      expectToFit(lines, width);
      expect(lines[0]).toMatch(new RegExp(`  (MAINTENANCE, its state: )?${instance.state}  `));
      const text = lines.join('').replaceAll(/\s/g, '');
      for (const fact of [
        instance.id,
        instance.version,
        `contact=${instance.metadata['contact'] ?? ''}`,
        'circuitopenat1',
      ]) {
        expect(text).toContain(fact.replaceAll(/\s/g, ''));
      }
    }
  });

  it('draws rollcall watch neither wider nor higher, the worst first', () => {
    for (const height of [10, 24, 50]) {
      const lines = renderView(VIEW, screenOf(width, height));
      expectToFit(lines, width);
      expect(lines.length).toBeLessThanOrEqual(height - 1);
      const states = lines.flatMap((line) => IS_ROW.exec(line)?.[1] ?? []);
      expect(states[0]).toBe('CRITICAL');
      expect(states.at(-1)).toBe('HEALTHY');
    }
  });
});

describe('rollcall watch at 80 × 24, of 200 services', () => {
  it('shows the worst first, and the number of others', () => {
    const lines = renderView(VIEW, screenOf(80, 24));
    const shown = lines.filter((line) => line.startsWith('▲ CRITICAL')).length;
    expect(shown).toBeGreaterThanOrEqual(8);
    const away = INSTANCES.filter(({ admin }) => admin !== 'ENABLED').length;
    expect(lines.at(-2)).toBe(
      `… and ${600 + away - shown} more: ${200 - shown} CRITICAL, 200 UNHEALTHY, 200 REGISTERING, ${away} MAINTENANCE`,
    );
    expect(lines.at(-1)).toMatch(new RegExp(`^● HEALTHY {8}${400 - away} of 1000 .* · … and 19\\d more$`));
  });

  it('shows all of a few, without a line for others', () => {
    const few = { ...VIEW, instances: INSTANCES.slice(0, 5) };
    expect(renderView(few, screenOf(80, 24)).join('\n')).not.toContain('more');
  });
});

describe('a truncated name', () => {
  it('resolves in the commands', async () => {
    const lines = await printed(80, 'ls', LONGEST_NAME);
    const [head = '', first = ''] = lines.slice(lines.findIndex((line) => line.startsWith('  STATE')));
    const name = first.slice(head.indexOf('INSTANCE')).split(' ')[0] ?? '';
    expect(name).toMatch(/^payments-x*…\d{4}$/);
    expect((await printed(80, 'show', name)).join('')).toContain(LONGEST_NAME);
  });
});

describe('output for programs', () => {
  it('keeps whole names and versions in -o json and -o wide, however narrow the terminal is', async () => {
    const [json = ''] = await printed(80, 'ls', '-o', 'json', '--instances');
    const wide = (await printed(80, 'ls', '-o', 'wide', '--all', '--instances')).join('\n');
    for (const { id, version } of INSTANCES.slice(0, 15)) {
      expect(json).toContain(`"id":"${id}"`);
      expect(json).toContain(JSON.stringify(version));
      expect(wide).toContain(`${id}  `);
      expect(wide).toContain(`${version}  `);
    }
  });

  it('keeps the columns of -o wide aligned, also after wide characters', async () => {
    const lines = await printed(80, 'ls', '-o', 'wide', '--all', '--instances');
    const at = lines[0]?.indexOf('CALLABLE') ?? 0;
    expect(lines.at(-1)).toBe('200 of 200 services need attention.');
    const places = lines.slice(1, -1).map((line) => columnsOf(/^.*?(?= (?:yes|no) {2})/.exec(line)?.[0] ?? '') + 1);
    expect(new Set(places)).toEqual(new Set([at]));
  });
});
