import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const packages = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(packages, '..', 'ARCHITECTURE.md'), 'utf8');
const MAX_FILES = 15;

const isSource = (name: string): boolean =>
  /\.tsx?$/.test(name) && !/\.(?:test|fixture)\.tsx?$|^contract\.ts$/.test(name);

/** Folders, such as `client/src/balance/nodes`, with the number of their source files. */
const rooms = readdirSync(packages).flatMap((name) => {
  const files = readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' });
  const counts = new Map<string, number>();
  for (const file of files) {
    if (!isSource(file.replace(/^.*[/\\]/, ''))) continue;
    const room = dirname(join(name, 'src', file)).replaceAll('\\', '/');
    counts.set(room, (counts.get(room) ?? 0) + 1);
  }
  return [...counts].map(([room, count]) => ({ room, count }));
});

/** The paths of each row; a file without a folder is in the folder of the previous one. */
const rows = [...PAGE.matchAll(/^\| (?!to add)(.+?) \| (.+) \| (.+) \|$/gm)].map(
  ([, what = '', edit = '', also = '']) => {
    const paths: string[] = [];
    for (const [, path = ''] of `${edit} ${also}`.matchAll(/`([\w./*-]+(?:\.ts|\/))`/g)) {
      const last = paths.at(-1);
      const isAlone = !path.includes('/') && last !== undefined;
      paths.push(isAlone ? `${last.endsWith('/') ? last : `${dirname(last)}/`}${path}` : path);
    }
    return { what, paths: paths.filter((path) => !path.includes('*')) };
  },
);

describe('ARCHITECTURE.md', () => {
  it('has a row for each kind of change', () => {
    expect(rows.length).toBeGreaterThan(40);
  });

  it.each(rows)('lists files that exist: $what', ({ paths }) => {
    const missing = paths.filter(
      (path) => !existsSync(join(packages, path)) && !existsSync(join(packages, '..', path)),
    );
    expect(missing).toEqual([]);
  });

  it.each(rooms)('lists the folder $room, which has at most 15 files', ({ room, count }) => {
    const [name = '', , ...path] = room.split('/');
    const from = PAGE.indexOf(`packages/${name}/src/`);
    const [tree = ''] = PAGE.slice(from).split(/\n(?=packages\/|examples\/)/, 1);
    for (const part of path) expect(tree).toMatch(new RegExp(String.raw`\b${part}\b`));
    expect(count).toBeLessThanOrEqual(MAX_FILES);
  });
});
