import { printableText, shortId } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { isSelected } from '../../balance/nodes/selector.js';
import type { Selector } from '../../balance/nodes/selector.js';

/** The first criterion that excludes an instance. */
interface Exclusion {
  readonly by: 'admin' | 'state' | 'version' | 'metadata';
  /** The value of the instance; null: none. */
  readonly is: string | null;
  /** The wanted value; empty for `admin` and `state`. */
  readonly wanted: string;
  /** The key of `metadata`; otherwise empty. */
  readonly key: string;
}

/** The maximum number of groups of instances that are listed. */
const MAX_GROUPS = 6;
/** The maximum length of a version, or of a metadata key or value. */
const MAX_CHARACTERS = 64;

/** Where to change each criterion, in the order in which the criteria exclude instances. */
const SOURCES: Readonly<Record<Exclusion['by'], string>> = {
  admin: 'the admin state',
  state: 'allowedStates',
  version: 'version',
  metadata: 'metadata',
};

/**
 * Describes how many instances each criterion excludes, for a call without a suitable instance: `3 instances: 2 are DRAINING, 1 has version
 * 1.3, wanted 1.4. See …`. (A zone excludes no instance: it is only preferred.)
 */
export function exclusionText(instances: readonly Instance[], selector: Selector): string {
  const groups = new Map<string, { readonly exclusion: Exclusion; count: number }>();
  let last: Instance | null = null;
  for (const instance of instances) {
    const exclusion = exclusionOf(instance, selector);
    if (exclusion === null) continue;
    const { by, is, wanted } = exclusion;
    const key = JSON.stringify([by, is, wanted]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { exclusion, count: 1 });
    else group.count += 1;
    if (by === 'state' && (last === null || instance.revision > last.revision)) last = instance;
  }
  const order = Object.keys(SOURCES);
  const sorted = [...groups.values()].toSorted((a, b) => order.indexOf(a.exclusion.by) - order.indexOf(b.exclusion.by));
  const texts = sorted.slice(0, MAX_GROUPS).map(({ exclusion, count }) => groupText(exclusion, count));
  const rest = sorted.slice(MAX_GROUPS).reduce((sum, { count }) => sum + count, 0);
  const others = rest === 0 ? '' : `, and ${rest} others`;
  const why = last === null ? '' : ` ${shortId(last)} is ${last.state}: ${printableText(last.reason.text)}.`;
  const many = instances.length === 1 ? '1 instance' : `${instances.length} instances`;
  return `${many}: ${texts.join(', ')}${others}.${why} See ${sourcesText(sorted.map(({ exclusion }) => exclusion.by))}.`;
}

function groupText({ by, is, wanted, key }: Exclusion, count: number): string {
  const [be, have] = count === 1 ? ['is', 'has'] : ['are', 'have'];
  if (by === 'admin' || by === 'state') return `${count} ${be} ${is}`;
  if (by === 'version')
    return `${count} ${have} ${is === null ? 'no version' : `version ${short(is)}`}, wanted ${short(wanted)}`;
  const what = is === null ? `no ${short(key)}` : `${short(key)} "${short(is)}"`;
  return `${count} ${have} ${what}, wanted "${short(wanted)}"`;
}

function sourcesText(all: readonly Exclusion['by'][]): string {
  const sources = [...new Set(all)].map((by) => SOURCES[by]);
  const last = sources.at(-1) ?? '';
  return sources.length < 2 ? last : `${sources.slice(0, -1).join(', ')} and ${last}`;
}

const short = (text: string): string => printableText(text, MAX_CHARACTERS);

/** The criterion that excludes the instance; null if it is selected. */
function exclusionOf(instance: Instance, selector: Selector): Exclusion | null {
  const { admin, state, version } = instance;
  if (admin !== 'ENABLED') return { by: 'admin', is: admin, wanted: '', key: '' };
  if (!selector.states.includes(state)) return { by: 'state', is: state, wanted: '', key: '' };
  if (!isSelected(instance, { ...selector, metadata: [] }))
    return { by: 'version', is: version === '' ? null : version, wanted: selector.version, key: '' };
  const differing = selector.metadata.find(([key, wanted]) => instance.metadata[key] !== wanted);
  if (differing === undefined) return null;
  const [key, wanted] = differing;
  return { by: 'metadata', is: instance.metadata[key] ?? null, wanted, key };
}
