/** The effect on services when an operator takes instances away from their callers. */
import { isCallable } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { ServiceEdge } from '../live/answers.js';
import { missingText } from '../live/known.js';
import type { Known } from '../live/known.js';
import type { NameOf } from '../live/roll.js';
import { rateText } from './age.js';

type InstanceState = Pick<Instance, 'id' | 'state' | 'admin'>;

/** A service, and which of its instances are to be taken away. */
export interface Withdrawal {
  readonly namespace: string;
  readonly service: string;
  readonly instances: Iterable<InstanceState>;
  readonly withdrawn: ReadonlySet<string>;
}

export interface Consequence {
  readonly text: string;
  /** True if no callable instance is left. */
  readonly isOut: boolean;
}

/** `edges`: calls between services, including those to this one. */
export function consequenceOf(
  { namespace, service, instances, withdrawn }: Withdrawal,
  edges: Known<readonly ServiceEdge[]>,
  nameOf: NameOf,
): Consequence {
  const all = [...instances];
  const callable = all.filter(isCallable);
  const left = callable.filter(({ id }) => !withdrawn.has(id));
  const name = nameOf(namespace, service);
  if (left.length > 0) {
    const stays = left.length === 1 ? 'stays' : 'stay';
    const best = left.some(({ state }) => state === 'HEALTHY') ? '' : ', none of them HEALTHY';
    return { text: `${left.length} of ${all.length} ${stays} callable${best}.`, isOut: false };
  }
  const callers = callersText(namespace, service, edges);
  return callable.length === 0
    ? { text: `No instance of ${name} may be called already; ${callers}`, isOut: true }
    : { text: `After this no instance of ${name} may be called; ${callers}`, isOut: true };
}

/** The maximum number of names; the others are counted. */
const MAX_NAMES = 3;

function callersText(namespace: string, service: string, known: Known<readonly ServiceEdge[]>): string {
  if (known.kind !== 'known') return `its callers: ${missingText(known)}`;
  const edges = known.value.filter((edge) => edge.namespace === namespace && edge.to === service);
  const calling = edges
    .filter(({ callsPerSecond }) => callsPerSecond > 0)
    .toSorted((a, b) => b.callsPerSecond - a.callsPerSecond);
  if (calling.length === 0) return 'no caller has reported calls to it in the last seconds.';
  const names = calling.map(({ from }) => from);
  const hidden = names.length - MAX_NAMES;
  const shown = hidden > 0 ? [...names.slice(0, MAX_NAMES), `${hidden} more`] : names;
  const rate = calling.reduce((sum, { callsPerSecond }) => sum + callsPerSecond, 0);
  return `${listText(shown)} ${calling.length === 1 ? 'calls' : 'call'} it (${rateText(rate)}/s).`;
}

/** `a`, `a and b`, `a, b and c`. */
function listText(names: readonly string[]): string {
  const [last = ''] = names.slice(-1);
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
}
