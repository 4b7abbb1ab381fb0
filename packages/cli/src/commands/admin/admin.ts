import { option, RollcallError, systemTime } from '@rollcall/core';
import type { AdminState, InstancePatch } from '@rollcall/core';
import type { Json } from '../../registry/json.js';
import { apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../../registry/connection.js';
import { overrideTerms, untilText } from '../../render/override-terms.js';
import { describeFlags, parseArguments, toggle, valued } from '../../terminal/arguments.js';
import type { Flags } from '../../terminal/arguments.js';
import { OUTPUT_FLAG } from '../../terminal/formats.js';
import { jsonText } from '../../terminal/json-text.js';
import { requireOperands } from '../../terminal/operands.js';
import { EXIT } from '../../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../../terminal/shell.js';
import { parseDuration } from '../../terminal/durations.js';
import { confirmAction, remainingCallable, outagesAfter } from './confirmation.js';
import { actOnEach, NO_TARGET_FLAGS, TARGET_FLAGS, resolveTargets, YES_FLAG } from './targets.js';
import type { AdminTarget } from './targets.js';
import { waitUntilQuiet } from './until-drained.js';

/** The maximum that the registry accepts. */
const MAX_UNTIL_MS = 30 * 86_400_000;

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
      doc: `how long it lasts: 90s, 30m, 2h, 1d, at most 30d; default: until it is undone`,
    }),
    '<time>',
  ),
};
const WAIT_FLAGS = {
  '--wait': toggle('return when its calls have ended, as far as callers report'),
  '--timeout': valued(option.string({ doc: 'with --wait: the timeout; default 2m', default: '2m' }), '<time>'),
};
const COMMON = { ...OUTPUT_FLAG, ...NAMESPACE_FLAG, ...CONNECTION_FLAGS, '--help': toggle('this text', 'h') };

const ID_HELP = `The id may be short, as it is printed: orders…1e07, orders-1e07, or a unique end of an id. For operators: with an operator token
if tokens are required (ROLLCALL_TOKEN), else on the registry's own machine.`;

function buildHelp(usage: string, about: string, flags: Flags, examples: readonly string[]): string {
  return [
    `Usage: rollcall ${usage} [options]`,
    `${about}\n${ID_HELP}`,
    describeFlags(flags).join('\n'),
    `Examples:\n${examples.map((line) => `  rollcall ${line}`).join('\n')}`,
  ].join('\n\n');
}

// ---- drain, maintenance ---------------------------------------------------------------------------------------------

const DRAIN_FLAGS = { ...TARGET_FLAGS, ...REASON_FLAG, ...UNTIL_FLAG, ...WAIT_FLAGS, ...YES_FLAG, ...COMMON };
const CONFIRMATION_HELP = `Instances chosen by --service are listed first. On a terminal it then asks for confirmation, as it does before the last callable instance
of a service is taken away; elsewhere it warns on standard error.`;

function createAwayCommand(name: 'drain' | 'maintenance', admin: AdminState, about: string): Command {
  const help = buildHelp(`${name} <id>… | --service <name>`, `${about}\n${CONFIRMATION_HELP}`, DRAIN_FLAGS, [
    `${name} orders…1e07 --reason "new disk" --until 2h`,
    `${name} --service orders --version 1.5.5 --reason "roll back"`,
    `${name} 1e07 --wait && ssh host systemctl stop orders`,
  ]);
  const action = name === 'drain' ? 'drain' : 'put into maintenance';
  const run = async (argv: readonly string[], shell: Shell): Promise<ExitCode> => {
    const { flags, operands } = parseArguments(DRAIN_FLAGS, argv);
    const timeoutMs = parseDuration(flags['--timeout'], '--timeout');
    const patch = { admin, ...overrideFields(flags) };
    const targets = await resolveTargets({ command: name, operands }, flags, await apiOf(flags, shell.env));
    const warnings = await outagesAfter(targets);
    const isByService = flags['--service'] !== undefined;
    const plan = { action, targets, isByService, warnings, isPreapproved: flags['--yes'] };
    if (!(await confirmAction(plan, shell))) return EXIT.failed;
    const isText = flags['--output'] === 'text';
    const done: ChangedInstance[] = [];
    const act = async (target: AdminTarget): Promise<void> => {
      const answer = await target.api.patch(target.id, patch);
      done.push({ target, answer });
      const until = untilText(overrideTerms(answer, 'admin'));
      if (isText)
        shell.out(`${target.name} is ${admin}${until}: no new calls go to it. Back: rollcall undrain ${target.id}`);
      else if (!flags['--wait']) shell.out(jsonText({ instance: answer }));
    };
    const code = await actOnEach(targets, act, shell);
    for (const { text, isOut } of await remainingCallable(done.map(({ target }) => target))) {
      if (!isOut && isText) shell.out(text);
      // printed before
      else if (isOut && warnings.length === 0) shell.err(text);
    }
    if (!flags['--wait']) return code;
    return (await waitForQuiet(done, { timeoutMs, isText }, shell)) || code !== EXIT.done ? code : EXIT.failed;
  };
  return { help, run };
}

/** An instance that no new calls go to, and the registry's answer. */
interface ChangedInstance {
  readonly target: AdminTarget;
  readonly answer: Json;
}

/** Waits for all of them, at most `timeoutMs` in total. */
async function waitForQuiet(
  done: readonly ChangedInstance[],
  { timeoutMs, isText }: { readonly timeoutMs: number; readonly isText: boolean },
  shell: Shell,
): Promise<boolean> {
  const since = systemTime.now();
  const signal = shell.waitForSignal();
  let isQuiet = true;
  for (const { target, answer } of done) {
    const { id, api, name } = target;
    const options = { id, service: String(answer['service']), timeoutMs, since };
    const result = await waitUntilQuiet(api, options, { ...shell, waitForSignal: () => signal });
    if (isText) shell.out(done.length === 1 ? result.text : `${name}: ${result.text}`);
    else shell.out(jsonText({ instance: answer, quiet: result.isQuiet, afterMs: result.afterMs }));
    isQuiet &&= result.isQuiet;
  }
  return isQuiet;
}

/** `rollcall drain`: no new calls; those in flight continue. */
export const drain: Command = createAwayCommand(
  'drain',
  'DRAINING',
  `No new calls go to the instance; those in flight continue, and it stays registered. With --wait it returns when its calls have ended: when
its callers, which report their calls every 5 s, have none in flight there. Calls from outside of Rollcall are not seen.`,
);

/** `rollcall maintenance`: no calls, until it is undone. */
export const maintenance: Command = createAwayCommand(
  'maintenance',
  'MAINTENANCE',
  `No calls go to the instance until that is undone, whatever its state; those in flight continue.`,
);

// ---- undrain, weight, rm --------------------------------------------------------------------------------------------

const UNDRAIN_FLAGS = { ...TARGET_FLAGS, ...REASON_FLAG, ...YES_FLAG, ...COMMON };
const UNDRAIN_HELP = buildHelp(
  'undrain <id>… | --service <name>',
  `Ends a drain or a maintenance: calls go to the instance again. On a terminal it lists instances that --service chose, and asks.`,
  UNDRAIN_FLAGS,
  ['undrain orders…1e07', 'undrain --service orders --version 1.5.5'],
);

/** `rollcall undrain` */
export const undrain: Command = {
  help: UNDRAIN_HELP,
  async run(argv, shell) {
    const { flags, operands } = parseArguments(UNDRAIN_FLAGS, argv);
    const reason = flags['--reason'];
    const targets = await resolveTargets({ command: 'undrain', operands }, flags, await apiOf(flags, shell.env));
    const isByService = flags['--service'] !== undefined;
    const plan = { action: 'undrain', targets, isByService, warnings: [], isPreapproved: flags['--yes'] };
    if (!(await confirmAction(plan, shell))) return EXIT.failed;
    const act = async ({ id, name, api }: AdminTarget): Promise<void> => {
      const answer = await api.patch(id, { admin: 'ENABLED', ...(reason === undefined ? {} : { reason }) });
      const text = `${name} is ENABLED: calls go to it again, if its state allows.`;
      shell.out(flags['--output'] === 'text' ? text : jsonText({ instance: answer }));
    };
    return actOnEach(targets, act, shell);
  },
};

const WEIGHT_FLAGS = { ...TARGET_FLAGS, ...REASON_FLAG, ...UNTIL_FLAG, ...YES_FLAG, ...COMMON };
const WEIGHT_TAIL = ' <0 … 1000 | own>';
const WEIGHT_HELP = buildHelp(
  `weight <id>…${WEIGHT_TAIL}`,
  `How many calls the instance gets relative to others (100 is usual), instead of its own weight; own removes the setting. On a
terminal it lists instances that --service chose, and asks.`,
  WEIGHT_FLAGS,
  [
    'weight orders…1e07 10 --reason "new version, carefully" --until 30m',
    'weight orders…1e07 orders…b2c4 own',
    'weight --service orders --version 1.5.5 10',
  ],
);

/** `rollcall weight` */
export const weight: Command = {
  help: WEIGHT_HELP,
  async run(argv, shell) {
    const { flags, operands } = parseArguments(WEIGHT_FLAGS, argv);
    const isByService = flags['--service'] !== undefined;
    const min = isByService ? 1 : 2;
    const given = requireOperands(`weight <id>…${WEIGHT_TAIL}`, operands, min, Infinity);
    const lastOperand = given.at(-1) ?? '';
    const value = lastOperand === 'own' ? null : parseWeight(lastOperand);
    const input = { command: 'weight', tail: WEIGHT_TAIL, operands: given.slice(0, -1) };
    const targets = await resolveTargets(input, flags, await apiOf(flags, shell.env));
    const action = value === null ? 'give back its own weight' : `set to weight ${value}`;
    if (!(await confirmAction({ action, targets, isByService, warnings: [], isPreapproved: flags['--yes'] }, shell)))
      return EXIT.failed;
    const act = async ({ id, name, api }: AdminTarget): Promise<void> => {
      const answer = await api.patch(id, { weight: value, ...(value === null ? {} : overrideFields(flags)) });
      const suffix = value === null ? ', its own' : untilText(overrideTerms(answer, 'weight'));
      const text = `${name} has the weight ${String(answer['weight'])}${suffix}.`;
      shell.out(flags['--output'] === 'text' ? text : jsonText({ instance: answer }));
    };
    return actOnEach(targets, act, shell);
  },
};

function parseWeight(typed: string): number {
  if (/^\d{1,4}$/.test(typed) && Number(typed) <= 1_000) return Number(typed);
  throw new RollcallError(
    'OPTION_INVALID',
    `The weight: received "${typed}", allowed is a whole number 0 … 1000, or own.`,
  );
}

const RM_FLAGS = { ...REASON_FLAG, ...YES_FLAG, ...COMMON };
const RM_HELP = buildHelp(
  'rm <id>',
  `Removes the instance for good: it gets no more calls, and its id is never used again. A process that still runs is
notified and does not register until it is started again: stop it, or drain it instead. An event records the operator and the reason. On a
terminal it asks before the last callable instance of a service is removed.`,
  RM_FLAGS,
  ['rm orders…1e07', 'rm orders…1e07 --reason "unknown"'],
);

/** `rollcall rm` */
export const rm: Command = {
  help: RM_HELP,
  async run(argv, shell) {
    const { flags, operands } = parseArguments(RM_FLAGS, argv);
    const input = { command: 'rm', operands: requireOperands('rm <id>', operands, 1) };
    const targets = await resolveTargets(input, NO_TARGET_FLAGS, await apiOf(flags, shell.env));
    const warnings = await outagesAfter(targets);
    const plan = { action: 'remove', targets, isByService: false, warnings, isPreapproved: flags['--yes'] };
    if (!(await confirmAction(plan, shell))) return EXIT.failed;
    const act = async ({ id, name, api }: AdminTarget): Promise<void> => {
      await api.remove(id, flags['--reason']);
      shell.out(flags['--output'] === 'text' ? `${name} is removed.` : jsonText({ removed: id }));
    };
    return actOnEach(targets, act, shell);
  },
};

// ---- common ---------------------------------------------------------------------------------------------------------

function overrideFields(flags: {
  readonly '--reason': string | undefined;
  readonly '--until': string | undefined;
}): Pick<InstancePatch, 'reason' | 'untilMs'> {
  const { '--reason': reason, '--until': until } = flags;
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(until === undefined ? {} : { untilMs: Date.now() + parseUntil(until) }),
  };
}

function parseUntil(typed: string): number {
  const ms = parseDuration(typed, '--until');
  if (ms <= MAX_UNTIL_MS) return ms;
  throw new RollcallError('OPTION_INVALID', `Option --until: received ${typed}, allowed is at most 30d.`);
}
