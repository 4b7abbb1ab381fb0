import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { endAll, exists, start } from './spawn.js';

async function refused(...args: string[]) {
  const child = start('rollcall', ['up', ...args]);
  const { code } = await child.exited;
  return { code, out: child.out, err: child.err.join('\n') };
}

describe('rollcall up, as a process', () => {
  afterAll(endAll);

  it.each(['SIGINT', 'SIGTERM'] as const)(
    '--json prints where it serves and ends at %s with exit code 0',
    async (signal) => {
      const child = start('rollcall', ['up', '--json', '--port', '0']);
      const { url, pid } = JSON.parse(await child.line(/^{/)) as { url: string; pid: number };
      expect(pid).toBe(child.pid);
      expect((await fetch(`${url}/health/ready`)).status).toBe(200);
      child.kill(signal);
      expect(await child.exited).toEqual({ code: 0, signal: null });
      expect(child.out).toHaveLength(1);
      expect(exists(pid)).toBe(false);
    },
  );

  it('ends at once although a client watches', async () => {
    const child = start('rollcall', ['up', '--json', '--port', '0']);
    const { url } = JSON.parse(await child.line(/^{/)) as { url: string };
    const watch = await fetch(`${url}/api/v1/watch?service=*`);
    child.kill('SIGTERM');
    expect(await child.exited).toEqual({ code: 0, signal: null });
    await watch.body?.cancel();
  });

  it('reports which process has the port, and what to do', async () => {
    const first = start('rollcall', ['up', '--json', '--port', '0']);
    const { url } = JSON.parse(await first.line(/^{/)) as { url: string };
    const second = await refused('--port', new URL(url).port);
    expect(second).toMatchObject({ code: 1, out: [] });
    expect(second.err).toContain(`A Rollcall registry serves ${url} already`);
    first.kill('SIGTERM');

    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const third = await refused('--port', String((other.address() as AddressInfo).port));
    expect(third.code).toBe(1);
    expect(third.err).toMatch(/taken by another program.*--port 0/);
    other.close();
  });

  it('refuses a network without --insecure, and serves it with', async () => {
    expect(await refused('--host', '0.0.0.0', '--port', '0')).toMatchObject({
      code: 2,
      out: [],
      err: expect.stringContaining('--insecure'),
    });
    const child = start('rollcall', ['up', '--host', '0.0.0.0', '--port', '0', '--insecure', '--json']);
    await child.line(/^{/);
    child.kill('SIGTERM');
    await child.exited;
    expect(child.err.join('\n')).toContain('insecure');
  });

  it('refuses unknown options, and suggests similar ones', async () => {
    expect(await refused('--intervall', '500')).toEqual({
      code: 2,
      out: [],
      err: 'rollcall up: Option --intervall does not exist. Did you mean --interval?',
    });
  });
});
