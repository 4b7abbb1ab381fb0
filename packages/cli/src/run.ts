import { isRollcallError, messageOf, nearest, redacted, VERSION } from '@rollcall/core';
import type { ErrorCode } from '@rollcall/core';
import type { CommandCompletion } from './commands/completion.js';
import { environmentText } from './environment.js';
import { fitHelp } from './terminal/help.js';
import { EXIT } from './terminal/shell.js';
import type { Command, ExitCode, Shell } from './terminal/shell.js';
import { printable } from './terminal/texts.js';

/** A command of `rollcall`. */
export interface CommandEntry {
  /** One of GROUPS. */
  readonly group?: string;
  readonly about: string;
  /** Loads the command on demand: a small command does not wait for modules of others. */
  load(): Promise<Command>;
}

const [RUN, LOOK, ACT, MORE] = ['Run', 'Look', 'Act', 'More'];

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  up: {
    group: RUN,
    about: 'run a registry, with its dashboard',
    load: async () => (await import('./commands/up/up.js')).up,
  },
  token: {
    group: RUN,
    about: 'make, list and revoke access tokens',
    load: async () => (await import('./commands/token.js')).token,
  },
  ls: {
    group: LOOK,
    about: 'list what is registered, with its state and why',
    load: async () => (await import('./commands/ls.js')).ls,
  },
  watch: { group: LOOK, about: 'the same, live', load: async () => (await import('./commands/watch.js')).watch },
  show: {
    group: LOOK,
    about: 'one instance: both heartbeats, why, what comes next, its callers, its past',
    load: async () => (await import('./commands/show.js')).show,
  },
  events: { group: LOOK, about: 'what happened', load: async () => (await import('./commands/events.js')).events },
  graph: {
    group: LOOK,
    about: 'the calls between services, worst first, or to draw',
    load: async () => (await import('./commands/graph.js')).graph,
  },
  doctor: {
    group: LOOK,
    about: 'diagnose problems and suggest fixes',
    load: async () => (await import('./commands/doctor.js')).doctor,
  },
  call: {
    group: ACT,
    about: 'call a service as a service would, once or often',
    load: async () => (await import('./commands/call.js')).call,
  },
  drain: {
    group: ACT,
    about: 'no new calls to an instance',
    load: async () => (await import('./commands/admin/admin.js')).drain,
  },
  undrain: {
    group: ACT,
    about: 'calls to it again',
    load: async () => (await import('./commands/admin/admin.js')).undrain,
  },
  maintenance: {
    group: ACT,
    about: 'no calls to it until you undo it',
    load: async () => (await import('./commands/admin/admin.js')).maintenance,
  },
  weight: {
    group: ACT,
    about: 'more or fewer calls to it',
    load: async () => (await import('./commands/admin/admin.js')).weight,
  },
  rm: { group: ACT, about: 'take it off the record', load: async () => (await import('./commands/admin/admin.js')).rm },
  completion: {
    group: MORE,
    about: 'for bash, zsh or fish',
    load: async () => (await import('./commands/completion.js')).createCompletionCommand(completions),
  },
};

/** In the order of the help; commands without a group are in the last one. */
const GROUPS = [RUN, LOOK, ACT, MORE];
const WIDTH = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
const lineOf = (name: string, about: string): string => `  ${name.padEnd(WIDTH)}  ${about}`;

function groupHelp(group: string | undefined): string {
  const entries = Object.entries(COMMANDS).filter(([, entry]) => (entry.group ?? MORE) === group);
  const lines = entries.map(([name, { about }]) => lineOf(name, about));
  const help = group === MORE ? [lineOf('help', 'this text; rollcall <command> --help is that of a command')] : [];
  return [`${group}:`, ...lines, ...help].join('\n');
}

const HELP = `Usage: rollcall <command> [options]

${GROUPS.map(groupHelp).join('\n\n')}

Environment: ROLLCALL_URL (the registry; default http://127.0.0.1:1337), ROLLCALL_TOKEN (an access token, where it asks for
one), ROLLCALL_CA_FILE, ROLLCALL_CERT_FILE and ROLLCALL_KEY_FILE (for https: its CA, and the client certificate),
NO_COLOR, FORCE_COLOR; without UTF-8 (LANG=C) shapes are ASCII.
Exit codes: ${EXIT.done} done, ${EXIT.failed} it could not be done, ${EXIT.usage} the command line is wrong, ${EXIT.unreachable} no registry answers.`;

const CODES: Partial<Readonly<Record<ErrorCode, ExitCode>>> = {
  OPTION_INVALID: EXIT.usage,
  NOT_LOOPBACK: EXIT.usage,
  REGISTRY_UNREACHABLE: EXIT.unreachable,
};

/**
 * Runs one command line and returns its exit code. Errors are printed as a sentence on standard error, never as a
 * stack, and without secrets that were typed in the wrong place.
 */
export async function run(argv: readonly string[], outerShell: Shell): Promise<ExitCode> {
  const shell: Shell = { ...outerShell, err: (text) => outerShell.err(redacted(text)) };
  const [name = 'help', ...args] = argv;
  if (['help', '--help', '-h'].includes(name)) return print(shell, fitHelp(HELP, shell.terminal.width));
  if (['--version', '-v'].includes(name)) return print(shell, VERSION);
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const suggestion = nearest(name, Object.keys(COMMANDS));
    shell.err(
      `rollcall: There is no command "${printable(name)}". ${suggestion === null ? 'See rollcall help.' : `Did you mean ${suggestion}?`}`,
    );
    return EXIT.usage;
  }
  try {
    const command = await entry.load();
    return wantsHelp(args) ? print(shell, fitHelp(command.help, shell.terminal.width)) : await command.run(args, shell);
  } catch (error) {
    const failureText = environmentText(error);
    if (failureText !== null) {
      shell.err(`rollcall ${name}: ${printable(failureText)}`);
      return EXIT.failed;
    }
    // a bug, not an answer: the stack helps to find it
    if (!isRollcallError(error)) throw error;
    shell.err(`rollcall ${name}: ${messageOf(error).split('\n').map(printable).join('\n')}`);
    return CODES[error.code] ?? EXIT.failed;
  }
}

/** The completions for a shell: every command, with the flags in its help. */
async function completions(): Promise<readonly CommandCompletion[]> {
  const { flagsIn } = await import('./commands/completion.js');
  const entries = Object.entries(COMMANDS);
  return Promise.all(
    entries.map(async ([name, entry]) => ({ name, about: entry.about, flags: flagsIn((await entry.load()).help) })),
  );
}

function wantsHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? argv.length : end).some((word) => word === '--help' || word === '-h');
}

function print(shell: Shell, text: string): ExitCode {
  shell.out(text);
  return EXIT.done;
}
