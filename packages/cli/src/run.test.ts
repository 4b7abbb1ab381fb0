import { describe, expect, it } from 'vitest';
import { COMMANDS, run } from './run.js';
import { createTestShell } from './terminal/shell.fixture.js';
import { terminalOf, windowOf } from './terminal/shell.js';

async function runCommand(...argv: string[]) {
  const shell = createTestShell();
  const code = await run(argv, shell);
  return { code, out: shell.outLines.join('\n'), err: shell.errLines.join('\n') };
}

const TOKEN = `rct_0123456789_${'geheim-'.repeat(6)}`;

/** Commands whose help needs no examples. */
const WITHOUT_EXAMPLES = ['up', 'token', 'doctor'];

describe('rollcall', () => {
  it.each([[[]], [['help']], [['--help']], [['-h']]])(
    'prints for %j the help, with the commands and the exit codes',
    async (argv) => {
      const { code, out } = await runCommand(...argv);
      expect(code).toBe(0);
      expect(out).toContain('up ');
      expect(out).toContain('ls ');
      expect(out).toContain('Exit codes: 0 done');
    },
  );

  it('lists every command once, in groups', async () => {
    const { out } = await runCommand('help');
    for (const name of Object.keys(COMMANDS)) expect(out.match(new RegExp(`^  ${name} `, 'gm'))).toHaveLength(1);
    expect(out).toMatch(/^Run:\n {2}up .*^Look:\n.*^Act:\n.*^More:\n/ms);
  });

  it.each(Object.keys(COMMANDS))('prints the usage and the examples of %s --help', async (name) => {
    const { code, out } = await runCommand(name, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`rollcall ${name}`);
    expect(out).toMatch(/^ +-h, --help/m);
    if (!WITHOUT_EXAMPLES.includes(name)) expect(out).toMatch(new RegExp(`^Examples:\\n  .*rollcall ${name}`, 'm'));
  });

  it('prints the version of the package for --version', async () => {
    expect(await runCommand('--version')).toEqual({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/), err: '' });
  });

  it.each([[[TOKEN]], [['completion', TOKEN]], [['token', 'create', '--role', TOKEN]], [['ls', '--namespace', TOKEN]]])(
    'repeats no token that was typed in a wrong place: %#',
    async (argv) => {
      const { code, out, err } = await runCommand(...argv);
      expect(code).toBe(2);
      expect(err).toContain('rct_0123456789_…');
      expect(out + err).not.toContain('geheim');
    },
  );

  it('suggests the right name of a mistyped command', async () => {
    expect(await runCommand('sl')).toEqual({
      code: 2,
      out: '',
      err: 'rollcall: There is no command "sl". Did you mean ls?',
    });
    expect(await runCommand('constructor')).toMatchObject({
      code: 2,
      err: expect.stringContaining('See rollcall help.'),
    });
  });

  it.each(['up', 'ls'])('describes the options for %s --help and does nothing else', async (name) => {
    const { code, out, err } = await runCommand(name, '--json-nothing', '--help');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`Usage: rollcall ${name}`);
  });
});

describe('the exit code', () => {
  it('equals 2 for an invalid command line, which is reported in a sentence', async () => {
    expect(await runCommand('up', '--prot', '0')).toEqual({
      code: 2,
      out: '',
      err: 'rollcall up: Option --prot does not exist. Did you mean --port?',
    });
  });

  it('equals 3 if no registry answers', async () => {
    const { code, err } = await runCommand('ls', '--url', 'http://127.0.0.1:1');
    expect(code).toBe(3);
    expect(err).toContain('npx rollcall up');
  });
});

describe('the terminal', () => {
  it('gets colours only if it is one, and without NO_COLOR', () => {
    expect(terminalOf({ isTTY: true }, {}).isColoured).toBe(true);
    expect(terminalOf({ isTTY: true }, { NO_COLOR: '1' }).isColoured).toBe(false);
    expect(terminalOf({ isTTY: true }, { NO_COLOR: '' }).isColoured).toBe(true);
    expect(terminalOf({}, {}).isColoured).toBe(false);
    expect(terminalOf({}, { FORCE_COLOR: '1' }).isColoured).toBe(true);
  });

  it('redraws in place only if it can move its cursor', () => {
    expect(windowOf({ isTTY: true, columns: 90, rows: 30 }, {})).toEqual({ width: 90, height: 30 });
    expect(windowOf({ isTTY: true, columns: 90, rows: 30 }, { TERM: 'dumb' })).toBeNull();
    expect(windowOf({ columns: 90, rows: 30 }, {})).toBeNull();
  });

  it('gets Unicode unless its locale excludes it', () => {
    expect(terminalOf({}, {}).isUnicode).toBe(true);
    expect(terminalOf({}, { LANG: 'de_DE.UTF-8' }).isUnicode).toBe(true);
    expect(terminalOf({}, { LANG: 'C' }).isUnicode).toBe(false);
    expect(terminalOf({}, { LANG: 'C', LC_ALL: 'en_US.utf8' }).isUnicode).toBe(true);
    expect(terminalOf({}, { TERM: 'linux' }).isUnicode).toBe(false);
  });
});
