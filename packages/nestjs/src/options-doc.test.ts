import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { optionRows } from '@rollcall/core';
import { tableHead, tableRow, withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { grpcFields } from './calls/grpc-proto.js';
import { moduleFields } from './rollcall.module-definition.js';
import { healthFields } from './telemetry/terminus-health.js';

/** `UPDATE_DOCS=1 npx vitest run options-doc` updates it. */
const DOC = fileURLToPath(new URL('../../../docs/OPTIONS.md', import.meta.url));

it('docs/OPTIONS.md shows every option of the module', () => {
  const rows = optionRows(moduleFields).map((row) => tableRow(`\`${row.name}\``, row.default, row.allowed, row.doc));
  const table = [...tableHead('option', 'default', 'allowed', 'what it does'), ...rows].join('\n');
  const made = withGenerated(readFileSync(DOC, 'utf8'), new Map([['module', table]]));
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  expect(made).toContain(`${rows.at(-1)}\n\n<!-- end -->`);
});

it('docs/OPTIONS.md shows every option of called gRPC services', () => {
  const rows = optionRows(grpcFields).map((row) => tableRow(`\`${row.name}\``, row.allowed, row.doc));
  const table = [...tableHead('option', 'allowed', 'what it says'), ...rows].join('\n');
  const made = withGenerated(readFileSync(DOC, 'utf8'), new Map([['grpc', table]]));
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  expect(made).toContain(`${rows.at(-1)}\n\n<!-- end -->`);
});

it('docs/OPTIONS.md shows every option of the health indicator', () => {
  const rows = optionRows(healthFields).map((row) => tableRow(`\`${row.name}\``, row.default, row.allowed, row.doc));
  const table = [...tableHead('option', 'default', 'allowed', 'what it does'), ...rows].join('\n');
  const made = withGenerated(readFileSync(DOC, 'utf8'), new Map([['health', table]]));
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  expect(made).toContain(`${rows.at(-1)}\n\n<!-- end -->`);
});
