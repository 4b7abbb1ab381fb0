import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { COMMANDS, run } from '../run.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import { flagsIn } from './completion.js';

async function completion(...argv: string[]) {
  const shell = createTestShell();
  const code = await run(['completion', ...argv], shell);
  return { code, out: shell.outLines.join('\n'), err: shell.errLines.join('\n') };
}

describe('rollcall completion', () => {
  it.each(['bash', 'zsh', 'fish'])('%s completes every command and its options', async (name) => {
    const { code, out } = await completion(name);
    expect(code).toBe(0);
    for (const command of Object.keys(COMMANDS)) expect(out).toContain(command);
    expect(out).toContain('fail-on');
  });

  it('completes commands and options in a real bash', async () => {
    const { out } = await completion('bash');
    const typed = (words: string, at: number): string =>
      spawnSync(
        'bash',
        ['--norc', '-c', `${out}\nCOMP_WORDS=(${words}) COMP_CWORD=${at}; _rollcall; echo "\${COMPREPLY[*]}"`],
        {
          encoding: 'utf8',
        },
      ).stdout.trim();
    expect(typed('rollcall wa', 1)).toBe('watch');
    expect(typed('rollcall ls --fail', 2)).toBe('--fail-on');
    expect(typed('rollcall completion f', 2)).toBe('fish');
  });

  it('refuses another shell, or none', async () => {
    expect(await completion('tcsh')).toMatchObject({ code: 2, err: expect.stringContaining('bash, zsh, fish') });
    expect(await completion()).toMatchObject({ code: 2 });
  });

  it('finds the flags in a help text', () => {
    expect(flagsIn('  -o, --output <f>  x\n      --url <url>  --not this\n  rollcall ls --nor-this')).toEqual([
      '-o',
      '--output',
      '--url',
    ]);
  });
});
