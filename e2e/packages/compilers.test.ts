import { readFileSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rollcall } from '@rollcall/client';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { endAll, launch } from '../process/launch.js';
import { waitFor } from '../process/wait-for.js';
import { FIND, KINDS, PROTOCOLS } from './kinds/shop.js';
import { ROOT } from './packages.js';
import { run } from './run.js';

const { nest11, nest12 } = inject('workshop');
const FILES = ['app', 'shop'] as const;
const DECORATORS = { experimentalDecorators: true };

/** A folder beside one version of Nest, with the sources of the applications in `src`. */
interface Project {
  readonly folder: string;
  readonly type: 'commonjs' | 'module';
}

/**
 * Each compiles to `dist`, if it writes files; resolves with how Node.js starts `app`. All are fast, as none checks
 * types.
 */
const COMPILERS: Readonly<Record<string, (project: Project) => Promise<readonly string[]>>> = {
  esbuild: async ({ folder, type }) => {
    const bundle = ['--bundle', '--packages=external', '--platform=node', '--outfile=dist/app.js'];
    const format = `--format=${type === 'module' ? 'esm' : 'cjs'}`;
    const tsconfig = `--tsconfig-raw=${JSON.stringify({ compilerOptions: DECORATORS })}`;
    await run(
      process.execPath,
      [toolOf(folder, 'esbuild/bin/esbuild'), 'src/app.ts', ...bundle, format, tsconfig],
      folder,
    );
    return [join(folder, 'dist', 'app.js')];
  },
  tsx: async ({ folder }) => {
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: DECORATORS }));
    return ['--import', 'tsx', join(folder, 'src', 'app.ts')];
  },
  SWC: async ({ folder, type }) => {
    const parser = { syntax: 'typescript', decorators: true };
    const jsc = { target: 'es2022', parser, transform: { legacyDecorator: true, decoratorMetadata: false } };
    const options = { swcrc: false, jsc, module: { type: type === 'module' ? 'nodenext' : 'commonjs' } };
    await mkdir(join(folder, 'dist'), { recursive: true });
    await writeFile(
      join(folder, 'compile.cjs'),
      `const { transformFileSync } = require('@swc/core');
      for (const name of ${JSON.stringify(FILES)}) {
        const { code } = transformFileSync(\`src/\${name}.ts\`, ${JSON.stringify(options)});
        require('node:fs').writeFileSync(\`dist/\${name}.js\`, code);
      }`,
    );
    await run(process.execPath, ['compile.cjs'], folder);
    return [join(folder, 'dist', 'app.js')];
  },
};

const toolOf = (folder: string, path: string): string => join(folder, '..', 'node_modules', ...path.split('/'));

async function projectIn(nest: string, name: string, type: Project['type']): Promise<Project> {
  const folder = join(nest, name);
  await cp(join(ROOT, 'e2e', 'packages', 'kinds'), join(folder, 'src'), { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type }));
  return { folder, type };
}

const CELLS = Object.entries(COMPILERS).flatMap(([name, compile]) => [
  { name, compile, nest: 11, at: nest11, type: 'commonjs' as const },
  { name, compile, nest: 12, at: nest12, type: 'module' as const },
]);

describe.each(CELLS)('$name with Nest $nest, which gives decorators no metadata', ({ name, compile, at, type }) => {
  let caller: Rollcall | null = null;

  afterEach(async () => {
    await caller?.close();
    await endAll();
  });

  it('every kind of application, all in one process, is HEALTHY both ways and is called', async () => {
    const project = await projectIn(at, name.toLowerCase(), type);
    const program = await compile(project);
    const [compiled = ''] = program;
    if (compiled.endsWith('app.js')) expect(readFileSync(compiled, 'utf8')).not.toContain('design:paramtypes');
    const registry = launch(process.execPath, [
      toolOf(project.folder, 'rollcall/bin/rollcall.js'),
      'up',
      '--json',
      '--port',
      '0',
    ]);
    const { url } = JSON.parse(await registry.line(/^{/)) as { url: string };
    launch(process.execPath, [...program, ...KINDS], { cwd: project.folder, env: { ROLLCALL_URL: url } });
    caller = new Rollcall({ registry: url });
    caller.start();
    const { call, fetch, grpc } = createCalls(caller);
    for (const kind of KINDS) {
      const view = caller.service(kind);
      await waitFor(`${kind} is HEALTHY`, () => view.instances[0]?.state === 'HEALTHY');
      expect(view.instances).toMatchObject([{ reason: { code: 'BOTH_WAYS_OK' } }]);
      const answer = { id: '7', instance: view.instances[0]?.id };
      const asked = { tcp: call, http: fetch, grpc };
      for (const protocol of PROTOCOLS[kind]) expect(await asked[protocol](kind)).toEqual(answer);
    }
  });
});

/** The same call over each protocol. */
function createCalls(caller: Rollcall) {
  return {
    call: (service: string): Promise<unknown> => caller.call(service, 'find', { id: '7' }),
    fetch: async (service: string): Promise<unknown> => (await caller.fetch(service, '/orders/7')).json(),
    grpc: (service: string): Promise<unknown> => caller.grpc(service, FIND, { id: '7' }),
  };
}
