// Runs the steps of SECURITY.md, in its order and with its commands, from nothing.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { launch } from './launch.js';
import type { Child } from './launch.js';
import { endAll, PROGRAMS, start } from './spawn.js';
import { waitFor } from './wait-for.js';

const page = readFileSync(fileURLToPath(new URL('../../SECURITY.md', import.meta.url)), 'utf8');
const section = page.slice(page.indexOf('## To harden it'), page.indexOf('## What is not there yet'));
const blocks = [...section.matchAll(/```sh\n([\s\S]*?)\n *```/g)].map(([, text = '']) =>
  text.split('\n').map((line) => line.trim()),
);
/** Commands within the sentences. */
const inlineCommands = [...section.matchAll(/`(npx rollcall [^`]+)`/g)].map(([, text = '']) => text);

const folder = mkdtempSync(join(tmpdir(), 'rollcall-hardening-'));
const tokens = join(folder, 'tokens.json');

afterAll(async () => {
  await endAll();
  rmSync(folder, { recursive: true });
});

/** A line `npx rollcall …` of the page, with the test's own file of tokens instead of that of this machine's registry. */
function type(line: string, more: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Child {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  expect(words.slice(0, 2)).toEqual(['npx', 'rollcall']);
  return launch(process.execPath, [PROGRAMS.rollcall, ...words.slice(2), ...more], { cwd: folder, env });
}

async function outputOf(child: Child): Promise<string> {
  const { code } = await child.exited;
  const text = [...child.out, ...child.err].join('\n');
  if (code !== 0) throw new Error(text);
  return text;
}

async function makeToken(line: string): Promise<string> {
  const text = await outputOf(type(line, ['--tokens', tokens]));
  return /rct_[\w-]+/.exec(text)?.[0] ?? text;
}

const lineWith = (...words: readonly string[]): string => {
  const found = [...blocks.flat(), ...inlineCommands].find((line) => words.every((word) => line.includes(word)));
  if (found === undefined) throw new Error(`SECURITY.md no longer has the line for: ${words.join(' … ')}`);
  return found;
};

describe('hardening by the page, from nothing', () => {
  it('makes tokens, starts, accepts the right ones, replaces a token, removes an instance that used a leaked one', async () => {
    const service = await makeToken(lineWith('token create', '--service orders'));
    await makeToken(lineWith('token create', "'pay-*'"));
    const reader = await makeToken(lineWith('token create', '--role reader'));
    const operator = await makeToken(lineWith('token create', '--role operator'));

    const up = lineWith('up', '--host 0.0.0.0', '--name registry.internal');
    const registry = type(up, ['--port', '0', '--json', '--memory', '--interval', '500', '--tokens', tokens]);
    const { url: anyAddress } = JSON.parse(await registry.line(/^{/)) as { url: string };
    const url = `http://127.0.0.1:${new URL(anyAddress).port}`;
    const list = lineWith('rollcall ls', '<service>').replace(' <service>', '');
    const look = (token: string, more: readonly string[] = []): Child =>
      type(list, ['--url', url, ...more], { ROLLCALL_TOKEN: token });
    const isHealthy = async (): Promise<boolean> => /HEALTHY +yes +orders/.test(await outputOf(look(reader)));

    const orders = start('tcp', [], { ROLLCALL_URL: url, ROLLCALL_TOKEN: service, PORT: '0' });
    await waitFor('orders is HEALTHY', isHealthy);
    for (const wrong of ['', 'rct_made_up']) {
      const { code } = await look(wrong).exited;
      expect(code, `with "${wrong}"`).not.toBe(0);
    }

    // 6: a new token, a restart of the service, and the old one is refused
    const renewed = await makeToken(lineWith('token create', '--service orders'));
    const isTaken = async (token: string): Promise<boolean> =>
      (await fetch(`${url}/api/v1/services`, { headers: { authorization: `Bearer ${token}` } })).ok;
    await waitFor('the new token is taken', () => isTaken(renewed));
    const replacement = start('tcp', [], { ROLLCALL_URL: url, ROLLCALL_TOKEN: renewed, PORT: '0' });
    await waitFor(
      'both are there',
      async () => ((await outputOf(look(reader))).match(/HEALTHY +yes +orders/g) ?? []).length === 2,
    );
    const ids = async (): Promise<string[]> => {
      const answer = await fetch(`${url}/api/v1/services/orders`, { headers: { authorization: `Bearer ${reader}` } });
      return ((await answer.json()) as { instances: { id: string }[] }).instances.map(({ id }) => id);
    };
    const before = await ids();
    const leaked = service.split('_')[1] ?? '';
    await outputOf(type(lineWith('token revoke').replace('<id>', leaked), ['--tokens', tokens]));
    expect(await outputOf(type(lineWith('token list'), ['--tokens', tokens]))).toMatch(
      new RegExp(`${leaked}.*revoked|revoked.*${leaked}`),
    );
    await waitFor('nothing is taken from the old one', async () => !(await isTaken(service)));
    await waitFor(
      'its instance is no longer HEALTHY',
      async () => ((await outputOf(look(reader))).match(/HEALTHY +yes +orders/g) ?? []).length !== 2,
    );

    // it is removed with an operator's token, by the line of the page
    const [asOperator, remove = ''] = lineWith('rollcall rm', '--reason').split(/ (?=npx )/);
    expect(asOperator).toBe('ROLLCALL_TOKEN="$OPERATOR_TOKEN"');
    const replacementId = /orders-[0-9a-f-]+/.exec([...replacement.out, ...replacement.err].join('\n'))?.[0];
    const victim = before.find((id) => id !== replacementId && orders.isAlive) ?? '';
    // as `ls` prints it
    const name = `orders…${victim.slice(-4)}`;
    expect(await outputOf(look(reader))).toContain(name);
    await outputOf(type(remove.replace('orders…7685', name), ['--url', url], { ROLLCALL_TOKEN: operator }));
    await waitFor('it is gone', async () => !(await ids()).includes(victim));
    await waitFor('the other one stays', isHealthy);
  });
});
