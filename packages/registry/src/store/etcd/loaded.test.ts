import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const source = fileURLToPath(new URL('../..', import.meta.url));
const IMPORT = /^(?:import|export)(?! type)[^;]*? from '(\.[^']+)\.js';/gm;

/** All files that the entry loads when it is imported, relative to `src`. */
function loadedBy(entry: string): Set<string> {
  const loaded = new Set<string>();
  const open = [join(source, entry)];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (loaded.has(file)) continue;
    loaded.add(file);
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(IMPORT))
      open.push(`${resolve(dirname(file), path)}.ts`);
  }
  return new Set([...loaded].map((file) => file.slice(source.length)));
}

it('is not loaded by any entry point of the package', () => {
  for (const entry of ['index.ts', 'embed.ts', 'http.ts']) {
    const loaded = loadedBy(entry);
    expect(loaded.size).toBeGreaterThan(entry === 'embed.ts' ? 1 : 50);
    expect([...loaded].filter((file) => file.startsWith('store/etcd/'))).toEqual([]);
  }
});

it('exports its readers of untrusted bytes to tests, and no client', () => {
  const loaded = [...loadedBy('testing.ts')].filter((file) => file.startsWith('store/etcd/'));
  expect(loaded.toSorted()).toEqual(['codec.ts', 'frames.ts', 'messages.ts'].map((file) => `store/etcd/${file}`));
});

it('imports Node, core and this package alone', () => {
  const folder = join(source, 'store', 'etcd');
  const files = readdirSync(folder).filter((name) => !name.endsWith('.test.ts'));
  const from = files.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(/ from '([^']+)'/g)].map(([, path = '']) => path),
  );
  expect(from.length).toBeGreaterThan(10);
  expect(from.filter((path) => !/^(?:\.|node:|@rollcall\/core$)/.test(path))).toEqual([]);
});
