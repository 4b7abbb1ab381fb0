import { lstatSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  isLoopback,
  isRecord,
  isRollcallError,
  messageOf,
  option,
  PRESET_NAMES,
  PRESETS,
  RollcallError,
} from '@rollcall/core';
import type { Log } from '@rollcall/core';
import { diskStore, startRegistry, TOKENS_FILE } from '@rollcall/registry';
import type { RunningRegistry, StartOptions } from '@rollcall/registry';
import { describeFlags, parseArguments, repeated, toggle, valued } from '../../terminal/arguments.js';
import { isoText } from '../../terminal/moments.js';
import { EXIT } from '../../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../../terminal/shell.js';
import { printable } from '../../terminal/texts.js';
import { chooseStore } from './store-choice.js';
import type { StoreChoice } from './store-choice.js';
import { LIMIT_FLAGS, limitsOf } from './up-limits.js';
import { TLS_FLAGS, tlsOf } from './up-tls.js';

/** The defaults of the registry itself. */
const DEFAULT_PORT = 1_337;
const DEFAULT_HOST = '127.0.0.1';

const FLAGS = {
  '--port': valued(
    option.number({ doc: 'default 1337; 0 is any free one', integer: true, min: 0, max: 65_535 }),
    '<port>',
    'p',
  ),
  '--host': valued(option.string({ doc: 'the address to listen on; default 127.0.0.1' }), '<address>'),
  '--name': repeated(
    option.list({
      doc: 'a host name by which clients reach it, besides localhost and --host; may be repeated',
      item: option.string({ doc: 'a host name' }),
      default: [],
    }),
    '<host>',
  ),
  '--preset': valued(
    option.oneOf(PRESET_NAMES, {
      doc: `the timing: ${PRESET_NAMES.map((name) => `${name} (a heartbeat every ${secondsText(PRESETS[name].intervalMs)})`).join(', ')}`,
    }),
    '<name>',
  ),
  '--interval': valued(
    option.number({
      doc: 'milliseconds between two heartbeats; default: that of --preset',
      unit: 'ms',
      integer: true,
      min: 10,
      max: 3_600_000,
    }),
    '<ms>',
  ),
  '--fresh-every': valued(
    option.number({
      doc: 'every n-th heartbeat opens a connection of its own, the others reuse the last one; default 1: all do',
      integer: true,
      min: 1,
      max: 1_000,
    }),
    '<n>',
  ),
  '--data': valued(
    option.string({ doc: 'keep everything in this folder; default one for this port, see below' }),
    '<folder>',
  ),
  '--memory': toggle('keep everything in memory, as long as this process lives'),
  '--tokens': valued(
    option.string({
      doc: 'require the tokens in this file; default tokens.json in the folder of --data, if it exists',
    }),
    '<file>',
  ),
  ...LIMIT_FLAGS,
  ...TLS_FLAGS,
  '--insecure': toggle(
    'listen on a network without tokens and certificates: any client that reaches it may do everything',
  ),
  '--json': toggle('once it serves, one line {"url","pid"} and nothing more; log lines go to standard error'),
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall up [options]

Runs a registry until SIGINT (Ctrl-C) or SIGTERM. Services find it by ROLLCALL_URL, or by themselves on port 1337 of their machine.

${describeFlags(FLAGS).join('\n')}

Its data is stored in a folder of yours: $XDG_STATE_HOME/rollcall/<port>, or ~/.local/state/rollcall/<port>; on Windows
%LOCALAPPDATA%\\rollcall\\<port>. With --port 0 it is kept in memory only.

Without tokens it listens on this machine only, for all its users. rollcall token create makes the first token; from its next
start the registry asks every request for one, and may listen where others reach it: --host 0.0.0.0. So it may with client certificates:
--tls-ca. Each names what it is for in a URI among its subject alternative names, rollcall:service:<name>, rollcall:reader or
rollcall:operator, or a --tls-client does. Files of certificates and tokens are read again when they have changed.`;

/** `rollcall up`: a registry in this process. */
export const up: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  if (operands.length > 0)
    throw new RollcallError('OPTION_INVALID', `up takes options only; received "${operands.join(' ')}".`);
  const { '--port': port = DEFAULT_PORT, '--host': host = DEFAULT_HOST, '--preset': preset = 'default' } = flags;
  const storeChoice = chooseStore({ port, data: flags['--data'], memory: flags['--memory'] }, shell.env);
  const tokens = tokenFile(flags, storeChoice);
  const tls = tlsOf(flags);
  // listen from now on: a signal during the start must not be lost
  const signal = shell.waitForSignal();
  const intervalMs = flags['--interval'] ?? PRESETS[preset].intervalMs;
  const options = {
    ...givenOptions(flags),
    ...(tokens === null ? {} : { tokens }),
    ...limitsOf(flags),
    ...tls,
    log: logTo(shell),
  };
  const { registry, folder } = await startWithStore(options, storeChoice);
  if (flags['--json']) shell.out(JSON.stringify({ url: registry.url, pid: process.pid }));
  else {
    const networkUrl = urlForNetwork(registry.url, host, flags['--name']);
    printWelcome({ registry, folder, tokens, networkUrl, clients: tls.tls?.caFile ?? null }, intervalMs, shell);
  }
  await signal;
  await registry.close();
  return EXIT.done;
}

/** The given options alone: the registry reports the others as defaults. */
function givenOptions(flags: ReturnType<typeof parseArguments<typeof FLAGS>>['flags']): StartOptions {
  const { '--port': port, '--host': host, '--name': names, '--preset': preset } = flags;
  const { '--interval': intervalMs, '--fresh-every': freshEvery, '--insecure': insecure } = flags;
  return {
    ...(port === undefined ? {} : { port }),
    ...(host === undefined ? {} : { host }),
    ...(names.length === 0 ? {} : { names }),
    ...(preset === undefined ? {} : { preset }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(freshEvery === undefined ? {} : { freshEvery }),
    ...(insecure ? { insecure } : {}),
  };
}

interface StartedRegistry {
  readonly registry: RunningRegistry;
  /** Null: in memory. */
  readonly folder: string | null;
}

/** The token file to use; null: none. */
function tokenFile(
  flags: { readonly '--tokens': string | undefined; readonly '--insecure': boolean },
  { folder }: StoreChoice,
): string | null {
  const defaultPath = folder === null ? null : join(folder, TOKENS_FILE);
  const given = flags['--tokens'];
  const path = given === undefined ? defaultPath : resolve(given);
  if (path === null || (given === undefined && !pathExists(path))) return null;
  if (!flags['--insecure']) return path;
  throw new RollcallError(
    'OPTION_INVALID',
    `--insecure and the tokens in ${path} contradict each other: leave out --insecure, or remove that file.`,
  );
}

/**
 * True also for a dangling link. Throws if that cannot be checked: without the tokens in it the registry would be open
 * to all local users.
 */
function pathExists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    const code = isRecord(cause) ? cause['code'] : undefined;
    if (code === 'ENOTDIR') return false;
    throw new RollcallError(
      'OPTION_INVALID',
      `Whether there are tokens in ${path} cannot be checked: ${messageOf(cause)}. Start it as the user whose folder it is, name another one with --data, or keep nothing: --memory.`,
      { cause },
    );
  }
}

/** If the default folder, which was not asked for, is unusable, the registry runs without one and logs that. */
async function startWithStore(
  options: StartOptions & { readonly log: Log },
  { folder, isExplicit }: StoreChoice,
): Promise<StartedRegistry> {
  if (folder === null) return { registry: await startRegistry(options), folder };
  try {
    return { registry: await startRegistry({ ...options, store: diskStore({ folder, log: options.log }) }), folder };
  } catch (error) {
    const isUnusable = isRollcallError(error) && (error.code === 'STORE_LOCKED' || error.code === 'STORE_FAILED');
    if (isExplicit || !isUnusable) throw error;
    options.log.warn(
      `${error.message} This registry keeps everything in memory: --data <folder> names another folder.`,
    );
    return { registry: await startRegistry(options), folder: null };
  }
}

/** The ROLLCALL_URL for programs on other machines; null: the URL itself, or none can reach it. */
function urlForNetwork(url: string, host: string, [name]: readonly string[]): string | null {
  const isEverywhere = host === '0.0.0.0' || host === '::';
  if (name === undefined && !isEverywhere) return null;
  const { protocol, port } = new URL(url);
  return isLoopback(host)
    ? null
    : `${protocol}//${name ?? '<address of this machine>'}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

interface WelcomeFacts extends StartedRegistry {
  readonly tokens: string | null;
  readonly clients: string | null;
  /** For programs on other machines, if that is another URL. */
  readonly networkUrl: string | null;
}

function printWelcome(
  { registry: { url }, folder, tokens, clients, networkUrl }: WelcomeFacts,
  intervalMs: number,
  shell: Shell,
): void {
  const isDefault = url === 'http://127.0.0.1:1337';
  const where = folder === null ? 'in memory' : `kept in ${folder}`;
  shell.out(`Rollcall registry at ${url}, ${where}, heartbeats every ${secondsText(intervalMs)}`);
  shell.out(
    isDefault
      ? 'Services on this machine find it by themselves.'
      : `Services${networkUrl === null ? '' : ' on this machine'} find it with ROLLCALL_URL=${url}`,
  );
  if (networkUrl !== null) shell.out(`Those on other machines find it with ROLLCALL_URL=${networkUrl}`);
  if (tokens !== null)
    shell.out(`It asks for the tokens in ${tokens}; services have theirs in ROLLCALL_TOKEN: npx rollcall token create`);
  if (clients !== null)
    shell.out(
      `It asks for certificates that ${clients} has signed; services have theirs in ROLLCALL_CERT_FILE and ROLLCALL_KEY_FILE, and its CA in ROLLCALL_CA_FILE`,
    );
  shell.out(`Dashboard: ${url}/`);
  shell.out(`List instances: npx rollcall ls${isDefault ? '' : ` --url ${url}`}`);
}

/** One line each: date and time, level, text. Debug lines are left out. */
function logTo(shell: Shell): Log {
  const at = (level: string) => (text: string) =>
    shell.err(`${isoText(Date.now())} ${level.padEnd(5)} ${printable(text)}`);
  return { debug() {}, info: at('info'), warn: at('warn'), error: at('error') };
}

function secondsText(ms: number): string {
  return `${ms / 1_000} s`;
}
