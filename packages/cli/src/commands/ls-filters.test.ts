import { isCallable } from '@rollcall/core';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, startFleetRegistry } from '../fleet.fixture.js';
import { run } from '../run.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import type { TestTerminal } from '../terminal/shell.fixture.js';
import { Testbed } from '../testbed.fixture.js';

describe('rollcall ls, of a registry', () => {
  let testbed: Testbed;
  beforeAll(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register('orders-1e07', 'orders', { version: '1.4.2', zone: 'a' });
    await testbed.register('orders-2b9c', 'orders', { version: '1.4.3', zone: 'b' });
    await testbed.register('users-0b9e', 'users', { version: '1.4.2', zone: 'b' });
    await testbed.register('users-77aa', 'users', { namespace: 'shop', zone: 'b' });
    expect(await testbed.run('maintenance', 'orders…2b9c', '--reason', 'new disk')).toMatchObject({ code: 0 });
  });
  afterAll(() => testbed.close());

  const names = async (...argv: readonly string[]): Promise<readonly string[]> => {
    const { code, out } = await testbed.run('ls', '-o', 'name', ...argv);
    expect(code).toBe(0);
    return out === '' ? [] : out.split('\n');
  };

  it.each([
    [['--instances'], ['orders-1e07', 'orders-2b9c', 'users-0b9e']],
    [
      ['--state', 'REGISTERING'],
      ['orders-1e07', 'orders-2b9c', 'users-0b9e'],
    ],
    [['--zone', 'b', '--version', '1.4.2'], ['users-0b9e']],
    [
      ['--zone', 'a', '--zone', 'b', 'orders'],
      ['orders-1e07', 'orders-2b9c'],
    ],
    [['--admin', 'MAINTENANCE'], ['orders-2b9c']],
    [['--admin', 'MAINTENANCE', '--callable', 'no'], ['orders-2b9c']],
    [['--admin', 'MAINTENANCE', '--callable', 'yes'], []],
    [['--search', 'USERS'], ['users-0b9e']],
    [['-A'], ['orders-1e07', 'orders-2b9c', 'users-0b9e', 'users-77aa']],
    [['--all-namespaces', '--search', '77'], ['users-77aa']],
    [['--namespace', 'shop', '--zone', 'b'], ['users-77aa']],
    [
      ['--sort', '-id'],
      ['users-0b9e', 'orders-2b9c', 'orders-1e07'],
    ],
  ])('lists the matches of %j', async (argv, ids) => {
    expect(await names(...argv)).toEqual(ids);
  });

  it('prints a column for callability, and one for namespaces if requested', async () => {
    const { out } = await testbed.run('ls', '--admin', 'MAINTENANCE');
    expect(out).toMatch(/^ +STATE +CALLABLE +INSTANCE/);
    expect(out).toMatch(/MAINTENANCE +no +default\/orders…2b9c/);
    const all = await testbed.run('ls', '-A', '--zone', 'b');
    expect(all.out).toMatch(/REGISTERING +(yes|no) +shop\/users…77aa/);
    expect((await testbed.run('ls', '-A', '-o', 'wide')).out).toMatch(
      /STATE +NAMESPACE +ID +ADDRESSES +VERSION +ADMIN +ZONE +CALLABLE +WEIGHT +CIRCUIT +REASON/,
    );
  });

  it('keeps the requested order in the table', async () => {
    const { out } = await testbed.run('ls', '--sort', '-version');
    expect(out.indexOf('orders…2b9c')).toBeLessThan(out.indexOf('orders…1e07'));
    const other = await testbed.run('ls', '--sort', 'version');
    expect(other.out.indexOf('orders…1e07')).toBeLessThan(other.out.indexOf('orders…2b9c'));
  });

  it('prints whole instances with their heartbeats with -o json', async () => {
    const { out } = await testbed.run('ls', '-o', 'json', '--version', '1.4.3');
    // counts of services would cover the matching instances only
    expect(JSON.parse(out)).not.toHaveProperty('services');
    expect(JSON.parse((await testbed.run('ls', '-o', 'json', '--instances')).out)).toHaveProperty('services');
    expect(JSON.parse(out)).toMatchObject({
      url: testbed.url,
      revision: expect.any(Number),
      instances: [{ id: 'orders-2b9c', admin: 'MAINTENANCE', heartbeats: { heartbeat1: { misses: 0 } } }],
    });
  });

  it('reports if nothing matches, which is not a failure, and applies --fail-on to the matches', async () => {
    expect(await testbed.run('ls', '--zone', 'a', '--version', '9.9')).toEqual({
      code: 0,
      out: '',
      err: `No instance at ${testbed.url} matches.`,
    });
    expect(await testbed.run('ls', '--zone', 'a', '--fail-on', 'REGISTERING')).toMatchObject({
      code: 1,
      err: expect.stringContaining('rollcall ls: 1 of 1 in a state of --fail-on: default/orders…1e07 REGISTERING.'),
    });
    expect(await testbed.run('ls', '--version', '9.9', '--fail-on', 'REGISTERING')).toMatchObject({ code: 0 });
  });

  it.each([
    [['--state', 'ILL'], 'REGISTERING'],
    [['--admin', 'enabled'], 'MAINTENANCE'],
    [['--callable', 'maybe'], 'yes'],
    [['--sort', 'colour'], 'since'],
    [['--search', ''], '1 to 128'],
    [['--watch', '--zone', 'a'], 'leave out --zone'],
    [['--fail-on', 'NOT_CALLABLE', '--zone', 'a'], 'leave out the filters'],
  ])('refuses %j, and prints the allowed values', async (argv, allowed) => {
    expect(await testbed.run('ls', ...argv)).toMatchObject({ code: 2, err: expect.stringContaining(allowed) });
  });

  it('refuses an unknown zone, with a suggestion and the existing zones', async () => {
    expect(await testbed.run('ls', '--zone', 'nowhere', '-o', 'json')).toEqual({
      code: 1,
      out: '',
      err: `rollcall ls: There is no zone "nowhere" at ${testbed.url}. There are a, b.`,
    });
    await testbed.register('mailer-1', 'mailer', { namespace: 'far', zone: 'us-east-2a' });
    expect((await testbed.run('ls', '-n', 'far', '--zone', 'us-east-2')).err).toContain(
      'Did you mean us-east-2a? There is us-east-2a.',
    );
  });

  it('filters by the weight that an operator set, which is in the table and in wide', async () => {
    expect((await testbed.run('weight', 'orders…1e07', '0')).code).toBe(0);
    expect(await names('-A', '--weight', '0')).toEqual(['orders-1e07']);
    expect((await testbed.run('ls', '-A', '-o', 'wide', '--weight', '0')).out).toMatch(/ yes +0 +– +\w/);
    expect((await testbed.run('ls', '-A', '--weight', '0')).out).toContain('Weight 0: callers pass it over');
    expect(await testbed.run('ls', '--weight', '1.5')).toMatchObject({
      code: 2,
      err: expect.stringContaining('whole'),
    });
  });

  it('suggests the right name of a mistyped service here, too', async () => {
    expect(await testbed.run('ls', 'ordres', '--zone', 'a')).toMatchObject({
      code: 1,
      err: expect.stringContaining('Did you mean orders?'),
    });
  });
});

const isRow = (line: string): boolean => / (yes|no) {2,}/.test(line.slice(15));

describe('rollcall ls, of a fleet', () => {
  const instances = createFleet(200, Date.now());
  let url = '';
  let server: Server;
  let requests: readonly string[];
  beforeAll(async () => {
    ({ url, server, requests } = await startFleetRegistry(instances));
  });
  afterAll(() => void server.close());

  async function ls(terminal: TestTerminal, ...argv: readonly string[]) {
    const shell = createTestShell({ ROLLCALL_URL: url }, terminal);
    const code = await run(['ls', ...argv], shell);
    return { code, lines: shell.outLines };
  }

  it.each<readonly string[]>([
    ['--callable', 'yes'],
    ['--callable', 'yes', '-o', 'wide'],
    ['--callable', 'yes', '-o', 'json'],
  ])('requests for %j the order in which pages miss no instance', async (...argv) => {
    const from = requests.length;
    await ls({ height: 40 }, ...argv);
    const sorts = requests.slice(from).flatMap((path) => /^\/api\/v1\/instances\?.*sort=([^&]*)/.exec(path)?.[1] ?? []);
    expect(new Set(sorts)).toEqual(new Set(['service']));
  });

  it('requests one page after the other, and nothing else', async () => {
    const from = requests.length;
    const { lines } = await ls({}, '-o', 'name', '--instances');
    expect(lines).toEqual(instances.map(({ id }) => id));
    const [services = '', ...pages] = requests.slice(from);
    expect(services).toContain('/api/v1/services');
    expect(pages.map((path) => /after=(\d+)/.exec(path)?.[1])).toEqual([undefined, '300', '600', '900']);
    expect(pages.at(-1)).toContain('/api/v1/instances?sort=service&limit=1000&after=900');
  });

  it('shows the first 200 on a terminal and counts the others; a pipe, and --all, get all of them', async () => {
    for (const argv of [[], ['--instances'], ['-o', 'wide', '--instances']]) {
      const { lines } = await ls({ height: 24 }, ...argv);
      expect(lines.join('\n')).toMatch(/^… and (800|467) more\b/m);
      expect(lines.at(-2)).toMatch(/--all/);
      expect(lines.at(-1)).toMatch(/200 services need attention\.$/);
      expect(lines.filter(isRow)).toHaveLength(200);
      expect((await ls({}, ...argv)).lines.filter(isRow)).toHaveLength(1_000);
      expect((await ls({ height: 24 }, '--all', ...argv)).lines.filter(isRow)).toHaveLength(1_000);
    }
    const { lines } = await ls({ height: 24 });
    // the worst first: services without a callable instance, and those that are CRITICAL
    expect(lines.filter((line) => /^. HEALTHY +yes/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.includes('CRITICAL  ')).length).toBeGreaterThan(100);
  });

  it('never cuts -o json and -o name', async () => {
    const { lines } = await ls({ height: 24 }, '-o', 'json', '--state', 'HEALTHY');
    const { instances: listed } = JSON.parse(lines[0] ?? '') as { instances: object[] };
    expect(listed).toHaveLength(instances.filter(({ state }) => state === 'HEALTHY').length);
    expect((await ls({ height: 24 }, '-o', 'name', '--instances')).lines).toHaveLength(1_000);
  });

  it('names at most 20 of the matches of --fail-on', async () => {
    const shell = createTestShell({ ROLLCALL_URL: url });
    expect(await run(['ls', '-o', 'name', '--fail-on', 'CRITICAL'], shell)).toBe(1);
    expect(shell.errLines[0]).toMatch(/200 of 1000 in a state of --fail-on: .*, and 180 more\.$/);
  });

  it('shows for each instance whether callers may call it, by the rule of callers', async () => {
    const { lines } = await ls({}, '-o', 'wide', '--instances');
    for (const [index, instance] of instances.entries()) {
      expect(lines[index + 1]).toMatch(isCallable(instance) ? / yes {2,}/ : / no {2,}/);
    }
  });
});

describe('a truncated list', () => {
  it('prints names that are also unique beyond its end', async () => {
    const [sample] = createFleet(1, Date.now());
    const ids = [...Array.from({ length: 200 }, (_, index) => `orders-a-${1_000 + index}`), 'orders-b-1000'];
    const { url, server } = await startFleetRegistry(
      ids.flatMap((id) => (sample === undefined ? [] : [{ ...sample, id, service: 'orders' }])),
    );
    const shell = createTestShell({ ROLLCALL_URL: url }, { height: 40, width: 100 });
    expect(await run(['ls', 'orders'], shell)).toBe(0);
    expect(shell.outLines.join('\n')).toContain('… and 1 more');
    const names = shell.outLines.flatMap((line) => /^. [A-Z]+ +(?:yes|no) +(\S+)/.exec(line)?.[1] ?? []);
    expect(names).toHaveLength(200);
    expect(names.slice(0, 2)).toEqual(['orders…a-1000', 'orders…1001']);
    server.close();
  });
});
