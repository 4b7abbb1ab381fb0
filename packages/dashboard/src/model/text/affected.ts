/** Whether callers are affected, as text: a problem without affected callers is less severe. */
import type { ServiceEdge, TopologySummary } from '../live/answers.js';
import { missingText } from '../live/known.js';
import type { Known } from '../live/known.js';
import type { NameOf } from '../live/roll.js';
import { clockText, plural, rateText } from './age.js';

interface AffectedInput {
  readonly summary: Known<TopologySummary>;
  /**
   * `<namespace>/<name>` of the services of which no instance is callable. Their calls wait, and are reported only when
   * they have failed.
   */
  readonly outages: ReadonlySet<string>;
  /** The edges to these services; null: not known. */
  readonly edges: readonly ServiceEdge[] | null;
  readonly nameOf: NameOf;
}

/**
 * The affected callers. An old answer is in the past tense. While a called service has no callable instance, no caller
 * is reported as unaffected.
 */
export function affectedText({ summary: known, outages, edges, nameOf }: AffectedInput): string {
  if (known.kind !== 'known') return `Whether callers are affected: ${missingText(known)}`;
  const { value: summary, asOf } = known;
  const unreported = summary.called.filter(
    ({ namespace, service, failures }) => failures === 0 && outages.has(`${namespace}/${service}`),
  );
  const waiting = unreported.length === 0 ? '' : unreportedText(unreported, { edges, nameOf, asOf });
  const isSilent = summary.failures === 0 && waiting !== '';
  const reported = isSilent ? '' : summaryText(summary, asOf, nameOf);
  const after = asOf === null ? '' : 'What has happened since is unknown here.';
  return [reported, waiting, after].filter((text) => text !== '').join(' ');
}

/** The time of the newest reports of the callers: each covers the last five seconds of its caller. */
export const windowText = (asOf: number | null): string =>
  asOf === null ? 'In the last 5 s,' : `In the 5 s before ${clockText(asOf)},`;

/** Follows the results of calls; empty: each call was answered, or failed, at its first instance. */
export const elsewhereText = (attempts: number): string =>
  attempts === 0 ? '' : `, ${plural(attempts, 'attempt')} went to another instance`;

function summaryText(
  { edges, retries, failures, failing }: TopologySummary,
  asOf: number | null,
  nameOf: NameOf,
): string {
  const at = asOf === null ? '' : ` at ${clockText(asOf)}`;
  if (edges === 0)
    return asOf === null ? 'No caller has reported its calls yet.' : `No caller had reported its calls${at}.`;
  const elsewhere = elsewhereText(retries);
  if (failures > 0) {
    const names = [...new Set(failing.map(({ namespace, service }) => nameOf(namespace, service)))];
    const callees = names.length > MAX_NAMES ? plural(names.length, 'service') : listText(names);
    return `${windowText(asOf)} ${plural(failures, 'call')} of ${callees} failed${elsewhere}.`;
  }
  const [is, window] = asOf === null ? ['is', 'in the last 5 s'] : ['was', 'in the 5 s before'];
  return `No caller ${is} affected${at}: ${window} no call failed${elsewhere}.`;
}

type Called = TopologySummary['called'];

function unreportedText(
  called: Called,
  { edges, nameOf, asOf }: Pick<AffectedInput, 'edges' | 'nameOf'> & { readonly asOf: number | null },
): string {
  const keys = new Set(called.map(({ namespace, service }) => `${namespace}/${service}`));
  const callees = shortList(called.map(({ namespace, service }) => nameOf(namespace, service)));
  const calling = edges?.filter(({ namespace, to }) => keys.has(`${namespace}/${to}`)) ?? [];
  const callers = shortList([...new Set(calling.map(({ namespace, from }) => nameOf(namespace, from)))]);
  return waitingText(callers, callees, calling, asOf);
}

/**
 * `gateway calls orders (20/s): what becomes of these calls is not reported yet.` Unknown callers are not named.
 */
export function waitingText(
  callers: string,
  callees: string,
  edges: readonly Pick<ServiceEdge, 'from' | 'callsPerSecond'>[],
  asOf: number | null,
): string {
  const perSecond = edges.reduce((sum, { callsPerSecond }) => sum + callsPerSecond, 0);
  const rate = perSecond > 0 ? ` (${rateText(perSecond)}/s)` : '';
  const isOne = new Set(edges.map(({ from }) => from)).size === 1;
  const verb = asOf === null ? (isOne ? 'calls' : 'call') : 'called';
  const subject = callers === '' ? `Callers of ${callees}` : `${callers} ${verb} ${callees}${rate}`;
  return `${subject}: what becomes of these calls ${asOf === null ? 'is' : 'was'} not reported yet.`;
}

/** The maximum number of names; the others are counted. */
const MAX_NAMES = 3;

const listText = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;

/** `a`, `a and b`, `a, b and c`, `a, b, c and 2 others`. */
export function shortList(names: readonly string[]): string {
  const hidden = names.length - MAX_NAMES;
  return hidden > 0 ? `${names.slice(0, MAX_NAMES).join(', ')} and ${plural(hidden, 'other')}` : listText(names);
}
