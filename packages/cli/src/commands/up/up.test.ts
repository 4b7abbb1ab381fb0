import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from '../../run.js';
import { createTestShell } from '../../terminal/shell.fixture.js';
import type { Shell } from '../../terminal/shell.js';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: up in a folder that is closed to its user, since only root may be another user');

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-up-'));
  folders.push(folder);
  return folder;
}

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A registry that runs, in an environment of nothing but `env`. */
async function startUp(argv: readonly string[], env: Shell['env'] = {}) {
  const shell = createTestShell(env);
  const code = run(['up', ...argv], shell);
  await Promise.race([shell.hasOutput, code]);
  const text = shell.outLines.join('\n');
  const end = async (): Promise<void> => {
    shell.end();
    expect(await code).toBe(0);
  };
  return { text, errors: shell.errLines, url: /http:\S+(?=,)/.exec(text)?.[0] ?? '', end };
}

function register(url: string, id: string): Promise<Response> {
  const body = JSON.stringify({ id, service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }] });
  return fetch(`${url}/api/v1/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
}

/** The status of its answer to a request for this host name. */
async function statusFor(url: string, host: string): Promise<number> {
  const request = get(`${url}/api/v1/registry`, { headers: { host }, agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

/** The lines about ROLLCALL_URL of an open registry. */
async function urlLines(...argv: readonly string[]): Promise<readonly string[]> {
  const { text, end } = await startUp(['--port', '0', '--insecure', ...argv]);
  await end();
  return text.split('\n').filter((line) => line.includes('ROLLCALL_URL'));
}

async function optionsOf(...argv: readonly string[]): Promise<unknown> {
  const { url, end } = await startUp(['--port', '0', ...argv]);
  const { options } = (await (await fetch(`${url}/api/v1/registry`)).json()) as { options: unknown };
  await end();
  return options;
}

describe('rollcall up', () => {
  it('reports for each option whether it is a default, or what set it', async () => {
    expect(await optionsOf()).toMatchObject({
      port: { source: 'option' },
      host: { value: '127.0.0.1', source: 'default' },
      preset: { value: 'default', source: 'default' },
      intervalMs: { value: 5_000, source: 'default' },
      timeoutMs: { value: 2_000, source: 'default' },
      freshEvery: { value: 1, source: 'default' },
      insecure: { value: false, source: 'default' },
      names: { source: 'default' },
    });
    expect(await optionsOf('--preset', 'fast', '--host', '127.0.0.1')).toMatchObject({
      host: { source: 'option' },
      preset: { value: 'fast', source: 'option' },
      intervalMs: { value: 1_000, source: 'preset' },
    });
    expect(await optionsOf('--interval', '500')).toMatchObject({ intervalMs: { value: 500, source: 'option' } });
  });

  it('serves with --json, prints one line of JSON, and closes on a signal', async () => {
    const shell = createTestShell();
    const code = run(['up', '--port', '0', '--memory', '--interval', '300', '--json'], shell);
    await shell.hasOutput;
    const { url, pid } = JSON.parse(shell.outLines.join('\n')) as { url: string; pid: number };
    expect(pid).toBe(process.pid);
    const answer = await fetch(`${url}/api/v1/registry`);
    expect(await answer.json()).toMatchObject({ heartbeat: { intervalMs: 300 }, store: { durable: false } });
    shell.end();
    expect(await code).toBe(0);
    expect(shell.outLines).toHaveLength(1);
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });

  it('prints its URL and the next steps', async () => {
    const shell = createTestShell();
    const code = run(['up', '--port', '0'], shell);
    await shell.hasOutput;
    shell.end();
    await code;
    expect(shell.outLines.join('\n')).toMatch(
      /registry at (http:\/\/127\.0\.0\.1:\d+),.*ROLLCALL_URL=http.*\nDashboard: \1\/\n.*rollcall ls/s,
    );
  });

  it.each([
    [['--preset', 'fast'], { intervalMs: 1_000, timeoutMs: 400, freshEvery: 1 }, '1 s'],
    [['--preset', 'relaxed', '--fresh-every', '10'], { intervalMs: 15_000, timeoutMs: 5_000, freshEvery: 10 }, '15 s'],
    [['--preset', 'relaxed', '--interval', '500'], { intervalMs: 500, timeoutMs: 200, freshEvery: 1 }, '0.5 s'],
  ])('turns %j into the terms %j', async (argv, terms, interval) => {
    const { text, url, end } = await startUp(['--port', '0', ...argv]);
    const answer = await fetch(`${url}/api/v1/registry`);
    expect(await answer.json()).toMatchObject({ heartbeat: terms });
    expect(text).toContain(`heartbeats every ${interval}`);
    await end();
  });

  it('answers to every --name, and to no other name', async () => {
    const { url, end } = await startUp(['--port', '0', '--name', 'registry.lan', '--name', 'rollcall']);
    expect(await statusFor(url, 'registry.lan')).toBe(200);
    expect(await statusFor(url, 'rollcall')).toBe(200);
    expect(await statusFor(url, 'evil.example')).toBe(421);
    await end();
  });

  it('prints the URL for services on other machines, if it listens to them', async () => {
    expect(await urlLines('--host', '0.0.0.0', '--name', 'registry.internal', '--name', 'other')).toEqual([
      expect.stringMatching(/^Services on this machine .*=http:\/\/127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^Those on other machines .*=http:\/\/registry\.internal:\d+$/),
    ]);
    expect(await urlLines('--host', '0.0.0.0')).toContainEqual(
      expect.stringMatching(/=http:\/\/<address of this machine>:\d+$/),
    );
    expect(await urlLines()).toEqual([expect.stringMatching(/^Services find it .*=http:\/\/127\.0\.0\.1:\d+$/)]);
  });

  it('stores its data in the folder of --data, for the next one', async () => {
    const folder = await newFolder();
    const first = await startUp(['--port', '0', '--data', folder]);
    expect(first.text).toContain(`kept in ${folder}`);
    expect((await register(first.url, 'orders-1')).status).toBe(201);
    await first.end();

    const second = await startUp(['--port', '0', '--data', folder]);
    const answer = await fetch(`${second.url}/api/v1/services/orders`);
    expect(await answer.json()).toMatchObject({ instances: [{ id: 'orders-1' }] });
    await second.end();
  });

  it('stores it in a folder of the user for its port by default', async () => {
    const home = await newFolder();
    const port = await freePort();
    const { text, url, end } = await startUp(['--port', String(port)], { XDG_STATE_HOME: home });
    expect(text).toContain(`kept in ${join(home, 'rollcall', String(port))}`);
    expect(await (await fetch(`${url}/api/v1/registry`)).json()).toMatchObject({ store: { durable: true } });
    await end();
  });

  it.each([[['--port', '0']], [['--port', '0', '--memory']]])('keeps it in memory with %j', async (argv) => {
    const { text, end } = await startUp(argv);
    expect(text).toContain('in memory');
    await end();
  });

  it('refuses a folder that another registry uses, if it was given', async () => {
    const folder = await newFolder();
    const first = await startUp(['--port', '0', '--data', folder]);
    const shell = createTestShell();
    expect(await run(['up', '--port', '0', '--data', folder], shell)).toBe(1);
    expect(shell.errLines.join('\n')).toMatch(
      /is in use by another registry \(process \d+\)\. End that one, or name another folder/,
    );
    await first.end();
  });

  it('starts without one if its default folder is unusable, and logs that', async () => {
    const port = await freePort();
    const env = { XDG_STATE_HOME: await newFolder() };
    const holder = await startUp(['--port', '0', '--data', join(env.XDG_STATE_HOME, 'rollcall', String(port))]);
    const { errors, text, end } = await startUp(['--port', String(port)], env);
    expect(text).toContain('in memory');
    expect(errors.join('\n')).toMatch(
      /in use by another registry.*keeps everything in memory: --data <folder> names another folder\./,
    );
    for (const line of errors)
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (info|warn|error) /);
    await end();
    await holder.end();
  });

  it('does not start if its own folder is damaged: its instances must not be lost silently', async () => {
    const port = await freePort();
    const env = { XDG_STATE_HOME: await newFolder() };
    const folder = join(env.XDG_STATE_HOME, 'rollcall', String(port));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'snapshot-000000001'), 'hello');
    const shell = createTestShell(env);
    expect(await run(['up', '--port', String(port)], shell)).toBe(1);
    expect(shell.errLines.join('\n')).toMatch(/snapshot-000000001 is damaged at byte 0.*move it away to start empty/);
  });

  it('does not start, open to all local users, if there may be tokens that it cannot read', async () => {
    const port = await freePort();
    const env = { XDG_STATE_HOME: await newFolder() };
    const folder = join(env.XDG_STATE_HOME, 'rollcall', String(port));
    await mkdir(folder, { recursive: true });
    await symlink('not-mounted', join(folder, 'tokens.json'));
    const dangling = createTestShell(env);
    expect(await run(['up', '--port', String(port)], dangling)).toBe(2);
    expect(dangling.errLines.join('\n')).toContain('There is no token file');
  });

  it.runIf(isRoot)('does not start, either, if its own folder is not accessible to this user', async () => {
    const port = await freePort();
    const env = { XDG_STATE_HOME: await newFolder() };
    const unprivileged = 65_534;
    await chown(env.XDG_STATE_HOME, unprivileged, unprivileged);
    const folder = join(env.XDG_STATE_HOME, 'rollcall', String(port));
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o700);
    const shell = createTestShell(env);
    process.seteuid?.(unprivileged);
    const code = run(['up', '--port', String(port)], shell);
    await Promise.race([code, shell.hasOutput]).finally(() => process.seteuid?.(0));
    shell.end();
    expect(await code).toBe(2);
    expect(shell.outLines).toEqual([]);
    expect(shell.errLines.join('\n')).toMatch(
      /tokens\.json cannot be checked.*EACCES.*as the user whose folder it is, name another one with --data, or keep nothing: --memory/,
    );
  });

  it('accepts memory or a folder, not both', async () => {
    const shell = createTestShell();
    expect(await run(['up', '--port', '0', '--memory', '--data', 'state'], shell)).toBe(2);
    expect(shell.errLines.join('')).toContain('leave one of them out');
  });

  it('refuses to listen for a network without --insecure', async () => {
    const shell = createTestShell();
    expect(await run(['up', '--port', '0', '--host', '0.0.0.0'], shell)).toBe(2);
    expect(shell.errLines.join('')).toContain('--insecure');
  });

  it('suggests a fix if the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const shell = createTestShell();
    expect(await run(['up', '--port', String(port)], shell)).toBe(1);
    expect(shell.errLines.join('')).toMatch(new RegExp(`Port ${port} .*taken.*--port 0`));
    other.close();
  });

  it.each([
    ['orders'],
    ['--port', '70000'],
    ['--interval', '5'],
    ['--interval', '1.5'],
    ['--preset', 'slow'],
    ['--fresh-every', '0'],
    ['--name', ''],
  ])('refuses %s', async (...argv) => {
    const shell = createTestShell();
    expect(await run(['up', ...argv], shell)).toBe(2);
    expect(shell.outLines).toEqual([]);
  });
});
