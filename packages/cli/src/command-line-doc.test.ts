import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { startFixedRegistry } from './fixed-registry.fixture.js';
import { flagsIn } from './commands/completion.js';
import { scoreLines } from './render/call-score.js';
import { COMMANDS, run } from './run.js';
import { createTestShell } from './terminal/shell.fixture.js';

/** `UPDATE_DOCS=1 npx vitest run command-line-doc` writes its generated parts again. */
const DOC = fileURLToPath(new URL('../../../docs/guide/command-line.md', import.meta.url));

/** The command lines that the page shows with their output, by the name of their part. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  ls: ['ls'],
  'ls-wide': ['ls', 'orders', '-o', 'wide'],
  show: ['show', 'orders…1e07'],
  events: ['events', '--service', 'orders'],
  graph: ['graph'],
  drain: ['drain', 'orders…1e07', '--reason', 'new disk', '--until', '2h'],
};

const fenced = (text: string): string => ['```text', text, '```'].join('\n');

async function printed(argv: readonly string[], url?: string): Promise<string> {
  const shell = createTestShell(url === undefined ? {} : { ROLLCALL_URL: url });
  expect(await run(argv, shell)).toBe(0);
  return shell.outLines.join('\n');
}

/** The same on every day and every machine. */
function withFixedTimes(text: string): string {
  return (
    text
      // after midnight some of it is of yesterday, and the rows beside it are padded
      .replaceAll(/(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(?: {11})?/g, '14:02:23')
      .replaceAll(/\d+ s ago/g, '2 s ago')
      .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'http://127.0.0.1:1337')
  );
}

/** A thousand calls that went as they go when one instance refuses now and then. */
function scoreExample(): readonly string[] {
  const instances = [
    { instance: 'orders…1e07', attempts: 417, failed: 3, p50Ms: 1.2, p99Ms: 4.4 },
    { instance: 'orders…b2c4', attempts: 586, failed: 0, p50Ms: 1, p99Ms: 3.9 },
  ];
  const sum = { calls: 1_000, failed: 0, wentElsewhere: 3, seconds: 0.19, p50Ms: 1.1, p99Ms: 4.2 };
  return scoreLines({ ...sum, instances, errors: [] }, (id) => id);
}

it('docs/guide/command-line.md has the output of the commands', async () => {
  const { url, server } = await startFixedRegistry();
  const parts = new Map<string, string>([['help', fenced(await printed(['help']))]]);
  for (const name of Object.keys(COMMANDS)) parts.set(`help-${name}`, fenced(await printed([name, '--help'])));
  for (const [name, argv] of Object.entries(SHOWN)) {
    const line = `$ rollcall ${argv.map((word) => (/[ "]/.test(word) ? `"${word}"` : word)).join(' ')}`;
    parts.set(`output-${name}`, fenced(`${line}\n${withFixedTimes(await printed(argv, url))}`));
  }
  server.close();
  parts.set(
    'output-call',
    fenced([`$ rollcall call orders find '{"id":"7"}' -n 1000 -c 10`, ...scoreExample()].join('\n')),
  );
  const updated = withGenerated(readFileSync(DOC, 'utf8'), parts);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, updated);
  expect(readFileSync(DOC, 'utf8')).toBe(updated);
  // every part is in the page, and the page has no other generated part
  for (const part of parts.values()) expect(updated).toContain(`${part}\n\n<!-- end -->`);
  const names = [...updated.matchAll(/<!-- generated: ([\w-]+) -->/g)].map(([, name]) => name);
  expect(names.filter((name) => name === undefined || !parts.has(name))).toEqual([]);
});

it('docs/guide/command-line.md has a heading for each command, and names only existing options', async () => {
  const page = readFileSync(DOC, 'utf8');
  const headings = [...page.matchAll(/^### `rollcall ([a-z]+)/gm)].map(([, name = '']) => name);
  expect(headings.toSorted()).toEqual(Object.keys(COMMANDS).toSorted());
  const helps = await Promise.all(Object.keys(COMMANDS).map((name) => printed([name, '--help'])));
  const known = new Set(helps.flatMap(flagsIn));
  const named = [...page.matchAll(/`(--[a-z][a-z-]*)/g)].map(([, flag = '']) => flag);
  expect(named.filter((flag) => !known.has(flag))).toEqual([]);
  expect(named.length).toBeGreaterThan(10);
});
