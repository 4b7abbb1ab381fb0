import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../run.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import type { TestTerminal } from '../terminal/shell.fixture.js';
import { Testbed } from '../testbed.fixture.js';

const SECRET = 'a-secret-of-132-bits-22';

let testbed: Testbed;
let singleNamespace: Testbed;
beforeAll(async () => {
  [testbed, singleNamespace] = await Promise.all([
    Testbed.start({ intervalMs: 60_000 }),
    Testbed.start({ intervalMs: 60_000 }),
  ]);
  await testbed.register('users-0b9e', 'users');
  await testbed.register('stock-77aa', 'stock');
  await testbed.register('stock-88bb', 'stock', { namespace: 'staging' });
  await testbed.register('orders-1e07', 'orders', { namespace: 'staging' });
  await testbed.register('gateway-6f80', 'gateway', { namespace: 'staging', secret: SECRET });
  const target = { instance: 'orders-1e07', calls: 5, failures: 5, p99Ms: 20, circuit: 'open' };
  const counts = { windowMs: 5_000, calls: 10, failures: 1, retries: 2, p50Ms: 3, p99Ms: 42, inFlight: 0, window: 1 };
  await fetch(`${testbed.url}/api/v1/instances/gateway-6f80/heartbeat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` },
    body: JSON.stringify({ nonce: null, seq: 1, edges: [{ service: 'orders', ...counts, targets: [target] }] }),
  });
  await singleNamespace.register('users-0b9e', 'users');
});
afterAll(() => Promise.all([testbed.close(), singleNamespace.close()]));

describe('where there are several namespaces', () => {
  it('shows in each row of ls its namespace, with --all-namespaces and without', async () => {
    const all = (await testbed.run('ls', '-A')).out;
    for (const name of ['default/users…0b9e', 'default/stock…77aa', 'staging/stock…88bb', 'staging/orders…1e07'])
      expect(all).toContain(name);
    const own = (await testbed.run('ls')).out;
    expect(own).toContain('default/users…0b9e');
    expect(own).not.toContain('staging');
    const stock = (await testbed.run('ls', 'stock', '--all-namespaces')).out;
    expect(stock).toContain('default/stock…77aa');
    expect(stock).toContain('staging/stock…88bb');
    expect(stock).not.toContain('users');
    expect((await testbed.run('ls', '-A', '-o', 'wide')).out).toMatch(/NAMESPACE[^]*REGISTERING +staging +orders-1e07/);
  });

  it('mentions in ls and watch of the default namespace the others and their state', async () => {
    await testbed.run('drain', 'orders…1e07', '-n', 'staging');
    const others = 'Only namespace default; 1 service in trouble in 1 other: -A';
    const onTerminal = await testbed.runOnTerminal({ height: 40 }, 'ls');
    expect(onTerminal.out.split('\n').at(-1)).toBe(others);
    // what reads the rows is not given another line
    expect(await testbed.run('ls')).toMatchObject({ out: expect.not.stringContaining('Only'), err: others });
    for (const argv of [['-A'], ['-n', 'default'], ['users'], ['-o', 'json'], ['-o', 'name']]) {
      const { out, err } = await testbed.runOnTerminal({ height: 40 }, 'ls', ...argv);
      expect(out + err).not.toContain('Only namespace');
    }
    expect(await testbed.runInBackground(['watch'], { height: 40 }).line(/Only namespace/)).toContain(others);
    expect(await testbed.runInBackground(['watch']).errorLine(/Only namespace/)).toBe(others);
    expect((await testbed.run('undrain', 'orders…1e07', '-n', 'staging')).code).toBe(0);
  });

  it('shows the namespace of each event', async () => {
    const { out } = await testbed.run('events', '-A', '--kind', 'registered');
    expect(out).toMatch(/default\/users…0b9e[^]*staging\/orders…1e07/);
    expect((await testbed.run('events', '--limit', '1', '--kind', 'registered', '-n', 'staging')).out).toContain(
      'staging/gateway…6f80',
    );
  });

  it('counts and names in watch the services of each namespace', async () => {
    const shell = createTestShell({ ROLLCALL_URL: testbed.url }, { height: 30, width: 100 } satisfies TestTerminal);
    const code = run(['watch', '-A'], shell);
    const picture = await shell.line(/staging\/stock…88bb/);
    expect(picture).toContain('default/stock…77aa');
    shell.end();
    expect(await code).toBe(0);
  });

  it('prints in watch each change with its namespace, for all of them', async () => {
    const shell = createTestShell({ ROLLCALL_URL: testbed.url });
    const code = run(['watch', '--all-namespaces'], shell);
    await shell.line(/default\/stock…77aa/);
    await shell.line(/staging\/stock…88bb/);
    shell.end();
    expect(await code).toBe(0);
  });

  it('draws with graph the edges of one namespace, or of all', async () => {
    expect((await testbed.run('graph', '-A', '--format', 'dot')).out).toContain(
      '"staging/gateway" -> "staging/orders"',
    );
    expect((await testbed.run('graph', '--namespace', 'staging')).out).toMatch(/^CALLER[^]*\ngateway +orders /);
    const json = JSON.parse((await testbed.run('graph', '-A', '--format', 'json')).out) as unknown;
    expect(json).toMatchObject({ edges: [{ namespace: 'staging', from: 'gateway', to: 'orders' }] });
  });

  it('resolves an id as it is printed, and a whole one in any namespace', async () => {
    expect((await testbed.run('show', 'staging/orders…1e07')).out).toContain('orders-1e07');
    const { out } = await testbed.run('show', 'orders-1e07', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({ id: 'orders-1e07', callers: [{ service: 'gateway' }] });
    expect(await testbed.run('drain', 'orders-1e07')).toMatchObject({ code: 0 });
    expect(await testbed.run('undrain', 'staging/1e07')).toMatchObject({ code: 0 });
  });

  it('checks all of them, or one, with doctor', async () => {
    const instances = async (...argv: string[]): Promise<string> =>
      (await testbed.run('doctor', '--no-ports', '-o', 'json', ...argv)).out;
    expect(await instances('88bb')).toContain('"url"');
    expect(await testbed.run('doctor', '--no-ports', '88bb', '--namespace', 'default')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no instance "88bb"'),
    });
  });
});

it('shows no namespace in any row if there is only one', async () => {
  expect((await singleNamespace.run('ls', '-A')).out).toMatch(/ users…0b9e/);
  expect((await singleNamespace.run('ls', '-o', 'wide')).out).not.toContain('NAMESPACE');
  expect((await singleNamespace.run('events', '--kind', 'registered')).out).toMatch(/ users…0b9e/);
});

describe('a name that is not in the namespace', () => {
  it.each([
    [
      ['ls', 'orders'],
      'There is no service "orders" in namespace default. orders is in namespace staging: --namespace staging',
    ],
    [['call', 'orders', 'find'], 'orders is in namespace staging: --namespace staging'],
    [['ls', 'ordres'], 'Did you mean orders in namespace staging (--namespace staging)?'],
    [['ls', 'users', '-n', 'staging'], 'users is in namespace default: --namespace default'],
    [['show', '1e07'], '"1e07" is orders…1e07 in namespace staging: --namespace staging'],
    [['drain', 'orders…1e07'], '"orders…1e07" is orders…1e07 in namespace staging: --namespace staging'],
  ])('names its namespace for %j', async (argv, why) => {
    expect(await testbed.run(...argv)).toEqual({ code: 1, out: '', err: expect.stringContaining(why) });
  });

  it('names the namespace of its service for events', async () => {
    expect(await testbed.run('events', '--service', 'orders')).toEqual({
      code: 0,
      out: '',
      err: expect.stringContaining('orders is in namespace staging: --namespace staging.'),
    });
  });

  it('resolves by its whole id even after it was removed', async () => {
    await testbed.register('short-9999', 'short', { namespace: 'staging' });
    expect(await testbed.run('rm', 'short-9999')).toMatchObject({ code: 0 });
    expect((await testbed.run('show', 'short-9999')).out).toContain('was removed');
    expect(await testbed.run('show', 'short…9999')).toMatchObject({ code: 1, err: expect.stringContaining('staging') });
  });

  it('makes watch wait, and names where a service of that name is', async () => {
    const shell = createTestShell({ ROLLCALL_URL: testbed.url });
    const code = run(['watch', 'orders'], shell);
    expect(await shell.errorLine(/orders/)).toBe(
      'There is no service "orders" in namespace default. orders is in namespace staging: --namespace staging. Waiting for it.',
    );
    shell.end();
    expect(await code).toBe(0);
  });
});

describe('a namespace without instances', () => {
  const WHY = 'There is no namespace "nope" at http://127.0.0.1';

  it.each([
    [['ls', '-n', 'nope']],
    [['ls', 'orders', '-n', 'nope']],
    [['ls', '--namespace', 'nope', '-o', 'json']],
    [['events', '--namespace', 'nope', '--kind', 'state']],
    [['graph', '--namespace', 'nope']],
    [['show', '1e07', '--namespace', 'nope']],
    [['call', 'orders', 'find', '--namespace', 'nope']],
    [['doctor', '--no-ports', '--namespace', 'nope']],
  ])('makes %j report it as unknown', async (argv) => {
    const { code, out, err } = await testbed.run(...argv);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(WHY);
    expect(err).toMatch(/there are default, staging\.$/);
  });

  it('makes watch wait for it', async () => {
    const shell = createTestShell({ ROLLCALL_URL: testbed.url });
    const code = run(['watch', '-n', 'nope'], shell);
    expect(await shell.errorLine(/nope/)).toMatch(
      /There is no namespace "nope" .*there are default, staging\. Waiting for it\.$/,
    );
    shell.end();
    expect(await code).toBe(0);
  });

  it('excludes default, which always exists: namespaces with services are named instead', async () => {
    const emptyDefault = await Testbed.start({ intervalMs: 60_000 });
    await emptyDefault.register('orders-1e07', 'orders', { namespace: 'staging' });
    const { code, out, err } = await emptyDefault.run('ls');
    await emptyDefault.close();
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toMatch(
      /^No service is registered in namespace default at .*; there are services in staging: --namespace/,
    );
  });
});

it.each([
  [['ls', '-A', '--namespace', 'staging'], '--all-namespaces'],
  [['events', '-A', '--namespace', 'staging'], '--all-namespaces'],
])('refuses the contradiction %j', async (argv, why) => {
  expect(await testbed.run(...argv)).toEqual({ code: 2, out: '', err: expect.stringContaining(why) });
});
