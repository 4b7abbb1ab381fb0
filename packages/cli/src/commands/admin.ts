import { option, RollcallError } from '@rollcall/core';
import type { AdminState, InstancePatch } from '@rollcall/core';
import type { RegistryApi } from '../registry/registry-api.js';
import type { Json } from '../registry/json.js';
import { apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { whoIs } from '../registry/resolve-instance.js';
import { overrideTerms, untilText } from '../render/override-terms.js';
import { describeFlags, parseArguments, toggle, valued } from '../terminal/arguments.js';
import type { Flags } from '../terminal/arguments.js';
import { OUTPUT_FLAG } from '../terminal/formats.js';
import { jsonText } from '../terminal/json-text.js';
import { neededWords } from '../terminal/operands.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { spanOf } from '../terminal/spans.js';
import { leftCallable, TARGET_FLAGS, targetsOf } from './admin-targets.js';
import { untilQuiet } from './until-drained.js';

/** As the registry allows it. */
const LONGEST_UNTIL_MS = 30 * 86_400_000;

const REASON_FLAG = {
  '--reason': valued(
    option.string({
      doc: 'why, for people: at most 200 characters',
      pattern: /^[^\p{C}]{1,200}$/u,
      allowed: '1 to 200 characters on one line',
    }),
    '<text>',
  ),
};
const UNTIL_FLAG = {
  '--until': valued(
    option.string({
      doc: `how long it counts: 90s, 30m, 2h, 1d, at most 30d; default: until it is taken back`,
    }),
    '<time>',
  ),
};
const WAIT_FLAGS = {
  '--wait': toggle('return when its calls have ended, as far as callers tell'),
  '--timeout': valued(option.string({ doc: 'with --wait: at most so long; default 2m', default: '2m' }), '<time>'),
};
const COMMON = { ...OUTPUT_FLAG, ...NAMESPACE_FLAG, ...CONNECTION_FLAGS, '--help': toggle('this text', 'h') };

const WHO = `The id may be short, as it is printed: orders…1e07, orders-1e07, or an end that no other has. For operators: with a token of theirs
where tokens are asked for (ROLLCALL_TOKEN), else on the registry's own machine.`;

function helpOf(usage: string, about: string, flags: Flags, examples: readonly string[]): string {
  return [
    `Usage: rollcall ${usage} [options]`,
    `${about}\n${WHO}`,
    describeFlags(flags).join('\n'),
    `Examples:\n${examples.map((line) => `  rollcall ${line}`).join('\n')}`,
  ].join('\n\n');
}

// ---- drain, maintenance ---------------------------------------------------------------------------------------------

const AWAY_FLAGS = { ...TARGET_FLAGS, ...REASON_FLAG, ...UNTIL_FLAG, ...WAIT_FLAGS, ...COMMON };

function away(name: 'drain' | 'maintenance', admin: AdminState, about: string): Command {
  const help = helpOf(`${name} <id>… | --service <name>`, about, AWAY_FLAGS, [
    `${name} orders…1e07 --reason "new disk" --until 2h`,
    `${name} --service orders --version 1.5.5 --reason "roll back"`,
    `${name} 1e07 --wait && ssh host systemctl stop orders`,
  ]);
  const run = async (argv: readonly string[], shell: Shell): Promise<ExitCode> => {
    const { flags, words } = parseArguments(AWAY_FLAGS, argv);
    const timeoutMs = spanOf(flags['--timeout'], '--timeout');
    const patch = { admin, ...wordsOf(flags) };
    const targets = await targetsOf(name, words, flags, await apiOf(flags, shell.env));
    const isText = flags['--output'] === 'text';
    const done: { readonly id: string; readonly api: RegistryApi; readonly said: Json }[] = [];
    for (const { id, name: short, api } of targets) {
      const said = await api.patch(id, patch);
      done.push({ id, api, said });
      const until = untilText(overrideTerms(said, 'admin'));
      if (isText) shell.out(`${short} is ${admin}${until}: no new calls go to it. Back: rollcall undrain ${id}`);
      else if (!flags['--wait']) shell.out(jsonText({ instance: said }));
    }
    const services = new Map(done.map(({ api, said }) => [String(said['service']), api]));
    for (const { text, isOut } of await leftCallable(services)) {
      if (isOut) shell.err(text);
      else if (isText) shell.out(text);
    }
    if (!flags['--wait']) return EXIT.done;
    let isQuiet = true;
    for (const { id, api, said } of done) {
      const end = await untilQuiet(api, { id, service: String(said['service']), timeoutMs }, shell);
      if (isText) shell.out(end.text);
      else shell.out(jsonText({ instance: said, quiet: end.isQuiet, afterMs: end.afterMs }));
      isQuiet &&= end.isQuiet;
    }
    return isQuiet ? EXIT.done : EXIT.failed;
  };
  return { help, run };
}

/** `rollcall drain`: no new calls, those under way go on. */
export const drain: Command = away(
  'drain',
  'DRAINING',
  `No new calls go to the instance; those under way go on, and it stays registered. With --wait it returns when its calls have ended: when
its callers, who tell of their calls every 5 s, have none under way there. Calls from outside of Rollcall are not seen.`,
);

/** `rollcall maintenance`: the same, for longer. */
export const maintenance: Command = away(
  'maintenance',
  'MAINTENANCE',
  `No calls go to the instance until it is taken back, whatever its state; those under way go on.`,
);

// ---- undrain, weight, rm --------------------------------------------------------------------------------------------

const BACK_FLAGS = { ...TARGET_FLAGS, ...REASON_FLAG, ...COMMON };
const UNDRAIN_HELP = helpOf(
  'undrain <id>… | --service <name>',
  'Ends a drain or a maintenance: calls go to the instance again.',
  BACK_FLAGS,
  ['undrain orders…1e07', 'undrain --service orders --version 1.5.5'],
);

/** `rollcall undrain` */
export const undrain: Command = {
  help: UNDRAIN_HELP,
  async run(argv, shell) {
    const { flags, words } = parseArguments(BACK_FLAGS, argv);
    const reason = flags['--reason'];
    for (const { id, name, api } of await targetsOf('undrain', words, flags, await apiOf(flags, shell.env))) {
      const said = await api.patch(id, { admin: 'ENABLED', ...(reason === undefined ? {} : { reason }) });
      const text = `${name} is ENABLED: calls go to it again, if its state allows.`;
      shell.out(flags['--output'] === 'text' ? text : jsonText({ instance: said }));
    }
    return EXIT.done;
  },
};

const WEIGHT_FLAGS = { ...REASON_FLAG, ...UNTIL_FLAG, ...COMMON };
const WEIGHT_HELP = helpOf(
  'weight <id> <0 … 1000 | own>',
  `How many calls the instance gets relative to others (100 is usual), instead of what it says itself; own takes that word back.`,
  WEIGHT_FLAGS,
  ['weight orders…1e07 10 --reason "new version, carefully" --until 30m', 'weight orders…1e07 own'],
);

/** `rollcall weight` */
export const weight: Command = {
  help: WEIGHT_HELP,
  async run(argv, shell) {
    const { flags, words } = parseArguments(WEIGHT_FLAGS, argv);
    const [typed = '', number = ''] = neededWords('weight <id> <0 … 1000 | own>', words, 2);
    const value = number === 'own' ? null : weightOf(number);
    const { id, name, api } = await whoIs(typed, await apiOf(flags, shell.env));
    const said = await api.patch(id, { weight: value, ...(value === null ? {} : wordsOf(flags)) });
    const text = `${name} has the weight ${String(said['weight'])}${value === null ? ', its own' : untilText(overrideTerms(said, 'weight'))}.`;
    shell.out(flags['--output'] === 'text' ? text : jsonText({ instance: said }));
    return EXIT.done;
  },
};

function weightOf(typed: string): number {
  if (/^\d{1,4}$/.test(typed) && Number(typed) <= 1_000) return Number(typed);
  throw new RollcallError(
    'OPTION_INVALID',
    `The weight: received "${typed}", allowed is a whole number 0 … 1000, or own.`,
  );
}

const RM_HELP = helpOf(
  'rm <id>',
  `Takes the instance off the record, for good: nobody calls it any more, and its id never comes back. A process that still runs is
told so and stays away until it is started again: stop it, or drain it instead. An event keeps that it was an operator, and why.`,
  { ...REASON_FLAG, ...COMMON },
  ['rm orders…1e07', 'rm orders…1e07 --reason "nobody knows it"'],
);

/** `rollcall rm` */
export const rm: Command = {
  help: RM_HELP,
  async run(argv, shell) {
    const { flags, words } = parseArguments({ ...REASON_FLAG, ...COMMON }, argv);
    const [typed = ''] = neededWords('rm <id>', words, 1);
    const { id, name, api } = await whoIs(typed, await apiOf(flags, shell.env));
    await api.remove(id, flags['--reason']);
    shell.out(flags['--output'] === 'text' ? `${name} is removed.` : jsonText({ removed: id }));
    return EXIT.done;
  },
};

// ---- common ---------------------------------------------------------------------------------------------------------

function wordsOf(flags: {
  readonly '--reason': string | undefined;
  readonly '--until': string | undefined;
}): Pick<InstancePatch, 'reason' | 'untilMs'> {
  const { '--reason': reason, '--until': until } = flags;
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(until === undefined ? {} : { untilMs: Date.now() + untilOf(until) }),
  };
}

function untilOf(typed: string): number {
  const ms = spanOf(typed, '--until');
  if (ms <= LONGEST_UNTIL_MS) return ms;
  throw new RollcallError('OPTION_INVALID', `Option --until: received ${typed}, allowed is at most 30d.`);
}
