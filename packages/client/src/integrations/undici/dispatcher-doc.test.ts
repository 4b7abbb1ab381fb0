import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { optionRows } from '@rollcall/core';
import { tableHead, tableRow, withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { dispatcherFields } from './dispatcher.js';

/** `UPDATE_DOCS=1 npx vitest run dispatcher-doc` regenerates it. */
const DOC = fileURLToPath(new URL('../../../../../docs/OPTIONS.md', import.meta.url));

it('docs/OPTIONS.md lists every option of a dispatcher', () => {
  const rows = optionRows(dispatcherFields).map((row) =>
    tableRow(`\`${row.name}\``, row.default, row.allowed, row.doc),
  );
  const table = [...tableHead('option', 'default', 'allowed', 'what it does'), ...rows].join('\n');
  const made = withGenerated(readFileSync(DOC, 'utf8'), new Map([['dispatcher', table]]));
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  expect(made).toContain(`${rows.at(-1)}\n\n<!-- end -->`);
});
