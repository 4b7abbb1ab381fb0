import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { findComplaints } from './api.js';
import type { Entry } from './api.js';
import { FOLDERS, manifestIn, MANIFESTS, ROOT } from './packages.js';
import { run } from './run.js';

const { tarballs } = inject('workshop');

interface Locked {
  readonly link?: boolean;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
}
const LOCK = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, Locked>>;
};

/** Every package that is installed with ours, by its place in the lockfile. Peers belong to the user. */
function shipped(): ReadonlySet<string> {
  const found = new Set<string>();
  const open = FOLDERS.map((folder) => `packages/${basename(folder)}`);
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    for (const name of Object.keys(LOCK.packages[path]?.dependencies ?? {})) open.push(placeOf(name, path));
  }
  return found;
}

/** Resolves as Node.js does: in `node_modules` of the package, then of every parent folder. */
function placeOf(name: string, from: string): string {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const place = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    const locked = LOCK.packages[place];
    if (locked !== undefined) return locked.link === true ? (locked.resolved ?? place) : place;
    if (folder === '') throw new Error(`The lockfile has no ${name} for ${from}.`);
  }
}

const tarballOf = (name: string): string => {
  const begin = `${name.replace('@', '').replace('/', '-')}-${manifestIn(ROOT).version}`;
  const path = tarballs.find((tarball) => basename(tarball) === `${begin}.tgz`);
  if (path === undefined) throw new Error(`${name} was not packed: there are ${tarballs.join(', ')}.`);
  return path;
};

/** The entry points of each package that has types. */
const APIS = FOLDERS.map((folder) => {
  const { name, exports = {} } = manifestIn(folder);
  const entries = Object.values(exports).flatMap((entry): readonly Entry[] =>
    typeof entry === 'object' && entry !== null && 'types' in entry ? [{ folder, types: String(entry.types) }] : [],
  );
  return { name, entries };
}).filter(({ entries }) => entries.length > 0);

describe('the published packages', () => {
  it.concurrent.each(tarballs.map((path) => [basename(path), path]))(
    '%s is clean for publint and attw',
    async (_name, path) => {
      const bin = join(ROOT, 'node_modules', '.bin');
      await run(join(bin, 'publint'), [path, '--strict'], ROOT);
      await run(join(bin, 'attw'), [path, '--profile', 'esm-only'], ROOT);
    },
  );

  it.each(APIS)('$name exports every type of its signatures, by API Extractor', ({ entries }) => {
    const complaints = findComplaints(entries);
    expect(entries.map(({ types }, index) => [types, complaints[index]])).toEqual(
      entries.map(({ types }) => [types, []]),
    );
  });

  it.each(FOLDERS.map((folder) => ({ name: manifestIn(folder).name, folder })))(
    '$name has a description and a licence',
    async ({ name, folder }) => {
      const files = await run('tar', ['-tzf', tarballOf(name)], ROOT);
      expect(files).toEqual(expect.arrayContaining(['package/README.md', 'package/LICENSE', 'package/package.json']));
      expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(readFileSync(join(ROOT, 'LICENSE'), 'utf8'));
      expect(readFileSync(join(folder, 'README.md'), 'utf8')).toMatch(new RegExp(`^# ${name}\\n`));
    },
  );

  it('ship neither sources nor maps nor tests', async () => {
    const files = await Promise.all(tarballs.map((path) => run('tar', ['-tzf', path], ROOT)));
    expect(files.flat().filter((file) => /\.map$|\.tsbuildinfo$|\/src\/|\.(test|fixture)\./.test(file))).toEqual([]);
  });

  it('include the dashboard in the registry', () => {
    const { dependencies } = MANIFESTS.find(({ name }) => name === '@rollcall/registry') ?? {};
    expect(dependencies).toHaveProperty('@rollcall/dashboard');
  });

  it('have one version, and depend on exactly that of each other', () => {
    const { version } = manifestIn(ROOT);
    const own = new Set(MANIFESTS.map(({ name }) => name));
    for (const manifest of MANIFESTS) {
      expect(manifest.version).toBe(version);
      const asked = Object.entries(manifest.dependencies ?? {}).filter(([name]) => own.has(name));
      expect(asked.map(([, wanted]) => wanted)).toEqual(asked.map(() => version));
    }
  });

  it('accept a range of versions of their peers', () => {
    const peers = MANIFESTS.flatMap(({ peerDependencies = {} }) => Object.entries(peerDependencies));
    expect(peers.length).toBeGreaterThan(0);
    for (const [, range] of peers) expect(range).toMatch(/^\^\d+(\.\d+)*( \|\| \^\d+(\.\d+)*)*$/);
  });

  it('run no scripts at installation, nor do their dependencies', () => {
    const paths = shipped();
    expect(paths).toContain('node_modules/undici');
    expect(paths).toContain('node_modules/fastify');
    expect([...paths].filter((path) => LOCK.packages[path]?.hasInstallScript)).toEqual([]);
    const hooks = MANIFESTS.flatMap(({ scripts = {} }) => Object.keys(scripts).filter((name) => /install/.test(name)));
    expect(hooks).toEqual([]);
  });
});
