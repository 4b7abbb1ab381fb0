import { countCallable, notCallableText } from '@rollcall/core';
import type { AdminState, Instance, InstanceId, State } from '@rollcall/core';
import { directionTexts } from './heartbeats.js';
import type { Heartbeats } from './heartbeats.js';
import { momentText } from './moments.js';
import { namesOf } from './namespaces.js';
import { countsOf, isAway, outagesIn, outageText, serviceIn } from './outages.js';
import { paint } from './paint.js';
import type { Look, Span } from './paint.js';
import type { Terminal } from './shell.js';
import { successText } from './traffic.js';
import type { CallsSum, Edge } from './traffic.js';
import { trafficRows, trafficText } from './watch-traffic.js';
import type { Traffic } from './watch-traffic.js';
import { ageText, clockText, countText, explained, nextText, tripText } from './words.js';

/** What is shown: everything that the registry says, and how fresh that is. Times are wall clock, ms since 1970. */
export interface View {
  readonly url: string;
  /** Is the change feed open? */
  readonly isLive: boolean;
  /** When the registry last spoke; null before the first word. */
  readonly heardAt: number | null;
  readonly revision: number;
  readonly instances: readonly Instance[];
  /** Are there several namespaces? Then each name begins with its own. Left out: no. */
  readonly hasNamespaces?: boolean;
  /** As far as they were asked for: they are no part of the feed. */
  readonly heartbeats: ReadonlyMap<InstanceId, Heartbeats>;
  /** All calls of late, as the callers tell; null or left out: nobody told of any, or nobody asked. */
  readonly calls?: CallsSum | null;
  /** The calls of the one service that is shown; left out: all are. */
  readonly edges?: readonly Edge[];
}

/** Where and when it is shown. */
export interface Screen extends Terminal {
  /** Wall clock, ms since 1970. */
  readonly now: number;
  /** Room for so many instances; beyond it those that are HEALTHY share one line. */
  readonly rows: number;
}

/** Worst first; the last two are on the way, and nothing is to be done. */
const ORDER: readonly State[] = ['CRITICAL', 'UNHEALTHY', 'REGISTERING', 'DEREGISTERING', 'HEALTHY'];
const LOOKS: Readonly<Record<State, Look>> = {
  HEALTHY: 'healthy',
  UNHEALTHY: 'unhealthy',
  CRITICAL: 'critical',
  REGISTERING: 'registering',
  DEREGISTERING: 'leaving',
};
/** A feed that is away for less than this is expected to be back any moment. */
const STALE_AFTER_MS = 10_000;
/** Below these widths the columns of the heartbeats go, then the evidence. */
const HEARTBEATS_FROM = 100;
const EVIDENCE_FROM = 80;
const STATE_WIDTH = 15;
/** Of an instance that an operator drained, or put into maintenance. */
const AWAY_SHAPE = '⊘';
const AWAY_LOOK: Look = 'leaving';
const INBOUND_WIDTH = 9;
const OUTBOUND_WIDTH = 10;

/** The whole picture: headline, verdict, and the table. The lines are as wide as the screen at most. */
export function renderView(view: View, screen: Screen): readonly string[] {
  const lines = [headline(view, screen), verdictOf(view)];
  if (!view.isLive && view.heardAt !== null) {
    lines.push([
      { text: 'No line to the registry. Services go on with their own copy; trying again.', look: 'unhealthy' },
    ]);
  }
  const table = renderTable(view, screen);
  const legend = table.length === 0 ? [] : [...trafficOf(view), ...legendOf(view, screen)];
  return [...lines.map((line) => paint(line, screen)), ...table, ...legend.map((line) => paint(line, screen))];
}

/** Under the table: the calls of the service that is shown. */
function trafficOf({ edges = [], isLive, hasNamespaces = false }: View): readonly (readonly Span[])[] {
  return isLive ? trafficRows(edges, hasNamespaces) : [];
}

/** Under the table: how the calls go, and what the two arrows mean. */
function legendOf({ calls = null, isLive }: View, { width }: Screen): readonly (readonly Span[])[] {
  const arrows = width < HEARTBEATS_FROM ? '' : '→1 the registry calls  ←2 it calls';
  if (calls === null || !isLive) return arrows === '' ? [] : [[{ text: arrows, look: 'faint' }]];
  const perSecond = calls.perSecond < 10 ? calls.perSecond.toFixed(1) : countText(Math.round(calls.perSecond));
  const p99 = calls.p99Ms === null ? '–' : tripText(calls.p99Ms);
  const text = `calls ${perSecond}/s  success ${successText(calls)}  went elsewhere ${countText(calls.retries)}  p99 ${p99}`;
  const gap = arrows === '' ? '' : ' '.repeat(Math.max(2, Math.min(width, 100) - text.length - arrows.length));
  return [[{ text }, { text: gap + arrows, look: 'faint' }]];
}

/** The instances alone, worst first. Empty when there are none. */
export function renderTable(view: View, screen: Screen): readonly string[] {
  if (view.instances.length === 0) return [];
  const healthy = view.instances.filter(isWell);
  const isFolded = view.instances.length > screen.rows && healthy.length > 1;
  const shown = isFolded ? view.instances.filter((instance) => !isWell(instance)) : view.instances;
  const table = layOut(view, screen, shown);
  const outages = new Set(outagesIn(countsOf(view.instances)));
  const rank = (instance: Instance): number => (outages.has(instance.service) ? -ORDER.length : 0) + rankOf(instance);
  const rows = shown
    .toSorted((one, other) => rank(one) - rank(other) || settledOrder(one, other))
    .flatMap((instance) => rowOf(table, instance));
  const lines = [headOf(table), ...rows, ...(isFolded ? [foldedRow(view, healthy.length, table)] : [])];
  return lines.map((line) => paint(line, screen));
}

/** One change as one line, for output that is no terminal: what an instance is now, or why it is gone. `at`: when, as people read it. */
export function renderChange(
  change: {
    /** When, as people read it. */
    readonly at?: string;
    readonly name: string;
    readonly state: State | 'REMOVED';
    readonly text: string;
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
      ? [AWAY_SHAPE, admin, AWAY_LOOK]
      : [shapeOf(state), state, LOOKS[state]];
  const [mark, word, look] = head;
  const why = isGone || !isAway({ admin }) ? text : `${state}: ${text}`;
  return paint([{ text: `${at}  ` }, ...stateSpans(mark, word, look), { text: `${name.padEnd(16)}  ${why}` }], {
    ...screen,
    width: Infinity,
  });
}

/** The calls to a service as one line, for output that is no terminal. */
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

function linkText({ isLive, heardAt }: View, now: number): string {
  if (isLive) return 'Live';
  if (heardAt === null) return 'Connecting';
  const age = now - heardAt;
  return age < STALE_AFTER_MS ? 'Reconnecting' : `Stale ${ageText(age)}`;
}

/** Who needs attention: a service that nobody may be called of is the worst; then UNHEALTHY and CRITICAL. An old view speaks in the past. */
function verdictOf({ instances, isLive, heardAt, calls = null, hasNamespaces }: View): readonly Span[] {
  if (instances.length === 0) return [{ text: heardAt === null ? 'Waiting for the registry.' : WAITING }];
  const counts = countsOf(instances, hasNamespaces);
  const outages = outagesIn(counts);
  const nameOf = serviceIn(hasNamespaces);
  const troubled = new Set([...outages, ...instances.filter(needsAttention).map(nameOf)]);
  const since = isLive || heardAt === null ? null : clockText(heardAt);
  if (troubled.size === 0) return [{ text: wellText(instances, since) }];
  const [needs, need] = isLive ? ['needs', 'need'] : ['needed', 'needed'];
  const of = `${troubled.size} of ${counts.size} ${counts.size === 1 ? 'service' : 'services'}`;
  const count = `${of} ${troubled.size === 1 ? needs : need} attention${since === null ? '' : ` at ${since}`}.`;
  const affected = isLive ? affectedText(calls) : '';
  if (outages.length === 0) return [{ text: count, look: 'strong' }, { text: affected }];
  const others = troubled.size === outages.length ? '' : ` ${count}`;
  return [{ text: outageText(counts, since), look: 'critical' }, { text: `${others}${affected}` }];
}

function wellText(instances: readonly Instance[], since: string | null): string {
  const [needs, are, were] = since === null ? ['needs', 'are', 'on the way'] : ['needed', 'were', 'were on the way'];
  const healthy = instances.filter(isWell).length;
  const away = notCallableText({ ...countCallable(instances), unfit: NOBODY });
  const rest = instances.length - healthy - instances.filter(isAway).length;
  const way = rest === 0 ? '' : ` ${rest} ${were}, nothing to do.`;
  const share = `${healthy} of ${instances.length} ${are} HEALTHY${away === '' ? '' : `, ${away}`}`;
  return `No service ${needs} attention: ${share}${since === null ? '' : ` at ${since}`}.${way}`;
}

const NOBODY: Readonly<Record<State, number>> = {
  HEALTHY: 0,
  REGISTERING: 0,
  UNHEALTHY: 0,
  CRITICAL: 0,
  DEREGISTERING: 0,
};

/** Are the callers of those that need attention affected, by what the callers tell? Empty where nobody calls. */
function affectedText(calls: CallsSum | null): string {
  if (calls === null) return '';
  const { failures, retries } = calls;
  const elsewhere = `${countText(retries)} ${retries === 1 ? 'call' : 'calls'} went elsewhere`;
  if (failures > 0) return ` Callers are affected: ${countText(failures)} of ${countText(calls.calls)} calls failed.`;
  return ` No caller is affected: ${elsewhere}, 0 failed.`;
}

const WAITING = 'Waiting for the first registration: import RollcallModule.forRoot({ service: … }) and start it.';

const needsAttention = ({ state }: Instance): boolean => state === 'UNHEALTHY' || state === 'CRITICAL';

// ---- the table ------------------------------------------------------------------------------------------------------

interface Table {
  readonly view: View;
  readonly screen: Screen;
  readonly names: ReadonlyMap<InstanceId, string>;
  readonly nameWidth: number;
  readonly sinceWidth: number;
  readonly hasHeartbeats: boolean;
  /** Where the sentence begins. */
  readonly whyAt: number;
}

function layOut(view: View, screen: Screen, shown: readonly Instance[]): Table {
  const names = namesOf(view.instances, view.hasNamespaces === true);
  const nameWidth = Math.max(13, ...shown.map(({ id }) => names.get(id)?.length ?? 0)) + 2;
  const sinceWidth = Math.max(5, ...shown.map((instance) => sinceOf(view, instance, screen.now).length));
  const hasHeartbeats = screen.width >= HEARTBEATS_FROM;
  const directions = hasHeartbeats ? INBOUND_WIDTH + OUTBOUND_WIDTH : 0;
  const whyAt = 2 + STATE_WIDTH + nameWidth + directions + sinceWidth + 2;
  return { view, screen, names, nameWidth, sinceWidth, hasHeartbeats, whyAt };
}

function headOf({ nameWidth, sinceWidth, hasHeartbeats }: Table): readonly Span[] {
  const directions = hasHeartbeats ? '→1'.padEnd(INBOUND_WIDTH) + '←2'.padEnd(OUTBOUND_WIDTH) : '';
  const text = `  ${'STATE'.padEnd(STATE_WIDTH)}${'INSTANCE'.padEnd(nameWidth)}${directions}${'SINCE'.padStart(sinceWidth)}  WHY / NEXT`;
  return [{ text, look: 'faint' }];
}

/** One line, or two: state, instance, both heartbeats, since, why; then the evidence and what comes next. */
function rowOf(table: Table, instance: Instance): readonly (readonly Span[])[] {
  const { view, screen, names, nameWidth, sinceWidth, hasHeartbeats, whyAt } = table;
  const { id, state, reason } = instance;
  const beats = view.heartbeats.get(id) ?? null;
  const { inbound, outbound } = directionTexts(instance, beats, view.isLive ? screen.now : (view.heardAt ?? 0));
  const directions = hasHeartbeats ? inbound.padEnd(INBOUND_WIDTH) + outbound.padEnd(OUTBOUND_WIDTH) : '';
  const since = sinceOf(view, instance, screen.now).padStart(sinceWidth);
  const head = isAway(instance)
    ? stateSpans(AWAY_SHAPE, instance.admin, AWAY_LOOK)
    : stateSpans(shapeOf(state, instance, beats), state, LOOKS[state]);
  const first: readonly Span[] = [
    ...head,
    { text: `${(names.get(id) ?? id).padEnd(nameWidth)}${directions}${since}  ` },
  ];
  const { sentence: why, evidence } = explained(reason);
  const sentence = isAway(instance) ? awaySentence(state, why) : why;
  const next = comesNext(view, instance, screen.now);
  const shown = screen.width < EVIDENCE_FROM ? '' : evidence;
  const oneLine = next === '' ? sentence : `${sentence} ${next}`;
  if (shown === '' && (next === '' || whyAt + oneLine.length <= screen.width)) return [[...first, { text: oneLine }]];
  const indent = ' '.repeat(2 + STATE_WIDTH);
  // under the sentence if there is room, else further left, but never into the evidence
  const nextAt = Math.max(
    shown === '' ? 0 : shown.length + 2,
    Math.min(whyAt, screen.width - next.length) - indent.length,
  );
  return [
    [...first, { text: sentence }],
    [{ text: indent + shown.padEnd(nextAt) }, { text: next, look: 'faint' }],
  ];
}

/** What an operator wants comes first; of its state no more than people need. */
const awaySentence = (state: State, why: string): string =>
  state === 'HEALTHY' ? 'Gets no calls. Its state: HEALTHY.' : `Gets no calls. ${state}: ${why}`;

/** Those that need nobody's eye, service by service. */
function foldedRow(view: View, count: number, { nameWidth }: Table): readonly Span[] {
  const nameOf = serviceIn(view.hasNamespaces);
  const services = [...new Set(view.instances.map(nameOf))].toSorted();
  const shares = services.map((service) => {
    const all = view.instances.filter((instance) => nameOf(instance) === service);
    return `${service} ${all.filter(isWell).length} of ${all.length}`;
  });
  const total = `${count} of ${view.instances.length}`;
  return [...stateSpans('●', 'HEALTHY', 'healthy'), { text: `${total.padEnd(nameWidth)}${shares.join(' · ')}` }];
}

/** HEALTHY has a coloured disc and a plain word. */
function stateSpans(mark: string, word: string, look: Look): readonly Span[] {
  const padding = { text: ' '.repeat(Math.max(1, STATE_WIDTH - word.length)) };
  return [{ text: mark, look }, { text: ' ' }, look === 'healthy' ? { text: word } : { text: word, look }, padding];
}

function sinceOf(view: View, { since }: Instance, now: number): string {
  return view.isLive ? ageText(now - since) : momentText(since, now);
}

function comesNext(view: View, instance: Instance, now: number): string {
  if (view.isLive) return sentenceEnd(nextText(instance, now));
  return instance.next === null || view.heardAt === null ? '' : `unknown after ${clockText(view.heardAt)}`;
}

const sentenceEnd = (text: string): string => (text === '' ? '' : `${text}.`);

/** HEALTHY, and called: it needs nobody's eye. */
const isWell = (instance: Instance): boolean => instance.state === 'HEALTHY' && !isAway(instance);

/** Worst first. What an operator keeps away comes behind UNHEALTHY, unless its state is worse. */
function rankOf(instance: Instance): number {
  const rank = ORDER.indexOf(instance.state);
  return isAway(instance) ? Math.min(rank, ORDER.indexOf('UNHEALTHY') + 0.5) : rank;
}

function settledOrder(one: Instance, other: Instance): number {
  // among those that are well nobody looks for the newest: they keep their places
  const bySince = isWell(one) ? 0 : other.since - one.since;
  return bySince || one.service.localeCompare(other.service) || one.id.localeCompare(other.id);
}

const SHAPES: Readonly<Record<State, string>> = {
  HEALTHY: '●',
  UNHEALTHY: '⊖',
  CRITICAL: '▲',
  REGISTERING: '◌',
  DEREGISTERING: '⇥',
};

/** The shape of an instance's state, one column wide. */
export const stateShape = (instance: Instance, beats: Heartbeats | null = null): string =>
  shapeOf(instance.state, instance, beats);

export const stateLook = (state: State): Look => LOOKS[state];

/** How an instance is marked that an operator keeps callers away from. */
export const AWAY = { shape: AWAY_SHAPE, look: AWAY_LOOK } as const;

/** The disc is the two heartbeats: its upper half stands for Heartbeat-1, its lower half for Heartbeat-2. */
function shapeOf(state: State, instance?: Instance, beats: Heartbeats | null = null): string {
  if (state !== 'UNHEALTHY' || instance === undefined) return SHAPES[state];
  switch (instance.reason.code) {
    case 'INBOUND_SILENT':
    case 'INBOUND_REFUSED':
      return '◒';
    case 'OUTBOUND_SILENT':
      return '◓';
    case 'SILENT':
      return '⊖';
    default:
      return beats === null ? '⊖' : discOf(beats);
  }
}

function discOf({ heartbeat1, heartbeat2 }: Heartbeats): string {
  if (heartbeat1.misses === 0) return heartbeat2.misses === 0 ? '●' : '◓';
  return heartbeat2.misses === 0 ? '◒' : '⊖';
}
