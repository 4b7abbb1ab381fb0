import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Rollcall } from '@rollcall/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { endAll, launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { waitFor } from '../process/wait-for.js';
import { ROOT } from './packages.js';
import { run } from './run.js';

const requireHere = createRequire(import.meta.url);
const { nest11 } = inject('workshop');
const toolOf = (name: string): string => join(nest11, 'node_modules', ...name.split('/'));

/** `examples/nest11-cjs`, copied to a place with only the tarballs and the npm registry. */
describe('a CommonJS application with Nest 11 and Jest 30', () => {
  let caller: Rollcall;
  let app: Child;

  beforeAll(async () => {
    await run(process.execPath, [toolOf('typescript/bin/tsc'), '-p', '.', '--skipLibCheck', 'false'], nest11);
    const command = [toolOf('rollcall/bin/rollcall.js'), 'up', '--json', '--port', '0', '--interval', '500'];
    const registry = launch(process.execPath, command, { cwd: nest11 });
    const { url } = JSON.parse(await registry.line(/^{/)) as { url: string };
    app = launch(process.execPath, ['dist/main.js'], { cwd: nest11, env: { ROLLCALL_URL: url } });
    caller = new Rollcall({ registry: url });
    caller.start();
  });

  afterAll(async () => {
    await caller.close();
    await endAll();
  });

  it.each(['README.md', 'packages/nestjs/README.md', 'docs/guide/testing.md'])('has the patterns of %s', (page) => {
    const { transformIgnorePatterns } = requireHere(join(nest11, 'jest.config.js')) as Record<string, unknown>;
    const text = readFileSync(join(ROOT, page), 'utf8');
    expect(text).toContain(`transformIgnorePatterns: ${JSON.stringify(transformIgnorePatterns)}`);
  });

  it('passes its own tests', async () => {
    await run(process.execPath, [toolOf('jest/bin/jest.js'), '--silent', '--runInBand'], nest11);
  });

  it('is registered with both of its servers, stays HEALTHY both ways, and is called over both', async () => {
    const view = caller.service('orders');
    await waitFor('it is HEALTHY', () => view.instances[0]?.state === 'HEALTHY');
    expect(view.instances.map(({ endpoints }) => endpoints.map(({ protocol }) => protocol).toSorted())).toEqual([
      ['http', 'tcp'],
    ]);
    const id = view.instances[0]?.id;
    expect(await caller.call('orders', 'find', { id: '7' })).toEqual({ id: '7', instance: id });
    const answer = await caller.fetch('orders', '/orders/7');
    expect(await answer.json()).toEqual({ id: '7', instance: id });
  });

  it('publishes the policies of its handlers', () => {
    expect(JSON.stringify(caller.service('orders').instances[0]?.methods)).toContain('"idempotent":true');
  });

  it('answers a failed call, as there are no users, with the fitting status', async () => {
    const answer = await caller.fetch('orders', '/orders/7/buyer');
    expect([answer.status, answer.headers.get('rollcall-error')]).toEqual([503, 'UNKNOWN_SERVICE']);
  });

  it('drains on SIGTERM', async () => {
    app.kill('SIGTERM');
    await app.exited;
    expect(app.out.join('\n')).toMatch(/Drained in \d+ ms/);
  });
});
