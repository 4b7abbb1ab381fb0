/** The targets of a command: parsing them, the effect on their services, and acting on one after the other. */
import { isRollcallError, messageOf, option, RollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { RegistryApi } from '../../registry/registry-api.js';
import { resolveInstance } from '../../registry/resolve-instance.js';
import type { ResolvedInstance } from '../../registry/resolve-instance.js';
import { fetchMatches } from '../../render/instance-filters.js';
import { toggle, valued } from '../../terminal/arguments.js';
import { EXIT } from '../../terminal/shell.js';
import type { ExitCode, Shell } from '../../terminal/shell.js';
import { printable, shortNames } from '../../terminal/texts.js';

/** Flags that select instances of a service, a version or a zone, instead of ids. */
export const TARGET_FLAGS = {
  '--service': valued(option.string({ doc: 'instead of ids: every instance of this service' }), '<name>'),
  '--version': valued(option.string({ doc: 'with --service: only of this version' }), '<version>'),
  '--zone': valued(option.string({ doc: 'with --service: only in this zone' }), '<zone>'),
};

/** The value for a command without these flags. */
export const NO_TARGET_FLAGS = { '--service': undefined, '--version': undefined, '--zone': undefined };

export const YES_FLAG = { '--yes': toggle('do not ask for confirmation on a terminal', 'y') };

interface TargetFlags {
  readonly '--service': string | undefined;
  readonly '--version': string | undefined;
  readonly '--zone': string | undefined;
}

/** An instance that a command acts on. */
export interface AdminTarget extends ResolvedInstance {
  /** Its version before the command acts; null: it was removed just now. */
  readonly instance: Instance | null;
}

/** The operands of a command. */
interface TargetOperands {
  /** The command, with the operands after the ids: `weight`, ` <0 … 1000 | own>`. */
  readonly command: string;
  readonly tail?: string;
  readonly operands: readonly string[];
}

/**
 * The instances that a command acts on, at least one, each once. Throws OPTION_INVALID for none, and for ids beside
 * `--service`; rejects with NO_INSTANCE where no instance of the service matches, and as `resolveInstance` where an id
 * names none.
 */
export async function resolveTargets(
  input: TargetOperands,
  flags: TargetFlags,
  api: RegistryApi,
): Promise<readonly AdminTarget[]> {
  const { command, tail = '', operands } = input;
  const { '--service': service, '--version': version, '--zone': zone } = flags;
  const usage = `rollcall ${command} <id>…${tail} or rollcall ${command} --service <name> [--version <version>] [--zone <zone>]${tail}`;
  if (service !== undefined) {
    if (operands.length === 0) return serviceTargets(service, flags, api);
    throw new RollcallError('OPTION_INVALID', `It takes ids or --service, not both: ${usage}.`);
  }
  if (version !== undefined || zone !== undefined || operands.length === 0) {
    throw new RollcallError('OPTION_INVALID', `It is used as: ${usage}.`);
  }
  const targets = new Map<string, AdminTarget>();
  for (const operand of operands) {
    const resolved = await resolveInstance(operand, api);
    const answer = await resolved.api.instance(resolved.id);
    targets.set(resolved.id, { ...resolved, instance: answer === null ? null : resolved.api.instanceIn(answer) });
  }
  return [...targets.values()];
}

async function serviceTargets(service: string, flags: TargetFlags, api: RegistryApi): Promise<readonly AdminTarget[]> {
  const { '--version': version, '--zone': zone } = flags;
  const filters = [
    ['sort', 'service'],
    ['service', service],
    ...(version === undefined ? [] : [['version', version] as const]),
    ...(zone === undefined ? [] : [['zone', zone] as const]),
  ] as const;
  const { instances } = await fetchMatches(api, filters);
  if (instances.length === 0) {
    const narrowed = version === undefined && zone === undefined ? '' : ' with that version and zone';
    const text = `No instance of ${service}${narrowed} in namespace ${api.namespace}. See: rollcall ls ${service} -o wide`;
    throw new RollcallError('NO_INSTANCE', text);
  }
  const names = shortNames(instances);
  return instances.map((instance) => ({ id: instance.id, name: names.get(instance.id) ?? instance.id, api, instance }));
}

/**
 * Acts on one after the other. A single target rejects with the refusal of the registry. With several, each failure is a line on
 * standard error, the others are still tried, and the last line names those that were not changed; if the registry is
 * unreachable, the rest is skipped.
 */
export async function actOnEach(
  targets: readonly AdminTarget[],
  act: (target: AdminTarget) => Promise<void>,
  shell: Shell,
): Promise<ExitCode> {
  const [only] = targets;
  if (only !== undefined && targets.length === 1) {
    await act(only);
    return EXIT.done;
  }
  const done = new Set<AdminTarget>();
  let code: ExitCode = EXIT.done;
  for (const target of targets) {
    try {
      await act(target);
      done.add(target);
    } catch (error) {
      if (!isRollcallError(error)) throw error;
      shell.err(`${target.name}: ${printable(messageOf(error))}`);
      code = error.code === 'REGISTRY_UNREACHABLE' ? EXIT.unreachable : EXIT.failed;
      if (code === EXIT.unreachable) break;
    }
  }
  const unchanged = targets.filter((target) => !done.has(target)).map(({ name }) => name);
  if (unchanged.length > 0) shell.err(`${unchanged.length} of ${targets.length} not changed: ${unchanged.join(', ')}.`);
  return code;
}
