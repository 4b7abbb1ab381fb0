import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run } from '../../run.js';
import { createTestShell } from '../../terminal/shell.fixture.js';
import { up } from './up.js';

const textOf = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8');

/** The options that a registry with these arguments reports. */
async function optionsAfter(argv: readonly string[]): Promise<Record<string, { value: unknown; source: string }>> {
  const shell = createTestShell();
  const code = run(['up', '--port', '0', '--memory', '--json', ...argv], shell);
  await Promise.race([shell.hasOutput, code]);
  const { url } = JSON.parse(shell.outLines.join('\n')) as { url: string };
  const { options } = (await (await fetch(`${url}/api/v1/registry`)).json()) as {
    options: Record<string, { value: unknown; source: string }>;
  };
  shell.end();
  expect(await code).toBe(0);
  return options;
}

describe('rollcall up', () => {
  it('passes networks and limits on as options of the registry', async () => {
    const networks = ['--allow-network', '10.0.0.0/8', '--allow-network', 'fd00::/8'];
    const limits = ['--max-instances', '7', '--max-instances-per-service', '2', '--max-calls', '3'];
    const options = await optionsAfter([...networks, ...limits, '--max-watchers', '9', '--max-connections', '40']);
    expect(options).toMatchObject({
      allowedNetworks: { value: ['10.0.0.0/8', 'fd00::/8'], source: 'option' },
      maxInstances: { value: 7, source: 'option' },
      maxInstancesPerService: { value: 2, source: 'option' },
      maxWatchers: { value: 9, source: 'option' },
      maxCalls: { value: 3, source: 'option' },
      maxConnections: { value: 40 },
    });
  });

  it('prints what is allowed if a network is invalid, or limits contradict each other', async () => {
    const shell = createTestShell();
    expect(await run(['up', '--port', '0', '--memory', '--allow-network', 'ten'], shell)).toBe(2);
    expect(shell.errLines.join()).toContain('a network such as 10.0.0.0/8');
    expect(
      await run(['up', '--port', '0', '--memory', '--max-instances', '2', '--max-instances-per-service', '3'], shell),
    ).toBe(2);
  });

  it('offers a flag for each option of the registry that troubleshooting or a refusal names as a fix', () => {
    const texts = [
      textOf('../../../../../docs/guide/troubleshooting.md'),
      textOf('../../../../registry/src/access/refusals.ts'),
    ].join('\n');
    const named = new Set(
      [...texts.matchAll(/\bmax(?:Instances|Watchers|Registrations|Calls|Connections)\w*/g)].map(String),
    );
    expect(named.size).toBeGreaterThan(5);
    const flags = [...named].map((name) => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} `);
    expect([...flags, '--allow-network '].filter((flag) => !up.help.includes(flag))).toEqual([]);
  });
});
