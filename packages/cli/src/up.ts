import { option, RollcallError } from '@rollcall/core';
import type { Log } from '@rollcall/core';
import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import { describeFlags, parseArguments, toggle, valued } from './arguments.js';
import { EXIT } from './shell.js';
import type { Command, ExitCode, Shell } from './shell.js';
import { clockText, printable } from './words.js';

const FLAGS = {
  '--port': valued(
    option.number({ doc: 'default 1337; 0 is any free one', integer: true, min: 0, max: 65_535, default: 1337 }),
    '<port>',
    'p',
  ),
  '--host': valued(
    option.string({ doc: 'the address to listen on; default 127.0.0.1', default: '127.0.0.1' }),
    '<address>',
  ),
  '--interval': valued(
    option.number({
      doc: 'milliseconds between two heartbeats; default 5000',
      unit: 'ms',
      integer: true,
      min: 10,
      max: 3_600_000,
      default: 5_000,
    }),
    '<ms>',
  ),
  '--memory': toggle('keep everything in memory: the only way there is now'),
  '--data': valued(option.string({ doc: 'refused: there is no store on disk yet' }), '<folder>'),
  '--insecure': toggle('listen where others can reach it, though there are no tokens yet'),
  '--json': toggle('once it serves, one line {"url","pid"} and nothing more; log lines go to standard error'),
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall up [options]

Runs a registry until SIGINT (Ctrl-C) or SIGTERM. Services find it by ROLLCALL_URL, or by themselves on port 1337 of their machine.

${describeFlags(FLAGS).join('\n')}`;

/** `rollcall up`: a registry in this process. */
export const up: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, words } = parseArguments(FLAGS, argv);
  if (words.length > 0)
    throw new RollcallError('OPTION_INVALID', `up takes options only; received "${words.join(' ')}".`);
  if (flags['--data'] !== undefined) {
    throw new RollcallError(
      'OPTION_INVALID',
      '--data: there is no store on disk yet, so nothing would be kept in that folder. Leave it out: the registry keeps ' +
        'everything in memory, and after a restart services register again by themselves within one heartbeat.',
    );
  }
  // from now on, so that whoever stops us while we start is heard
  const end = shell.asksToEnd();
  const registry = await startRegistry({
    port: flags['--port'],
    host: flags['--host'],
    intervalMs: flags['--interval'],
    insecure: flags['--insecure'],
    log: logTo(shell),
  });
  if (flags['--json']) shell.out(JSON.stringify({ url: registry.url, pid: process.pid }));
  else welcome(registry, flags['--interval'], shell);
  await end;
  await registry.close();
  return EXIT.done;
}

function welcome({ url }: RunningRegistry, intervalMs: number, shell: Shell): void {
  const isDefault = url === 'http://127.0.0.1:1337';
  shell.out(`Rollcall registry at ${url}, in memory, heartbeats every ${intervalMs / 1_000} s`);
  shell.out(
    isDefault ? 'Services on this machine find it by themselves.' : `Services find it with ROLLCALL_URL=${url}`,
  );
  shell.out(`See who is there: npx rollcall ls${isDefault ? '' : ` --url ${url}`}`);
}

/** One line each: time, level, text. What is of interest only to who looks for a bug is left out. */
function logTo(shell: Shell): Log {
  const at = (level: string) => (text: string) =>
    shell.err(`${clockText(Date.now())} ${level.padEnd(5)} ${printable(text)}`);
  return { debug() {}, info: at('info'), warn: at('warn'), error: at('error') };
}
