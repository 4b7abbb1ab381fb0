import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** What these tests read of a `package.json`. */
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

/** Where each package that is published lives. */
export const FOLDERS = readdirSync(join(ROOT, 'packages')).map((name) => join(ROOT, 'packages', name));
export const MANIFESTS = FOLDERS.map(manifestIn);

/** Whatever `import` may be followed by. */
export const ENTRIES = MANIFESTS.flatMap(({ name, exports = {} }) =>
  Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => name + path.slice(1)),
);

/** Everything that any of them expects to be installed beside it, or that makes more of it. */
export const PEERS = [...new Set(MANIFESTS.flatMap(({ peerDependencies = {} }) => Object.keys(peerDependencies)))];
