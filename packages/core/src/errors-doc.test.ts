import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ERROR_CODES } from './errors.js';

it('docs/ERRORS.md has an entry for every code, and for no other', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../docs/ERRORS.md', import.meta.url)), 'utf8');
  const entries = [...page.matchAll(/^### (\w+)$/gm)].map(([, code]) => code);
  expect(entries.toSorted()).toEqual([...ERROR_CODES].toSorted());
});
