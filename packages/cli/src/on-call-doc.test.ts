import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { flagsIn } from './commands/completion.js';
import { COMMANDS } from './run.js';

const page = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../docs/guide/${name}.md`, import.meta.url)), 'utf8');

/** Every command line that a page has in its text. */
const typedIn = (name: string): readonly string[] =>
  [...page(name).matchAll(/`rollcall ([^`]+)`/g)].map(([, line = '']) => line);

it('docs/guide/on-call.md names only existing commands and options', async () => {
  const lines = typedIn('on-call');
  expect(lines.length).toBeGreaterThan(20);
  for (const line of lines) {
    const [name = '', ...words] = line.split(' ');
    const entry = COMMANDS[name];
    expect(entry, line).toBeDefined();
    const known = flagsIn((await entry?.load())?.help ?? '');
    expect(
      words.filter((word) => /^--?[a-z]/i.test(word) && !known.includes(word)),
      line,
    ).toEqual([]);
  }
});

it('docs/guide/on-call.md has the meaning and the action for every symptom', () => {
  const rows = page('on-call')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('|---'));
  for (const row of rows) {
    const cells = row.split('|').slice(1, -1);
    expect(
      cells.filter((cell) => cell.trim().length < 3),
      row,
    ).toEqual([]);
  }
});

it('docs/guide/glossary.md has one line for each word, in two columns, and no word twice', () => {
  const rows = page('glossary')
    .split('\n')
    .filter((line) => /^\| (?!our word)/.test(line));
  const words = rows.map((row) => {
    const cells = row.split('|').slice(1, -1);
    expect(cells, row).toHaveLength(2);
    return cells[0]?.trim();
  });
  expect(new Set(words).size).toBe(words.length);
  expect(words.length).toBeGreaterThan(40);
});
