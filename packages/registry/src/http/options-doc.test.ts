import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { optionRows } from '@rollcall/core';
import type { OptionFields } from '@rollcall/core';
import { tableHead, tableRow, withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { diskFields } from '../store/disk/disk.js';
import { registryFields } from './start-options.js';

/** `UPDATE_DOCS=1 npx vitest run options-doc` regenerates it. */
const DOC = fileURLToPath(new URL('../../../../docs/OPTIONS.md', import.meta.url));

function tableOf(fields: OptionFields): string {
  const rows = optionRows(fields).map((row) => tableRow(`\`${row.name}\``, row.default, row.allowed, row.doc));
  return [...tableHead('option', 'default', 'allowed', 'what it does'), ...rows].join('\n');
}

it('docs/OPTIONS.md shows every option of the registry and of its store on disk', () => {
  const tables = new Map([
    ['registry', tableOf(registryFields)],
    ['disk', tableOf(diskFields)],
  ]);
  const made = withGenerated(readFileSync(DOC, 'utf8'), tables);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  for (const table of tables.values()) expect(made).toContain(`${table}\n\n<!-- end -->`);
});
