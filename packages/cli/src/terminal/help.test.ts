import { describe, expect, it } from 'vitest';
import { flagsIn } from '../commands/completion.js';
import { COMMANDS, run } from '../run.js';
import { columnsOf } from './columns.js';
import { createTestShell } from './shell.fixture.js';

async function helpAt(width: number, ...argv: readonly string[]): Promise<string> {
  const shell = createTestShell({}, { width });
  expect(await run(argv, shell)).toBe(0);
  return shell.outLines.join('\n');
}

/** Commands stay whole. */
const isTyped = (line: string): boolean => /^(Usage:|  +)(.*\| )?\s*rollcall /.test(line);

const TEXTS = [['help'], ...Object.keys(COMMANDS).map((name) => [name, '--help'])];

describe.each(TEXTS)('rollcall %s %s', (...argv) => {
  it.each([
    [40, 80],
    [80, 80],
    [93, 93],
    [120, 100],
    [300, 100],
  ])('fits a terminal of %d columns without a line of more than %d', async (width, maxWidth) => {
    const lines = (await helpAt(width, ...argv)).split('\n');
    expect(lines.filter((line) => columnsOf(line) > maxWidth && !isTyped(line))).toEqual([]);
    expect(lines.filter((line) => columnsOf(line) > 100)).toEqual([]);
  });

  it('keeps its text at every width', async () => {
    const [narrow, wide] = await Promise.all([80, 300].map((width) => helpAt(width, ...argv)));
    expect(narrow?.replaceAll(/\s+/g, ' ')).toBe(wide?.replaceAll(/\s+/g, ' '));
  });
});

describe('a help text', () => {
  it('wraps the text of a flag below itself, so that the flags stay in one column', async () => {
    const lines = (await helpAt(80, 'ls', '--help')).split('\n');
    const at = lines.findIndex((line) => line.includes('--fail-on'));
    const column = lines[at]?.indexOf('exit with') ?? 0;
    expect(column).toBeGreaterThan(10);
    expect(lines[at + 1]?.slice(0, column).trim()).toBe('');
    expect(lines[at + 1]?.charAt(column)).not.toBe(' ');
  });

  it('lists all flags at every width', async () => {
    for (const name of Object.keys(COMMANDS)) {
      expect(flagsIn(await helpAt(80, name, '--help'))).toEqual(flagsIn(await helpAt(100, name, '--help')));
    }
  });
});
