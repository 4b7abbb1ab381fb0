import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { ENTRIES, MANIFESTS, ROOT } from './packages.js';
import { run } from './run.js';

const { nest11, nest12 } = inject('workshop');
const isRoot = (entry: string): boolean => !entry.replace(/^@/, '').replace('/', '-').includes('/');

interface Project {
  readonly what: string;
  readonly nest: string;
  readonly type: 'commonjs' | 'module';
  readonly module: string;
  readonly moduleResolution: string;
  /** The path of the compiler; default: the TypeScript 5 of the project. */
  readonly typescript?: string;
  /** The entry points that its resolution can find. */
  readonly entries: readonly string[];
}

const modern = { module: 'nodenext', moduleResolution: 'nodenext', entries: ENTRIES };
const PROJECTS: readonly Project[] = [
  { ...modern, what: 'CommonJS, Nest 11, TypeScript 5', nest: nest11, type: 'commonjs' },
  { ...modern, what: 'modules, Nest 12, TypeScript 5', nest: nest12, type: 'module' },
  { ...modern, what: 'modules, Nest 12, our TypeScript', nest: nest12, type: 'module', typescript: ROOT },
  {
    what: 'a bundler',
    nest: nest12,
    type: 'module',
    module: 'esnext',
    moduleResolution: 'bundler',
    entries: ENTRIES,
  },
  // the setting of many older projects; it does not know `exports`
  {
    what: 'CommonJS as before `exports`, Nest 11',
    nest: nest11,
    type: 'commonjs',
    module: 'commonjs',
    moduleResolution: 'node10',
    entries: ENTRIES.filter(isRoot),
  },
];

/** Compilers run concurrently, so each may take as long as all of them in sequence. */
const TIMEOUT_MS = 60_000 * PROJECTS.length;

describe('the types', () => {
  it('cover every entry point', () => {
    expect(ENTRIES).toContain('@rollcall/nestjs');
    expect(ENTRIES.filter(isRoot)).toHaveLength(MANIFESTS.length);
  });

  it.concurrent.each(PROJECTS)('compile for $what, without skipLibCheck', { timeout: TIMEOUT_MS }, async (project) => {
    const folder = join(project.nest, `types-${PROJECTS.indexOf(project)}`);
    await mkdir(folder);
    const { module, moduleResolution } = project;
    const strictest = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
    const rest = { target: 'ES2022', noEmit: true, skipLibCheck: false, types: ['node'], experimentalDecorators: true };
    const legacyOptions = moduleResolution === 'node10' ? { allowSyntheticDefaultImports: true } : {}; // as Nest's template had it
    const compilerOptions = { ...strictest, ...rest, ...legacyOptions, module, moduleResolution };
    const lines = project.entries.map((entry, index) => `import * as entry${index} from '${entry}';`);
    const all = project.entries.map((_entry, index) => `entry${index}`).join(', ');
    await Promise.all([
      writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: project.type })),
      writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['all.ts'] })),
      writeFile(join(folder, 'all.ts'), [...lines, `export const all: readonly object[] = [${all}];`].join('\n')),
    ]);
    const compiler = join(project.typescript ?? project.nest, 'node_modules', 'typescript', 'bin', 'tsc');
    await run(process.execPath, [compiler, '-p', '.'], folder);
  });
});
