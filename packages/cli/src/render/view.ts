import { countCallable, notCallableText } from '@rollcall/core';
import type { AdminState, Instance, Reason, State } from '@rollcall/core';
import { p99Text, qualified, rateText, successText, worstEdgeFirst } from '../registry/traffic.js';
import type { CallsSum, Edge } from '../registry/traffic.js';
import { paint } from '../terminal/paint.js';
import type { Look, Span } from '../terminal/paint.js';
import type { Terminal } from '../terminal/shell.js';
import { ageText, clockText, countText } from '../terminal/texts.js';
import { HEARTBEATS_FROM, isWell, renderTable } from './instance-table.js';
import type { Screen, View } from './instance-table.js';
import { countsOf, isAway, outagesIn, outageText, serviceIn } from './outages.js';
import { AWAY, shapeOf, stateLook, stateSpans } from './state-shapes.js';
import { trafficRows, trafficText } from './watch-traffic.js';
import type { Traffic } from './watch-traffic.js';

/** A feed that is away for less than this is expected to be back any moment. */
const STALE_AFTER_MS = 10_000;

/** The whole picture: headline, verdict, and the table. The lines are as wide as the screen at most. */
export function renderView(view: View, screen: Screen): readonly string[] {
  const lines = [headline(view, screen), verdictOf(view, screen.width)];
  if (!view.isLive && view.lastMessageAt !== null) {
    lines.push([{ text: view.isSilent === true ? SILENT_TEXT : NO_LINE_TEXT, look: 'unhealthy' }]);
  }
  const otherServices: readonly (readonly Span[])[] =
    view.isLive && (view.otherNamespaces ?? '') !== '' ? [[{ text: view.otherNamespaces ?? '' }]] : [];
  const below = view.instances.length === 0 ? [] : [...trafficOf(view, screen), ...legendOf(view, screen)];
  const legend = [...below, ...otherServices];
  const room = (screen.lines ?? Infinity) - lines.length - legend.length;
  const table = renderTable(view, { ...screen, lines: room });
  return [...lines.map((line) => paint(line, screen)), ...table, ...legend.map((line) => paint(line, screen))];
}

export const NO_LINE_TEXT = 'No line to the registry. Services go on with their own copy; trying again.';
export const SILENT_TEXT =
  'The registry sends nothing: is its process stopped? Try `rollcall doctor`. Services continue with their own copy.';

/** Under the table: the calls of the service that is shown. */
function trafficOf(
  { edges = [], isLive, hasNamespaces = false }: View,
  { width, lines = Infinity }: Screen,
): readonly (readonly Span[])[] {
  return isLive ? trafficRows(edges, { hasNamespaces, width, lines: trafficLines(lines) }) : [];
}

/** The maximum number of lines for the calls of a service, of this many lines. */
export const trafficLines = (lines: number): number => Math.floor(lines / 3);

/** The lines under the table: a summary of calls, and the legend of the two arrows. */
function legendOf({ calls = null, isLive }: View, { width }: Screen): readonly (readonly Span[])[] {
  const arrows = width < HEARTBEATS_FROM ? '' : '→1 the registry calls  ←2 it calls';
  if (calls === null || !isLive) return arrows === '' ? [] : [[{ text: arrows, look: 'faint' }]];
  const text = `calls ${rateText(calls)}  success ${successText(calls)}  went elsewhere ${countText(calls.retries)}  ${p99Text(calls)}`;
  const gap = arrows === '' ? '' : ' '.repeat(Math.max(2, Math.min(width, 100) - text.length - arrows.length));
  return [[{ text }, { text: gap + arrows, look: 'faint' }]];
}

/**
 * One change as one line, for output that is not a terminal: the state of the instance, or the reason of its removal.
 * `at`: the time as a text.
 */
export function renderChange(
  change: {
    /** The time as a text. */
    readonly at?: string;
    readonly name: string;
    readonly state: State | 'REMOVED';
    readonly text: string;
    /** The reason of the state; left out: unknown. */
    readonly reason?: Reason;
    /** Default ENABLED; any other comes before the state. */
    readonly admin?: AdminState;
  },
  screen: Screen,
): string {
  const { at = clockText(screen.now), name, state, text, admin = 'ENABLED' } = change;
  const isGone = state === 'REMOVED';
  const head: readonly [string, string, Look] = isGone
    ? ['×', state, 'faint']
    : isAway({ admin })
      ? [AWAY.shape, admin, AWAY.look]
      : [shapeOf(state, change.reason), state, stateLook(state)];
  const [mark, label, look] = head;
  const why = isGone || !isAway({ admin }) ? text : `${state}: ${text}`;
  return paint([{ text: `${at}  ` }, ...stateSpans(mark, label, look), { text: `${name.padEnd(16)}  ${why}` }], {
    ...screen,
    width: Infinity,
  });
}

/** The calls to a service as one line, for output that is not a terminal. */
export function renderTraffic(at: string, traffic: Traffic, terminal: Terminal): string {
  const name = traffic.service.padEnd(16);
  return paint(
    [{ text: `${at}  ` }, ...stateSpans('⇄', 'TRAFFIC', 'faint'), { text: `${name}  ${trafficText(traffic)}` }],
    {
      ...terminal,
      width: Infinity,
    },
  );
}

// ---- above the table ------------------------------------------------------------------------------------------------

function headline(view: View, screen: Screen): readonly Span[] {
  const left = `rollcall  ${view.url}  ${linkText(view, screen.now)}  revision ${countText(view.revision)}`;
  const clock = clockText(screen.now);
  return [
    { text: left.padEnd(Math.min(screen.width, 100) - clock.length - 2), look: 'strong' },
    { text: `  ${clock}` },
  ];
}

function linkText({ isLive, isSilent = false, lastMessageAt }: View, now: number): string {
  if (isLive) return 'Live';
  if (lastMessageAt === null) return 'Connecting';
  const age = now - lastMessageAt;
  if (isSilent) return `No message for ${ageText(age)}`;
  return age < STALE_AFTER_MS ? 'Reconnecting' : `Stale ${ageText(age)}`;
}

/**
 * The verdict: a service without a callable instance is the worst; then UNHEALTHY and CRITICAL. The sentence
 * about an old view is in the past tense.
 */
export function verdictOf(view: View, width: number): readonly Span[] {
  const { instances, isLive, lastMessageAt, calls = null, edges = [], hasNamespaces } = view;
  if (instances.length === 0) return [{ text: lastMessageAt === null ? 'Waiting for the registry.' : WAITING_TEXT }];
  const counts = countsOf(instances, hasNamespaces);
  const outages = outagesIn(counts);
  const nameOf = serviceIn(hasNamespaces);
  const troubled = new Set([...outages, ...instances.filter(needsAttention).map(nameOf)]);
  const since = isLive || lastMessageAt === null ? null : clockText(lastMessageAt);
  const failing = isLive ? failingText(edges, hasNamespaces === true) : '';
  if (troubled.size === 0) return wellSpans(wellText(instances, since), failing, isLive ? calls : null);
  const [needs, need] = isLive ? ['needs', 'need'] : ['needed', 'needed'];
  const of = `${troubled.size} of ${counts.size} ${counts.size === 1 ? 'service' : 'services'}`;
  const count = `${of} ${troubled.size === 1 ? needs : need} attention${since === null ? '' : ` at ${since}`}.`;
  const affected = failing === '' ? (isLive ? affectedText(calls) : '') : ` ${failing}`;
  if (outages.length === 0) return [{ text: count, look: 'strong' }, { text: affected }];
  const otherServices = troubled.size === outages.length ? '' : ` ${count}`;
  return [{ text: outageText(counts, since, width), look: 'critical' }, { text: `${otherServices}${affected}` }];
}

/** The verdict if the instances are well: calls may fail nevertheless. */
function wellSpans(text: string, failing: string, calls: CallsSum | null): readonly Span[] {
  const { failures = 0, calls: count = 0 } = calls ?? {};
  const sum = failures === 0 ? '' : `Calls fail: ${countText(failures)} of ${countText(count)}.`;
  const worst = failing === '' ? sum : failing;
  return worst === '' ? [{ text }] : [{ text: worst, look: 'critical' }, { text: ` ${text}` }];
}

/**
 * `Calls fail: gateway → a 100 of 100, gateway → b 1 of 20.` The worst edges of the service that is shown; empty: no
 * call fails.
 */
function failingText(edges: readonly Edge[], hasNamespaces: boolean): string {
  const failing = edges.filter(({ failures }) => failures > 0).toSorted(worstEdgeFirst);
  const named = failing.slice(0, MAX_FAILING).map((edge) => {
    const { from, to } = hasNamespaces ? qualified(edge) : edge;
    return `${from} → ${to} ${countText(edge.failures)} of ${countText(edge.calls)}`;
  });
  const hidden = failing.length > MAX_FAILING ? ` and ${failing.length - MAX_FAILING} more` : '';
  return failing.length === 0 ? '' : `Calls fail: ${named.join(', ')}${hidden}.`;
}

/** The maximum number of edges in the verdict. */
const MAX_FAILING = 2;

function wellText(instances: readonly Instance[], since: string | null): string {
  const [needs, are, were] = since === null ? ['needs', 'are', 'on the way'] : ['needed', 'were', 'were on the way'];
  const count = countCallable(instances);
  const away = notCallableText({ ...count, unfit: NONE_UNFIT });
  const transient = instances.filter((instance) => !isWell(instance) && !isAway(instance)).length;
  const way = transient === 0 ? '' : ` ${transient} ${were}, nothing to do.`;
  const share = `${count.callable} of ${count.all} ${are} callable${away === '' ? '' : `, ${away}`}`;
  return `No service ${needs} attention: ${share}${since === null ? '' : ` at ${since}`}.${way}`;
}

const NONE_UNFIT: Readonly<Record<State, number>> = {
  HEALTHY: 0,
  REGISTERING: 0,
  UNHEALTHY: 0,
  CRITICAL: 0,
  DEREGISTERING: 0,
};

/** Reports whether callers are affected, according to the callers. Empty without callers. */
function affectedText(calls: CallsSum | null): string {
  if (calls === null) return '';
  const { failures, retries } = calls;
  const elsewhere = `${countText(retries)} ${retries === 1 ? 'call' : 'calls'} went elsewhere`;
  if (failures > 0) return ` Callers are affected: ${countText(failures)} of ${countText(calls.calls)} calls failed.`;
  return ` No caller is affected: ${elsewhere}, 0 failed.`;
}

const WAITING_TEXT = 'Waiting for the first registration: import RollcallModule.forRoot({ service: … }) and start it.';

const needsAttention = ({ state }: Instance): boolean => state === 'UNHEALTHY' || state === 'CRITICAL';
