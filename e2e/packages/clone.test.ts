import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { endAll } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { waitFor } from '../process/wait-for.js';
import { Workspace } from './clone.js';
import { ENTRIES, manifestIn, ROOT } from './packages.js';
import { block } from './readme.js';

const { folder, nest12 } = inject('workshop');
const workspace = new Workspace(join(folder, 'fresh'), join(folder, 'cache'));
const CLONE = 'rollcall';
const FIVE_MINUTES = readFileSync(join(ROOT, 'docs', 'guide', 'five-minutes.md'), 'utf8');
const { version } = manifestIn(ROOT);
/** Our compiler, which takes a second; other tests compile the same with TypeScript 5. */
const TSC = join(ROOT, 'node_modules', '.bin', 'tsc');
const isRepository = existsSync(join(ROOT, '.git'));

/** Entry points that need a library which a project need not have; types.test.ts compiles them where all are installed. */
const OPTIONAL = ['/otel', '/prometheus', '/terminus'];
const STRICT = {
  module: 'nodenext',
  moduleResolution: 'nodenext',
  target: 'ES2022',
  noEmit: true,
  strict: true,
  skipLibCheck: false,
  types: ['node'],
  typeRoots: [join(nest12, 'node_modules', '@types')],
};
const NAMES_RESOLVER = `
import { Rollcall } from '@rollcall/client';
const rollcall = new Rollcall({ registry: 'http://127.0.0.1:1' });
await rollcall.registerGrpcResolver({ scheme: 'shop' }).then(() => console.log('registered'), (error) => console.log(error.message));
await rollcall.close();
`;

interface ListedInstance {
  readonly instances: readonly { readonly service: string; readonly state: string }[];
}

async function end(child: Child): Promise<void> {
  child.kill('SIGTERM');
  await child.exited;
}

/** Compiles this text as a strict project does, with every declaration that it reaches. */
async function compile(name: string, text: string): Promise<void> {
  const project = join(workspace.folder, 'shop', `tsconfig.${name}.json`);
  await writeFile(join(workspace.folder, 'shop', `${name}.ts`), text);
  await writeFile(project, JSON.stringify({ compilerOptions: STRICT, files: [`${name}.ts`] }));
  await workspace.run(`${TSC} -p ${project}`, 'shop');
}

if (!isRepository) console.warn('skipped: a fresh clone, since this folder is not a git repository');

describe.runIf(isRepository)('a fresh clone', () => {
  beforeAll(async () => {
    await mkdir(workspace.folder);
    await Promise.all([workspace.clone(CLONE).then(() => workspace.run('npm ci', CLONE)), workspace.installPnpm()]);
  }, 240_000);

  afterAll(endAll);

  it('has the command before it is built, which prints what to do', async () => {
    const { err, out, exited } = workspace.start('npx rollcall ls', CLONE);
    expect((await exited).code).toBe(1);
    expect(out).toEqual([]);
    expect(err).toEqual([
      'rollcall: this clone is not built: run "npm run build" at its root, then this command again.',
    ]);
  });

  describe('when its packages are packed', () => {
    let registry: { readonly url: string; readonly pid: number };
    const env = (): NodeJS.ProcessEnv => ({ ROLLCALL_URL: registry.url });

    beforeAll(async () => {
      await workspace.run(block('pack'), CLONE);
      const child = workspace.start('npx rollcall up --interval 500 --port 0 --json', CLONE);
      registry = JSON.parse(await child.line(/^{/)) as typeof registry;
    });

    afterAll(() => void process.kill(registry.pid, 'SIGTERM'));

    /** Resolves when `ls` shows `count` HEALTHY instances of the service. */
    async function waitUntilListed(
      ls: string,
      project: string,
      { service, count }: { service: string; count: number },
    ) {
      await waitFor(`${count} of ${service} are HEALTHY for ${ls}`, async () => {
        const { instances } = JSON.parse(
          await workspace.run(`${ls} -o json --url ${registry.url}`, project),
        ) as ListedInstance;
        return instances.filter((one) => one.service === service && one.state === 'HEALTHY').length === count;
      });
    }

    it('has the command in every folder', async () => {
      for (const place of ['', 'docs/guide', 'packages/core', 'examples/nest11-cjs']) {
        expect(await workspace.run('npx rollcall --version', join(CLONE, place))).toBe(version);
      }
    });

    it('has it in one process, which a signal ends and whose exit code is its own', async () => {
      const command = 'node_modules/.bin/rollcall';
      const up = workspace.start(`${command} up --port 0 --memory --json`, CLONE);
      expect(JSON.parse(await up.line(/^{/))).toMatchObject({ pid: up.pid });
      up.kill('SIGTERM');
      expect(await up.exited).toEqual({ code: 0, signal: null });
      expect((await workspace.start(`${command} ls --nonsense`, CLONE).exited).code).toBe(2);
    });

    it('runs the commands of Five minutes', async () => {
      const lines = [...FIVE_MINUTES.matchAll(/^(node|npx) \S.*?(?= *#|$)/gm)].map(([line]) => line);
      const [up, service = '', caller = '', ls = ''] = lines;
      expect(lines).toEqual([up, service, caller, ls]);
      expect(up).toBe(block('up').trim());
      const children = [service, service, caller].map((line) => workspace.start(line, CLONE, { ...env(), PORT: '0' }));
      await waitUntilListed(ls, CLONE, { service: 'orders', count: 2 });
      await waitUntilListed(ls, CLONE, { service: 'gateway', count: 1 });
      await Promise.all(children.map(end));
    });

    it('has the same package commands in the README and in Five minutes', () => {
      for (const name of ['pack', 'npm', 'pnpm'] as const) expect(FIVE_MINUTES).toContain(block(name));
    });

    describe('installed by npm, without optional packages', () => {
      beforeAll(async () => {
        await mkdir(join(workspace.folder, 'shop'));
        await writeFile(
          join(workspace.folder, 'shop', 'package.json'),
          JSON.stringify({ private: true, type: 'module' }),
        );
        await workspace.run(block('npm'), 'shop');
      });

      it('runs a service, and the command beside it', async () => {
        const compiled = join(workspace.folder, CLONE, 'examples', 'tcp', 'dist', 'main.js');
        await cp(compiled, join(workspace.folder, 'shop', 'main.js'));
        const service = workspace.start('node main.js', 'shop', env());
        await waitUntilListed('npx rollcall ls', 'shop', { service: 'orders', count: 1 });
        await end(service);
      });

      it('has types that compile without the optional libraries', async () => {
        expect(existsSync(join(workspace.folder, 'shop', 'node_modules', '@grpc'))).toBe(false);
        const entries = ENTRIES.filter((entry) => !OPTIONAL.some((path) => entry.endsWith(path)));
        expect(entries).toContain('@rollcall/nestjs');
        const imports = entries.map((entry, index) => `import * as entry${index} from '${entry}';`);
        const all = entries.map((_entry, index) => `entry${index}`).join(', ');
        await compile('entries', `${imports.join('\n')}\nexport const all: readonly object[] = [${all}];\n`);
      });

      it('supports grpc-js clients by name as soon as grpc-js is installed', async () => {
        await writeFile(join(workspace.folder, 'shop', 'resolver.mjs'), NAMES_RESOLVER);
        expect(await workspace.run('node resolver.mjs', 'shop')).toContain('npm install @grpc/grpc-js');
        await workspace.run(`npm install @grpc/grpc-js@${manifestIn(ROOT).devDependencies?.['@grpc/grpc-js']}`, 'shop');
        await compile('resolver', `import '@grpc/grpc-js';${NAMES_RESOLVER}`);
        expect(await workspace.run('node resolver.mjs', 'shop')).toBe('registered');
      });
    });

    describe('installed by pnpm in an application with Nest 11, CommonJS and Jest 30', () => {
      beforeAll(async () => {
        const example = join(workspace.folder, CLONE, 'examples', 'nest11-cjs');
        await cp(example, join(workspace.folder, 'office'), { recursive: true });
        await workspace.run(block('pnpm'), 'office');
      });

      it('compiles, and passes its own tests with the documented patterns', async () => {
        expect(existsSync(join(workspace.folder, 'office', 'node_modules', '.pnpm'))).toBe(true);
        await workspace.run(`${TSC} -p . --skipLibCheck false --types node,jest`, 'office');
        await workspace.run('pnpm exec jest --silent --runInBand', 'office');
      });

      it('is registered with both of its servers, as the command beside it shows', async () => {
        const app = workspace.start('node dist/main.js', 'office', env());
        await waitUntilListed('pnpm exec rollcall ls', 'office', { service: 'orders', count: 1 });
        await end(app);
      });
    });
  });
});
