import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rollcall } from '@rollcall/client';
import type { ServiceView } from '@rollcall/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { endAll, launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { waitFor } from '../process/wait-for.js';
import { ROOT } from './packages.js';
import { compile } from './workshop.js';

const { nest12 } = inject('workshop');
const folder = join(nest12, 'apps');
const CALLS = 200;

const outputOf = ({ out, err }: Child): string => [...out, ...err].join('\n');

/** Rejects with the beginning of its output, if the condition does not become true. */
async function waitUntilSettled(app: Child, isTrue: () => boolean): Promise<void> {
  await waitFor('it is HEALTHY, or logs why not', isTrue).catch((error: unknown) => {
    throw new Error(`Its output was only: ${outputOf(app).slice(0, 2_000)}`, { cause: error });
  });
}

/** Small applications, written as teams write theirs. */
describe('an application', () => {
  let url = '';
  let caller: Rollcall;

  beforeAll(async () => {
    await cp(join(ROOT, 'e2e', 'packages', 'apps'), join(folder, 'src'), { recursive: true });
    await compile(folder, 'module');
    const command = [join(nest12, 'node_modules', 'rollcall', 'bin', 'rollcall.js'), 'up', '--json', '--port', '0'];
    const registry = launch(process.execPath, [...command, '--interval', '500'], { cwd: folder });
    ({ url } = JSON.parse(await registry.line(/^{/)) as { url: string });
    await writeFile(join(folder, '.env'), `SHOP_SERVICE=configured\nSHOP_REGISTRY=${url}\n`);
    caller = new Rollcall({ registry: url });
    caller.start();
  });

  afterAll(async () => {
    await caller.close();
    await endAll();
  });

  function start(name: string, env: NodeJS.ProcessEnv = { ROLLCALL_URL: url }): Child {
    return launch(process.execPath, [join('dist', `${name}.js`)], { cwd: folder, env });
  }

  /** The instances of a service, when `count` of them are HEALTHY. */
  async function healthy(service: string, count = 1): Promise<ServiceView> {
    const view = caller.service(service);
    const seen = (): number => view.instances.filter(({ state }) => state === 'HEALTHY').length;
    await waitFor(`${count} of ${service} are HEALTHY`, () => seen() === count);
    return view;
  }

  it('is registered with options from @nestjs/config', async () => {
    start('configured', {});
    const view = await healthy('configured');
    const answer = await caller.fetch('configured', '/orders/7');
    expect(await answer.json()).toEqual({ id: '7', instance: view.instances[0]?.id });
  });

  it('receives a RollcallError in its catch-all filter, like its own errors', async () => {
    const gateway = JSON.parse(await start('filtered').line(/^{/)) as { url: string };
    const answers = await Promise.all(
      ['call', 'observable', 'own'].map(async (path) => {
        const answer = await fetch(`${gateway.url}/${path}`);
        return [answer.status, await answer.json()];
      }),
    );
    const codes = ['UNKNOWN_SERVICE', 'UNKNOWN_SERVICE', null];
    expect(answers).toEqual(codes.map((code) => [418, { filter: 'everything', code }]));
  });

  it('without a server logs that it is registered, or why it is not', async () => {
    const context = start('context');
    await waitUntilSettled(context, () => /nightly.* is HEALTHY|not registered/i.test(outputOf(context)));
  });

  it('with serializers of its own is HEALTHY, or warns that they are the reason it is not', async () => {
    const sealed = start('sealed');
    const view = caller.service('sealed');
    const isHealthy = (): boolean => view.instances[0]?.state === 'HEALTHY';
    await waitUntilSettled(sealed, () => isHealthy() || /WARN.*serializer/i.test(outputOf(sealed)));
  });

  it('of three workers of node:cluster is three HEALTHY instances, and no call fails', async () => {
    start('clustered');
    const { instances } = await healthy('clustered', 3);
    const called = new Set<string>();
    for (let call = 0; call < CALLS; call += 1) {
      const answer = (await caller.call('clustered', 'find', { id: '7' })) as { readonly instance: string };
      called.add(answer.instance);
    }
    expect([...called].toSorted()).toEqual(instances.map(({ id }) => id).toSorted());
  });
});
