// The statements of docs/guide/operations.md about the folder of a registry, tested on a real one.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';

const ID = 'orders-by-hand';

async function up(data: string): Promise<{ child: Child; url: string }> {
  const child = start('rollcall', ['up', '--json', '--port', '0', '--data', data]);
  return { child, url: (JSON.parse(await child.line(/^{/)) as { url: string }).url };
}

async function stop({ child }: { readonly child: Child }): Promise<void> {
  child.kill('SIGTERM');
  expect(await child.exited).toMatchObject({ code: 0 });
}

describe('the page on operations', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rollcall-operations-'));
  });
  afterAll(async () => {
    await endAll();
    rmSync(folder, { recursive: true, force: true });
  });

  it('a folder that was copied while the registry was stopped is enough for another registry', async () => {
    const data = join(folder, 'data');
    const first = await up(data);
    const registered = await fetch(`${first.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: ID, service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }] }),
    });
    expect(registered.status).toBe(201);
    await stop(first);
    cpSync(data, join(folder, 'backup'), { recursive: true });
    rmSync(data, { recursive: true });

    const second = await up(join(folder, 'backup'));
    const answer = await fetch(`${second.url}/api/v1/instances/${ID}`);
    expect(await answer.json()).toMatchObject({ id: ID, service: 'orders' });
    await stop(second);
  });

  it('without its folder a registry starts empty, and states that in its answers', async () => {
    const running = await up(join(folder, 'new'));
    const services = (await (await fetch(`${running.url}/api/v1/services`)).json()) as { services: unknown[] };
    expect(services.services).toEqual([]);
    expect((await fetch(`${running.url}/sd/prometheus`)).status).toBe(503);
    await stop(running);
  });
});
