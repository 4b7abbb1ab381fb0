import { countCallable, option, RollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { RegistryApi } from '../registry/registry-api.js';
import { whoIs } from '../registry/resolve-instance.js';
import type { Meant } from '../registry/resolve-instance.js';
import { valued } from '../terminal/arguments.js';
import { shortNames } from '../terminal/words.js';

/** At most as many instances as the registry lists on one page. */
const MOST_TARGETS = 1_000;

/** Of a command that acts on instances: all of a service, of a version or a zone, instead of ids. */
export const TARGET_FLAGS = {
  '--service': valued(option.string({ doc: 'instead of ids: every instance of this service' }), '<name>'),
  '--version': valued(option.string({ doc: 'with --service: only of this version' }), '<version>'),
  '--zone': valued(option.string({ doc: 'with --service: only in this zone' }), '<zone>'),
};

interface Given {
  readonly '--service': string | undefined;
  readonly '--version': string | undefined;
  readonly '--zone': string | undefined;
}

/** The instances that a command acts on, one at least. Throws OPTION_INVALID for none, and for ids beside `--service`. */
export async function targetsOf(
  command: string,
  words: readonly string[],
  flags: Given,
  api: RegistryApi,
): Promise<readonly Meant[]> {
  const { '--service': service, '--version': version, '--zone': zone } = flags;
  const usage = `rollcall ${command} <id>… or rollcall ${command} --service <name> [--version <version>] [--zone <zone>]`;
  if (service === undefined) {
    if (version !== undefined || zone !== undefined || words.length === 0) {
      throw new RollcallError('OPTION_INVALID', `It is used as: ${usage}.`);
    }
    const all: Meant[] = [];
    for (const typed of words) all.push(await whoIs(typed, api));
    return all;
  }
  if (words.length > 0) throw new RollcallError('OPTION_INVALID', `It takes ids or --service, not both: ${usage}.`);
  const filters = [
    ['service', service],
    ...(version === undefined ? [] : [['version', version] as const]),
    ...(zone === undefined ? [] : [['zone', zone] as const]),
    ['limit', String(MOST_TARGETS)],
  ] as const;
  const { instances } = await api.instances(filters);
  if (instances.length === 0) {
    const narrowed = version === undefined && zone === undefined ? '' : ' with that version and zone';
    const text = `No instance of ${service}${narrowed} in namespace ${api.namespace}. See: rollcall ls ${service} -o wide`;
    throw new RollcallError('NO_INSTANCE', text);
  }
  const names = shortNames(instances);
  return instances.map((instance) => ({ id: instance.id, name: names.get(instance.id) ?? instance.id, api }));
}

/** How many of each service stay callable: a line each. `isOut`: none does. */
export async function leftCallable(
  services: ReadonlyMap<string, RegistryApi>,
): Promise<readonly { readonly text: string; readonly isOut: boolean }[]> {
  const lines: { text: string; isOut: boolean }[] = [];
  for (const [service, api] of services) {
    const { instances }: { readonly instances: readonly Instance[] } = await api.service(service);
    const { all, callable } = countCallable(instances);
    const isOut = callable === 0;
    const text = isOut
      ? `No instance of ${service} may be called now: every call to it fails until one is.`
      : `${callable} of ${all} ${all === 1 ? 'instance' : 'instances'} of ${service} may be called.`;
    lines.push({ text, isOut });
  }
  return lines;
}
