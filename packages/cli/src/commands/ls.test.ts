import type { RunningRegistry } from '@rollcall/registry';
import { startTestRegistry } from '@rollcall/registry/testing';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../run.js';
import { createTestShell } from '../terminal/shell.fixture.js';

describe('rollcall ls', () => {
  let registry: RunningRegistry;

  beforeAll(async () => {
    registry = await startTestRegistry({ intervalMs: 60_000 });
    for (const [id, service, version] of [
      ['orders-1e07', 'orders', '1.4.2'],
      ['users-0b9e', 'users', '2.0\u202E\u2066'],
    ] as const) {
      const answer = await fetch(`${registry.url}/api/v1/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          id,
          service,
          endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }],
          version,
        }),
      });
      expect(answer.status).toBe(201);
    }
  });
  afterAll(() => registry.close());

  async function ls(...argv: string[]) {
    const shell = createTestShell({ ROLLCALL_URL: registry.url });
    const code = await run(['ls', ...argv], shell);
    return { code, out: shell.outLines.join('\n'), err: shell.errLines.join('\n') };
  }

  it('shows every instance with its state and its reason', async () => {
    const { code, out } = await ls();
    expect(code).toBe(0);
    expect(out).toMatch(/STATE +CALLABLE +INSTANCE +→1 +←2 +SINCE +WHY \/ NEXT/);
    expect(out).toMatch(/◌ REGISTERING +(yes|no) +orders…1e07/);
    expect(out).toMatch(/◌ REGISTERING +(yes|no) +users…0b9e/);
    expect(out).toContain('HEALTHY once proved');
  });

  it('shows the instances of one service', async () => {
    const { out } = await ls('orders');
    expect(out).toContain('orders…1e07');
    expect(out).not.toContain('users');
  });

  it('prints one object with both heartbeats with -o json, one id per line with -o name, addresses with -o wide', async () => {
    const json = JSON.parse((await ls('-o', 'json')).out) as { instances: object[] };
    expect(json).toMatchObject({ url: registry.url, instances: [{ id: 'orders-1e07' }, { id: 'users-0b9e' }] });
    expect(json.instances[0]).toMatchObject({ heartbeats: { heartbeat2: { lastSuccessAgoMs: null } } });
    expect((await ls('-o', 'name')).out).toBe('orders-1e07\nusers-0b9e');
    expect((await ls('orders', '-o', 'wide')).out).toMatch(/REGISTERING +orders-1e07 +tcp:\/\/127\.0\.0\.1:9 +1\.4\.2/);
  });

  it('prints no character of a version that would reverse the line', async () => {
    expect((await ls('users', '-o', 'wide')).out).toMatch(/:9 +2\.0\?\? /);
  });

  it('suggests the right name of a mistyped service', async () => {
    expect(await ls('ordres')).toEqual({
      code: 1,
      out: '',
      err: 'rollcall ls: There is no service "ordres". Did you mean orders?',
    });
  });

  it('reports another program that answers', async () => {
    let answer: readonly [status: number, type: string, text: string] = [200, 'text/plain', 'hello'];
    const other = createServer((_, response) => {
      const [status, type, text] = answer;
      response.writeHead(status, { 'content-type': type }).end(text);
    }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const ask = () => ls('--url', `http://127.0.0.1:${(other.address() as AddressInfo).port}`);
    const { code, err } = await ask();
    expect(code).toBe(1);
    expect(err).toContain(
      'does not answer as a registry does: its answer is not JSON (status 200, text/plain, beginning with "hello")',
    );
    answer = [404, 'text/html', '<h1>Not here</h1>'];
    expect((await ask()).err).toContain('status 404, text/html, beginning with "<h1>Not here</h1>"');
    answer = [200, 'application/json', '{"hello":1}'];
    expect((await ask()).err).toContain(
      'no list of services (status 200, application/json, beginning with "{"hello":1}")',
    );
    other.close();
  });

  it('refuses an invalid URL, and a second service', async () => {
    expect(await ls('--url', 'localhost:1337')).toMatchObject({ code: 2, err: expect.stringContaining('http://') });
    expect(await ls('orders', 'users')).toMatchObject({ code: 2 });
  });

  it('sets the exit code with --fail-on, and names the instances', async () => {
    expect(await ls('--fail-on', 'CRITICAL')).toMatchObject({ code: 0, err: '' });
    const { code, out, err } = await ls('-o', 'name', '--fail-on', 'CRITICAL', '--fail-on', 'REGISTERING');
    expect({ code, out }).toEqual({ code: 1, out: 'orders-1e07\nusers-0b9e' });
    expect(err).toBe('rollcall ls: 2 of 2 in a state of --fail-on: orders…1e07 REGISTERING, users…0b9e REGISTERING.');
    expect(await ls('--fail-on', 'DEAD')).toMatchObject({ code: 2, err: expect.stringContaining('CRITICAL') });
  });

  it('lists another namespace with --namespace', async () => {
    expect(await ls('--namespace', 'shop')).toMatchObject({ code: 1, err: expect.stringContaining('no namespace') });
    expect(await ls('--namespace', 'Shop!')).toMatchObject({ code: 2, err: expect.stringContaining('DNS label') });
  });

  it('reports an empty registry', async () => {
    const empty = await startTestRegistry();
    const { code, out, err } = await ls('--url', empty.url);
    expect({ code, out, err }).toEqual({ code: 0, out: '', err: `No service is registered at ${empty.url}.` });
    expect(JSON.parse((await ls('--url', empty.url, '-o', 'json')).out)).toMatchObject({ instances: [] });
    await empty.close();
  });
});
