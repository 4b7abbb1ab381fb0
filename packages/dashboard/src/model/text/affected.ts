import type { TopologySummary } from '../live/answers.js';
import { missingText } from '../live/known.js';
import type { Known } from '../live/known.js';
import type { NameOf } from '../live/roll.js';
import { clockText, plural } from './age.js';

/**
 * Who is affected: trouble that no caller feels is another trouble. An answer that is old is told in the past. `outages`: the services
 * (`<namespace>/<name>`) of which no instance may be called now: their calls wait, and are reported only when they have failed.
 */
export function affectedText(known: Known<TopologySummary>, nameOf: NameOf, outages: ReadonlySet<string>): string {
  if (known.kind !== 'known') return `Whether callers are affected: ${missingText(known)}`;
  const { value, asOf } = known;
  if (asOf === null) {
    const waiting = value.failures === 0 ? value.called.filter((one) => isWaiting(one, outages)) : [];
    if (waiting.length > 0) {
      const names = fewOf(waiting.map(({ namespace, service }) => nameOf(namespace, service)));
      return `${names} ${waiting.length === 1 ? 'has' : 'have'} callers: what becomes of their calls is not reported yet.`;
    }
    return summaryText(value, { has: 'has', is: 'is', told: 'told', at: '', yet: ' yet' }, nameOf);
  }
  const at = ` at ${clockText(asOf)}`;
  const past = summaryText(value, { has: 'had', is: 'was', told: 'had told', at, yet: at }, nameOf);
  return `${past} What has happened since is unknown here.`;
}

/** The words of one tense. */
interface Tense {
  readonly has: string;
  readonly is: string;
  readonly told: string;
  readonly at: string;
  readonly yet: string;
}

function summaryText(summary: TopologySummary, { has, is, told, at, yet }: Tense, nameOf: NameOf): string {
  const { edges, retries: elsewhere, failures, failing } = summary;
  if (edges === 0) return `No caller ${has} told of its calls${yet}.`;
  if (failures === 0) {
    return elsewhere === 0
      ? `No caller ${is} affected${at}: every call that they ${told} of last was answered at once.`
      : `No caller ${is} affected${at}: of the calls that they ${told} of last ${plural(elsewhere, 'attempt')} went to another instance, 0 failed.`;
  }
  const callers = fewOf([...new Set(failing.map(({ namespace, service }) => nameOf(namespace, service)))]);
  return `Last reported${at}: ${plural(failures, 'call')} of ${callers} failed, ${plural(elsewhere, 'attempt')} went to another instance.`;
}

const isWaiting = (called: TopologySummary['called'][number], outages: ReadonlySet<string>): boolean =>
  outages.has(`${called.namespace}/${called.service}`);

/** More names than these are counted. */
const MOST_NAMES = 3;

function fewOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(', ')} and ${plural(more, 'other')}` : names.join(', ');
}
