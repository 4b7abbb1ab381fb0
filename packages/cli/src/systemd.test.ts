import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run } from './run.js';
import { createTestShell } from './terminal/shell.fixture.js';

const FOLDER = fileURLToPath(new URL('../../../deploy/systemd', import.meta.url));
const UNITS = readdirSync(FOLDER).filter((name) => name.endsWith('.service'));

/** Each assignment of a unit, `Section.Key` and its value; lines that systemd would not understand throw. */
function settingsOf(name: string): readonly (readonly [string, string])[] {
  let section = '';
  return readFileSync(join(FOLDER, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => {
      const [, heading] = /^\[(Unit|Service|Install)\]$/.exec(line) ?? [];
      const [, key, value] = /^([A-Z][A-Za-z]+)=(.*)$/.exec(line) ?? [];
      if (heading === undefined && key === undefined) throw new Error(`${name}: ${line}`);
      section = heading ?? section;
      return key === undefined ? [] : [[`${section}.${key}`, value ?? ''] as const];
    });
}

const settingValues = (name: string, key: string): readonly string[] =>
  settingsOf(name).flatMap(([known, value]) => (known === key ? [value] : []));

describe('the units in deploy/systemd', () => {
  it.each(UNITS)('restart %s without new privileges, and leave it time to drain', (name) => {
    expect(settingValues(name, 'Service.Restart')).toEqual(['always']);
    expect(settingValues(name, 'Service.NoNewPrivileges')).toEqual(['yes']);
    expect(settingValues(name, 'Service.ProtectSystem')).toEqual(['strict']);
    expect(Number.parseInt(settingValues(name, 'Service.TimeoutStopSec')[0] ?? '', 10)).toBeGreaterThanOrEqual(20);
    expect(settingValues(name, 'Service.EnvironmentFile').join()).toMatch(/\/etc\/rollcall\/[a-z]+\.env/);
    expect(settingValues(name, 'Install.WantedBy')).toEqual(['multi-user.target']);
    // a token on a command line, or in a unit, is readable by all users
    expect(readFileSync(join(FOLDER, name), 'utf8')).not.toMatch(/ROLLCALL_TOKEN=|rct_/);
  });

  it('store the data of the registry in the folder that systemd creates', async () => {
    const [command = ''] = settingValues('rollcall-registry.service', 'Service.ExecStart');
    expect(settingValues('rollcall-registry.service', 'Service.StateDirectory')).toEqual(['rollcall']);
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-'));
    const args = command
      .replace('${STATE_DIRECTORY}', folder)
      .replace('$ROLLCALL_UP_OPTIONS', '--port 0 --json')
      .split(' ');
    expect(args.slice(0, 3)).toEqual(['/usr/bin/env', 'rollcall', 'up']);
    const shell = createTestShell();
    const running = run(args.slice(2), shell);
    await shell.hasOutput;
    const { url } = JSON.parse(shell.outLines[0] ?? '') as { url: string };
    const { store } = (await (await fetch(`${url}/api/v1/registry`)).json()) as { store: { durable: boolean } };
    expect(store.durable).toBe(true);
    expect(readdirSync(folder).length).toBeGreaterThan(0);
    shell.end();
    expect(await running).toBe(0);
    rmSync(folder, { recursive: true });
  });
});
