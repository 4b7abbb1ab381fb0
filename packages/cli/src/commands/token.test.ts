import { startTestRegistry } from '@rollcall/registry/testing';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../run.js';
import { createTestShell } from '../terminal/shell.fixture.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-token-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function rollcall(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const shell = createTestShell({ XDG_STATE_HOME: folder, ...env });
  const code = await run(argv, shell);
  return { code, out: shell.outLines.join('\n'), err: shell.errLines.join('\n') };
}

const create = (...argv: readonly string[]) => rollcall(['token', 'create', '--data', folder, ...argv]);

/** The token in what was printed, and its id. */
function tokenIn(out: string): { readonly token: string; readonly id: string } {
  const [, token = '', id = ''] = /^ROLLCALL_TOKEN=(rct_([0-9a-f]{10})_[A-Za-z0-9_-]{43})$/.exec(out) ?? [];
  expect(token).not.toBe('');
  return { token, id };
}

describe('rollcall token', () => {
  it('prints the line to paste once, and stores the hash where only the owner can read it', async () => {
    const { code, out, err } = await create('--role', 'service', '--service', 'orders,pay-*', '--service', 'shop/*');
    expect(code).toBe(0);
    const { token, id } = tokenIn(out);
    expect(err).toContain(`Token ${id}: service orders, pay-*, shop/*, does not expire.`);
    expect(err).toContain('from its next start');
    const path = join(folder, 'tokens.json');
    const kept = await readFile(path, 'utf8');
    expect(kept).not.toContain(token.slice(15));
    expect(err).not.toContain(token);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await create('--role', 'reader')).err).not.toContain('first');
  });

  it('stores the tokens where rollcall up with the same flags reads them', async () => {
    await rollcall(['token', 'create', '--role', 'operator']);
    await rollcall(['token', 'create', '--role', 'operator', '--port', '4000']);
    const file = join(folder, 'elsewhere.json');
    await rollcall(['token', 'create', '--role', 'operator', '--tokens', file]);
    for (const path of [
      join(folder, 'rollcall', '1337', 'tokens.json'),
      join(folder, 'rollcall', '4000', 'tokens.json'),
      file,
    ])
      expect(await readFile(path, 'utf8')).toContain('operator');
  });

  it('lists the tokens without hashes', async () => {
    const first = tokenIn((await create('--role', 'service', '--service', '*', '--note', 'all of them')).out);
    const second = tokenIn((await create('--role', 'reader', '--expires', '90d')).out);
    await rollcall(['token', 'revoke', first.id, '--data', folder]);
    const { out } = await rollcall(['token', 'list', '--data', folder]);
    const lines = out.split('\n');
    expect(lines[0]).toMatch(/^ID +STATUS +ROLE +SERVICES +CREATED +EXPIRES +NOTE$/);
    expect(lines[1]).toMatch(
      new RegExp(`^${first.id} +revoked +service +\\* +\\d{4}-\\d\\d-\\d\\d +never +all of them$`),
    );
    expect(lines[2]).toMatch(new RegExp(`^${second.id} +valid +reader +– `));
    const { out: json } = await rollcall(['token', 'list', '--json', '--data', folder]);
    const [one, other] = JSON.parse(json) as Record<string, unknown>[];
    expect(one).toMatchObject({ id: first.id, status: 'revoked', services: ['*'] });
    expect(Number(other?.['expiresAt']) - Number(other?.['createdAt'])).toBe(90 * 86_400_000);
    expect(json + out).not.toMatch(/[0-9a-f]{64}/);
  });

  it('lists the remaining time of a token that expires soon', async () => {
    await create('--role', 'reader', '--expires', '30m');
    const { out } = await rollcall(['token', 'list', '--data', folder]);
    expect(out).toMatch(/ \d{4}-\d\d-\d\dT\d\d:\d\dZ \(in (?:29|30) min\)/);
  });

  it('names the file if it has no tokens', async () => {
    const { code, err } = await rollcall(['token', 'list', '--data', folder]);
    expect([code, err]).toEqual([0, `No tokens in ${join(folder, 'tokens.json')}.`]);
  });

  it.each([
    [['token'], 'create, list or revoke'],
    [['token', 'crate'], 'received "crate"'],
    [['token', 'create'], '--role service, --role reader, --role operator'],
    [['token', 'create', '--role', 'root'], 'one of "service", "reader", "operator"'],
    [['token', 'create', '--role', 'service'], "--service 'orders,pay-*'"],
    [['token', 'create', '--role', 'reader', '--service', 'orders'], 'leave out --service'],
    [['token', 'create', '--role', 'service', '--service', 'Orders'], 'received "Orders"'],
    [['token', 'create', '--role', 'service', '--service', 'a,,b'], 'received ""'],
    [['token', 'create', '--role', 'reader', '--expires', 'soon'], 'such as 90d, or never'],
    [['token', 'create', '--role', 'reader', '--expires', '0d'], 'such as 90d, or never'],
    [['token', 'create', '--role', 'reader', '--expire', '1d'], 'Did you mean --expires?'],
    [['token', 'create', '--role', 'reader', '--tokens', 'a', '--data', 'b'], 'leave one of them out'],
    [['token', 'revoke'], 'rollcall token revoke <id>'],
    [['token', 'revoke', '0123456789'], 'No token "0123456789"'],
  ])('refuses %j', async (argv, text) => {
    const { code, out, err } = await rollcall(argv);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(text);
  });

  it('does not repeat a whole token that was given to revoke instead of its id, and revokes nothing', async () => {
    const { token, id } = tokenIn((await create('--role', 'reader')).out);
    const { code, err } = await rollcall(['token', 'revoke', id, token, '--data', folder]);
    expect(code).toBe(2);
    expect(err).not.toContain(token);
    expect((await rollcall(['token', 'list', '--data', folder])).out).toMatch(new RegExp(`${id} +valid`));
  });

  it('does not change a file that it cannot read', async () => {
    const file = join(folder, 'other.json');
    await writeFile(file, '{"mine":true}');
    const { code, err } = await rollcall(['token', 'create', '--role', 'reader', '--tokens', file]);
    expect(code).toBe(1);
    expect(err).toContain('cannot be read');
    expect(await readFile(file, 'utf8')).toBe('{"mine":true}');
  });
});

const ROLE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  service: ['--service', '*'],
  reader: [],
  operator: [],
};

describe('tokens of a registry', () => {
  it('stay required, and valid until they are revoked', async () => {
    const file = join(folder, 'tokens.json');
    const first = await rollcall(['token', 'create', '--role', 'reader', '--tokens', file]);
    const { token, id } = tokenIn(first.out);
    const shell = createTestShell({});
    const serving = run(['up', '--port', '0', '--memory', '--host', '0.0.0.0', '--tokens', file], shell);
    await Promise.race([shell.hasOutput, serving]);
    expect(shell.outLines.join('\n')).toContain('It asks for the tokens in');
    const url = /http:\S+(?=,)/.exec(shell.outLines.join('\n'))?.[0] ?? '';
    const ls = (env: Readonly<Record<string, string>>) => rollcall(['ls', '--url', url], env);
    expect(await ls({})).toMatchObject({ code: 1, err: expect.stringContaining('requires a token') });
    expect(await ls({ ROLLCALL_TOKEN: token })).toMatchObject({
      code: 0,
      err: expect.stringContaining('No service is registered'),
    });
    await rollcall(['token', 'revoke', id, '--tokens', file]);
    await expect
      .poll(async () => (await ls({ ROLLCALL_TOKEN: token })).err, { timeout: 5_000 })
      .toContain('was revoked');
    shell.end();
    expect(await serving).toBe(0);
    expect([...shell.outLines, ...shell.errLines].join('\n')).not.toContain(token);
  });

  it('allow a reader to read, and only an operator to act', async () => {
    const file = join(folder, 'roles.json');
    const made = async (role: string) =>
      tokenIn((await rollcall(['token', 'create', '--role', role, '--tokens', file, ...(ROLE_FLAGS[role] ?? [])])).out)
        .token;
    const [service, reader, operator] = [await made('service'), await made('reader'), await made('operator')];
    const registry = await startTestRegistry({ tokens: file, intervalMs: 60_000 });
    const { url } = registry;
    const registered = await fetch(`${url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${service}` },
      body: JSON.stringify({ id: 'orders-1', service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }] }),
    });
    expect(registered.status).toBe(201);
    const as = (token: string, ...argv: string[]) => rollcall([...argv, '--url', url], { ROLLCALL_TOKEN: token });
    expect(await as(reader, 'show', 'orders-1')).toMatchObject({ code: 0 });
    expect(await as(reader, 'events')).toMatchObject({ code: 0, out: expect.stringContaining('registered') });
    const refused = await as(reader, 'drain', 'orders-1');
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringContaining('--role operator') });
    expect(await as(operator, 'drain', 'orders-1')).toMatchObject({ code: 0 });
    expect(await as(operator, 'rm', 'orders-1')).toMatchObject({ code: 0 });
    const shell = createTestShell({ ROLLCALL_URL: url, ROLLCALL_TOKEN: reader });
    const watching = run(['watch', '--json'], shell);
    expect(await shell.line(/"line"/)).toContain('"live":true');
    shell.end();
    expect(await watching).toBe(0);
    await registry.close();
  });

  it('come from the folder, and exclude --insecure', async () => {
    await create('--role', 'operator');
    const insecure = await rollcall(['up', '--port', '0', '--data', folder, '--insecure']);
    expect(insecure).toMatchObject({ code: 2, err: expect.stringContaining('contradict') });
    const shell = createTestShell({});
    const serving = run(['up', '--port', '0', '--data', folder], shell);
    await Promise.race([shell.hasOutput, serving]);
    const url = /http:\S+(?=,)/.exec(shell.outLines.join('\n'))?.[0] ?? '';
    expect((await fetch(`${url}/api/v1/services`)).status).toBe(401);
    shell.end();
    await serving;
  });

  it('precede listening on a network: the error names the command that creates one', async () => {
    const { code, err } = await rollcall(['up', '--port', '0', '--host', '0.0.0.0']);
    expect(code).toBe(2);
    expect(err).toContain('rollcall token create');
  });
});
