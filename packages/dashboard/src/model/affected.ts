import { countText, plural } from './age.js';
import type { TopologySummary } from './answers.js';
import { missingText, valueOf } from './known.js';
import type { Known } from './known.js';

/** Who is affected: trouble that no caller feels is another trouble. */
export function affectedText(known: Known<TopologySummary>, staleSince: number | null): string {
  if (staleSince !== null) return 'Nothing on this page is newer. What has happened since is unknown here.';
  const topology = valueOf(known);
  if (topology === null) return `Whether callers are affected: ${missingText(known)}`;
  if (topology.edges === 0) return 'No caller has told of its calls yet.';
  const { retries: elsewhere, failures, failing } = topology;
  if (failures === 0) {
    return elsewhere === 0
      ? 'No caller is affected: every call that they told of last was answered at once.'
      : `No caller is affected: of the calls that they told of last ${plural(elsewhere, 'attempt')} went to another instance, 0 failed.`;
  }
  const callers = fewOf([...new Set(failing.map(({ service }) => service))]);
  return `Of the calls that they told of last ${plural(failures, 'call')} of ${callers} failed; ${countText(elsewhere)} went to another instance.`;
}

/** More names than these are counted. */
const MOST_NAMES = 3;

function fewOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(', ')} and ${plural(more, 'other')}` : names.join(', ');
}
