import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { run } from './run.js';
import { testShell } from './shell.fixture.js';

describe('rollcall up', () => {
  it('--json serves, says so in one line of JSON, and closes when it is asked to end', async () => {
    const shell = testShell();
    const code = run(['up', '--port', '0', '--memory', '--interval', '300', '--json'], shell);
    await shell.spoke;
    const { url, pid } = JSON.parse(shell.outLines.join('\n')) as { url: string; pid: number };
    expect(pid).toBe(process.pid);
    const answer = await fetch(`${url}/api/v1/registry`);
    expect(await answer.json()).toMatchObject({ heartbeat: { intervalMs: 300 }, store: { durable: false } });
    shell.end();
    expect(await code).toBe(0);
    expect(shell.outLines).toHaveLength(1);
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });

  it('tells people where it is and what to do', async () => {
    const shell = testShell();
    const code = run(['up', '--port', '0'], shell);
    await shell.spoke;
    shell.end();
    await code;
    expect(shell.outLines.join('\n')).toMatch(/registry at http:\/\/127\.0\.0\.1:\d+.*ROLLCALL_URL=http.*rollcall ls/s);
  });

  it('refuses a folder instead of pretending to keep something there', async () => {
    const shell = testShell();
    expect(await run(['up', '--port', '0', '--data', './state'], shell)).toBe(2);
    expect(shell.errLines.join('')).toContain('there is no store on disk yet');
  });

  it('refuses to listen for a network without --insecure', async () => {
    const shell = testShell();
    expect(await run(['up', '--port', '0', '--host', '0.0.0.0'], shell)).toBe(2);
    expect(shell.errLines.join('')).toContain('--insecure');
  });

  it('knows a way out where the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const shell = testShell();
    expect(await run(['up', '--port', String(port)], shell)).toBe(1);
    expect(shell.errLines.join('')).toMatch(new RegExp(`Port ${port} .*taken.*--port 0`));
    other.close();
  });

  it.each([['orders'], ['--port', '70000'], ['--interval', '5'], ['--interval', '1.5']])(
    'refuses %s',
    async (...argv) => {
      const shell = testShell();
      expect(await run(['up', ...argv], shell)).toBe(2);
      expect(shell.outLines).toEqual([]);
    },
  );
});
