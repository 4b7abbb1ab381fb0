import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

/** All modules that `entry` loads: those of this package by URL, others by name. */
function loadedBy(entry: URL, known = new Set<string>()): ReadonlySet<string> {
  if (known.has(entry.href)) return known;
  known.add(entry.href);
  const text = readFileSync(entry, 'utf8');
  for (const [, name = ''] of text.matchAll(/^(?:import|export) (?!type )[^;]*? from '([^']+)';/gm)) {
    if (name.startsWith('.')) loadedBy(new URL(name.replace(/\.js$/, '.ts'), entry), known);
    else known.add(name);
  }
  return known;
}

const filesOf = (names: ReadonlySet<string>): readonly string[] =>
  [...names].map((name) => name.replace(/^.*\/registry\/src\//, ''));

it('the tools that make tokens load no HTTP server, no engine and no store', () => {
  const names = filesOf(loadedBy(new URL('token-tools.ts', import.meta.url)));
  expect(names).toEqual(expect.arrayContaining(['access/tokens.ts', 'access/token-file.ts', '@rollcall/core']));
  expect(
    names.filter((name) => /fastify|@rollcall\/(?:dashboard|client)|^http\/|registry\.ts|disk\.ts/.test(name)),
  ).toEqual([]);
  // the check finds a module that is loaded
  expect(filesOf(loadedBy(new URL('../index.ts', import.meta.url)))).toContain('fastify');
});
