import { ROLES } from '@rollcall/core';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tableHead, tableRow, withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { PERMISSIONS } from './permissions.js';
import type { Permission } from './permissions.js';

/** `UPDATE_DOCS=1 npx vitest run permissions-doc` writes it again. */
const DOC = fileURLToPath(new URL('../../../../docs/PROTOCOL.md', import.meta.url));

function rowOf({ method, path, who, about }: Permission): string {
  const visitors = [...ROLES, 'instance'] as const;
  const marks = visitors.map((visitor) => (who.includes('anyone') || who.includes(visitor) ? 'yes' : '–'));
  const further = who.includes('anyone') ? `anyone: ${about}` : about;
  return tableRow(`\`${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}\``, ...marks, further);
}

it('docs/PROTOCOL.md shows the permission table', () => {
  const table = [...tableHead('route', ...ROLES, 'the instance', 'details'), ...PERMISSIONS.map(rowOf)].join('\n');
  const made = withGenerated(readFileSync(DOC, 'utf8'), new Map([['permissions', table]]));
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  expect(made).toContain(`${table}\n\n<!-- end -->`);
});
