import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The fields of a `package.json` that these tests read. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** The folders of the published packages. */
export const FOLDERS = readdirSync(join(ROOT, 'packages')).map((name) => join(ROOT, 'packages', name));
export const MANIFESTS = FOLDERS.map(manifestIn);

/** Every specifier that can be imported. */
export const ENTRIES = MANIFESTS.flatMap(({ name, exports = {} }) =>
  Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => name + path.slice(1)),
);

/** All peer dependencies of the packages. */
export const PEERS = [...new Set(MANIFESTS.flatMap(({ peerDependencies = {} }) => Object.keys(peerDependencies)))];
