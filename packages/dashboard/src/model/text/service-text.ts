/** Texts about a service. `staleSince`: the time since which the view is old. */
import { isOutage } from '@rollcall/core';
import type { ServiceEdge } from '../live/answers.js';
import { missingText } from '../live/known.js';
import type { Known } from '../live/known.js';
import { byTrouble, needsAttention, standingOf } from '../live/roll.js';
import type { ServiceNode } from '../live/roll.js';
import { clockText, plural } from './age.js';
import { elsewhereText, shortList, waitingText, windowText } from './affected.js';
import { standingText } from './callable-text.js';
import { tailOf, reasonText } from './instance-text.js';

type Callers = Known<readonly ServiceEdge[]>;

/** The state of a service, as a heading. */
export function serviceVerdict({ name, instances }: ServiceNode, staleSince: number | null): string {
  const standing = standingOf(instances.value);
  const outage = `no instance ${staleSince === null ? 'may' : 'could'} be called, `;
  const at = staleSince === null ? '' : ` at ${clockText(staleSince)}`;
  return `${name}: ${isOutage(standing.count) ? outage : ''}${standingText(standing)}${at}.`;
}

/** The instances of it that need attention, and whether its callers are affected. */
export function serviceSentence(node: ServiceNode, callers: Callers, staleSince: number | null): string {
  const worst = [...node.instances.value.values()].toSorted(byTrouble)[0];
  const calls = callsText(callers, isOutage(standingOf(node.instances.value).count));
  if (worst === undefined || !needsAttention(worst)) return calls;
  return `${node.name}…${tailOf(worst.id)}: ${reasonText(worst, staleSince !== null)} ${calls}`;
}

/** `isOut`: none of its instances is callable. Calls then wait, and are reported only after they have failed. */
function callsText(known: Callers, isOut: boolean): string {
  if (known.kind !== 'known') return `Calls to it: ${missingText(known)}`;
  const { value: edges, asOf } = known;
  const at = asOf === null ? '' : ` at ${clockText(asOf)}`;
  if (edges.length === 0)
    return asOf === null ? 'No caller has reported calls to it.' : `No caller had reported calls to it${at}.`;
  const failed = edges.reduce((sum, { failures }) => sum + failures, 0);
  if (isOut && failed === 0) {
    const callers = shortList([...new Set(edges.map(({ from }) => from))]);
    return waitingText(callers, 'it', edges, asOf);
  }
  const elsewhere = edges.reduce((sum, { retries }) => sum + retries, 0);
  return `${windowText(asOf)} ${failed === 0 ? 'no call' : plural(failed, 'call')} to it failed${elsewhereText(elsewhere)}.`;
}
