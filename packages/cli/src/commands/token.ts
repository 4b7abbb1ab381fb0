import { option, redacted, RollcallError, systemRandom, systemTime } from '@rollcall/core';
import {
  changeTokens,
  drawToken,
  readTokens,
  ROLES,
  SERVICE_PATTERN,
  SERVICE_PATTERN_TEXT,
  TOKENS_FILE,
  validityOf,
} from '@rollcall/registry/tokens';
import type { Role, TokenRecord } from '@rollcall/registry/tokens';
import { join, resolve } from 'node:path';
import { describeFlags, parseArguments, repeated, toggle, valued } from '../terminal/arguments.js';
import { jsonText } from '../terminal/json-text.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { ageText, aligned, printable } from '../terminal/texts.js';
import { chooseStore } from './up/store-choice.js';

const DEFAULT_PORT = 1337;
const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The location of the tokens: the same for `up`. */
const LOCATION_FLAGS = {
  '--tokens': valued(
    option.string({ doc: 'the file of tokens; default tokens.json in the folder of --data' }),
    '<file>',
  ),
  '--data': valued(
    option.string({ doc: 'the folder of the registry, as rollcall up has it; default that of --port' }),
    '<folder>',
  ),
  '--port': valued(
    option.number({ doc: 'default 1337', integer: true, min: 1, max: 65_535, default: DEFAULT_PORT }),
    '<port>',
    'p',
  ),
};

const CREATE_FLAGS = {
  '--role': valued(
    option.oneOf(ROLES, {
      doc: 'service: registers, reads, reports; reader: reads; operator: reads, drains and removes instances',
    }),
    '<role>',
  ),
  '--service': repeated(
    option.list({
      doc: `for a service, which ones, with commas between them: ${SERVICE_PATTERN_TEXT}`,
      item: option.string({ doc: 'which services' }),
      default: [],
    }),
    '<names>',
  ),
  '--expires': valued(
    option.string({
      doc: 'the lifetime: 90d, 12h, 30m, 4w; default never',
      pattern: /^([1-9]\d{0,5}[mhdw]|never)$/,
      allowed: 'a number and m, h, d or w, such as 90d, or never',
      default: 'never',
    }),
    '<time>',
  ),
  '--note': valued(
    option.string({
      doc: 'its purpose, shown by list',
      pattern: /^[^\p{C}]{0,100}$/u,
      allowed: 'at most 100 characters on one line',
      default: '',
    }),
    '<text>',
  ),
  ...LOCATION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const MINUTE_PRECISION_MS = 2 * 86_400_000;
const LIST_FLAGS = {
  '--json': toggle('one line of JSON, without the hashes'),
  ...LOCATION_FLAGS,
  '--help': toggle('this text', 'h'),
};
const REVOKE_FLAGS = { ...LOCATION_FLAGS, '--help': toggle('this text', 'h') };

const HELP = `Usage: rollcall token create --role <role> [--service <names>] [options]
       rollcall token list [options]
       rollcall token revoke <id>… [options]

The access tokens of a registry. It is run where the registry's folder is, and needs no running registry: one that asks for tokens
sees within a second what was created or revoked, and one that was started without tokens asks for them from its next start. The
token is shown once, as the line to paste; only its hash is kept. Any number may be valid at the same time, so that an old one is
revoked once all services have the new one.

create
${describeFlags(CREATE_FLAGS).join('\n')}

list
${describeFlags({ '--json': LIST_FLAGS['--json'] }).join('\n')}

Services are given their token as ROLLCALL_TOKEN, rollcall ls too.`;

/** `rollcall token`: manages access tokens. */
export const token: Command = { help: HELP, run };

const ACTIONS: Readonly<Record<string, (argv: readonly string[], shell: Shell) => Promise<ExitCode>>> = {
  create,
  list,
  revoke,
};

async function run([name = '', ...argv]: readonly string[], shell: Shell): Promise<ExitCode> {
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action !== undefined) return await action(argv, shell);
  throw new RollcallError(
    'OPTION_INVALID',
    `received ${name === '' ? 'nothing' : `"${printable(name)}"`}, allowed is create, list or revoke. See rollcall token --help.`,
  );
}

async function create(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(CREATE_FLAGS, argv);
  refuseOperands(operands);
  const { '--role': role, '--expires': expires } = flags;
  const note = redacted(flags['--note']);
  if (role === undefined) throw new RollcallError('OPTION_INVALID', `Set its role: --role ${ROLES.join(', --role ')}.`);
  const services = parseServices(role, flags['--service']);
  const wall = systemTime.wall();
  const expiresAt = expires === 'never' ? null : wall + parseSpanMs(expires);
  const path = tokenPath(flags, shell.env);
  const { token: text, record } = drawToken(systemRandom, { role, services, note, expiresAt }, wall);
  let isFirst = false;
  await changeTokens(path, (records) => {
    isFirst = records.length === 0;
    return [...records, record];
  });
  shell.out(`ROLLCALL_TOKEN=${text}`);
  shell.err(
    `Token ${record.id}: ${rightsText(record)}, ${expiryText(record)}. It is shown this once; ${path} keeps its hash.`,
  );
  if (isFirst)
    shell.err('It is the first one: a registry that was started without tokens asks for them from its next start.');
  return EXIT.done;
}

async function list(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(LIST_FLAGS, argv);
  refuseOperands(operands);
  const path = tokenPath(flags, shell.env);
  const records = (await readTokens(path)) ?? [];
  const wall = systemTime.wall();
  if (flags['--json']) {
    shell.out(jsonText(records.map(({ hash: _hash, ...shown }) => ({ ...shown, status: validityOf(shown, wall) }))));
    return EXIT.done;
  }
  if (records.length === 0) {
    shell.err(`No tokens in ${path}.`);
    return EXIT.done;
  }
  const rows = records.map((record) => [
    record.id,
    validityOf(record, wall),
    record.role,
    record.services.length === 0 ? '–' : record.services.join(','),
    dayText(record.createdAt),
    record.expiresAt === null ? 'never' : endText(record.expiresAt, wall),
    printable(record.note),
  ]);
  for (const line of aligned([HEAD, ...rows])) shell.out(line);
  return EXIT.done;
}

async function revoke(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands: ids } = parseArguments(REVOKE_FLAGS, argv);
  if (ids.length === 0) {
    throw new RollcallError(
      'OPTION_INVALID',
      'Name the token: rollcall token revoke <id>. rollcall token list shows them.',
    );
  }
  const path = tokenPath(flags, shell.env);
  const wall = systemTime.wall();
  await changeTokens(path, (records) => {
    const unknown = ids.find((id) => !records.some((record) => record.id === id));
    if (unknown !== undefined) {
      const shown = /^[0-9a-f]{1,10}$/.test(unknown)
        ? `"${unknown}"`
        : 'of that id (an id has ten digits, it is not the token)';
      throw new RollcallError('OPTION_INVALID', `No token ${shown} in ${path}. rollcall token list shows them.`);
    }
    return records.map((record) =>
      ids.includes(record.id) && record.revokedAt === null ? { ...record, revokedAt: wall } : record,
    );
  });
  shell.err(
    `Revoked ${ids.join(', ')}. A running registry refuses ${ids.length === 1 ? 'it' : 'them'} within a second.`,
  );
  return EXIT.done;
}

// ---- helpers ----------------------------------------------------------------------------------------------------------

const HEAD = ['ID', 'STATUS', 'ROLE', 'SERVICES', 'CREATED', 'EXPIRES', 'NOTE'];

type LocationFlags = {
  readonly '--tokens': string | undefined;
  readonly '--data': string | undefined;
  readonly '--port': number;
};

function tokenPath({ '--tokens': file, '--data': data, '--port': port }: LocationFlags, env: Shell['env']): string {
  if (file !== undefined && data !== undefined) {
    throw new RollcallError('OPTION_INVALID', '--tokens names the file and --data its folder: leave one of them out.');
  }
  if (file !== undefined) return resolve(file);
  const { folder } = chooseStore({ port, data, memory: false }, env);
  return join(folder ?? '.', TOKENS_FILE);
}

function parseServices(role: Role, typed: readonly string[]): readonly string[] {
  const services = [...new Set(typed.flatMap((names) => names.split(',')).map((name) => name.trim()))];
  const wrong = services.find((name) => !SERVICE_PATTERN.test(name));
  if (wrong !== undefined) {
    const received = `received ${JSON.stringify(printable(wrong))}, allowed is ${SERVICE_PATTERN_TEXT}`;
    throw new RollcallError('OPTION_INVALID', `Option --service: ${received}.`);
  }
  if (services.length > 0 === (role === 'service')) return services;
  throw new RollcallError(
    'OPTION_INVALID',
    role === 'service'
      ? "A token of a service names what it may register: --service 'orders,pay-*', or --service '*' for all in the namespace default, '*/*' for all in all of them."
      : `A token of the role ${role} is for no single service: leave out --service.`,
  );
}

function refuseOperands(operands: readonly string[]): void {
  if (operands.length === 0) return;
  throw new RollcallError('OPTION_INVALID', `received ${operands.length} word(s) too many. See rollcall token --help.`);
}

function parseSpanMs(time: string): number {
  return Number(time.slice(0, -1)) * (UNITS_MS[time.slice(-1)] ?? 0);
}

function rightsText({ role, services }: TokenRecord): string {
  return role === 'service' ? `service ${services.join(', ')}` : role;
}

const expiryText = ({ expiresAt }: TokenRecord): string =>
  expiresAt === null ? 'does not expire' : `expires at ${new Date(expiresAt).toISOString()}`;

/** The day; within two days of it, before or after, the minute, as a day is not exact enough then. */
function endText(expiresAt: number, wall: number): string {
  const leftMs = expiresAt - wall;
  if (Math.abs(leftMs) > MINUTE_PRECISION_MS) return dayText(expiresAt);
  const minute = new Date(expiresAt).toISOString().slice(0, 16);
  return leftMs > 0 ? `${minute}Z (in ${ageText(leftMs)})` : `${minute}Z`;
}

const dayText = (wall: number): string => new Date(wall).toISOString().slice(0, 10);
