import { isRollcallError, messageOf, nearest } from '@rollcall/core';
import type { ErrorCode } from '@rollcall/core';
import { readFileSync } from 'node:fs';
import { EXIT } from './shell.js';
import type { Command, ExitCode, Shell } from './shell.js';

interface Entry {
  readonly about: string;
  /** Loaded when it is asked for, so that a small command does not wait for what only another one needs. */
  load(): Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  up: { about: 'run a registry', load: async () => (await import('./up.js')).up },
  token: { about: 'make, list and revoke access tokens', load: async () => (await import('./token.js')).token },
  ls: { about: 'list what is registered, with its state and why', load: async () => (await import('./ls.js')).ls },
};

const HELP = `Usage: rollcall <command> [options]

${Object.entries(COMMANDS)
  .map(([name, { about }]) => `  ${name.padEnd(6)}${about}`)
  .join('\n')}
  help  this text; rollcall <command> --help is that of a command

Environment: ROLLCALL_URL (the registry; default http://127.0.0.1:1337), ROLLCALL_TOKEN (an access token, where it asks for
one), NO_COLOR.
Exit codes: ${EXIT.done} done, ${EXIT.failed} it could not be done, ${EXIT.usage} the command line is wrong, ${EXIT.unreachable} no registry answers.`;

const CODES: Partial<Readonly<Record<ErrorCode, ExitCode>>> = {
  OPTION_INVALID: EXIT.usage,
  NOT_LOOPBACK: EXIT.usage,
  REGISTRY_UNREACHABLE: EXIT.unreachable,
};

/** Runs one command line and says how it went. What goes wrong is told in a sentence on standard error, never as a stack. */
export async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const [name = 'help', ...rest] = argv;
  if (['help', '--help', '-h'].includes(name)) return say(shell, HELP);
  if (['--version', '-v'].includes(name)) return say(shell, version());
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const meant = nearest(name, Object.keys(COMMANDS));
    shell.err(
      `rollcall: There is no command "${name}". ${meant === null ? 'See rollcall help.' : `Did you mean ${meant}?`}`,
    );
    return EXIT.usage;
  }
  try {
    const command = await entry.load();
    return wantsHelp(rest) ? say(shell, command.help) : await command.run(rest, shell);
  } catch (error) {
    // a bug, not an answer: its stack is what helps to find it
    if (!isRollcallError(error)) throw error;
    shell.err(`rollcall ${name}: ${messageOf(error)}`);
    return CODES[error.code] ?? EXIT.failed;
  }
}

function wantsHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? argv.length : end).some((word) => word === '--help' || word === '-h');
}

function say(shell: Shell, text: string): ExitCode {
  shell.out(text);
  return EXIT.done;
}

function version(): string {
  const { version: text } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return text;
}
