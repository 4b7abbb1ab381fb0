import { ADMIN_STATES, isCallable } from '@rollcall/core';
import type { Instance, InstanceId, OverrideTerms, State } from '@rollcall/core';
import { directionTexts } from '../registry/heartbeats.js';
import type { Heartbeats } from '../registry/heartbeats.js';
import { namesOf } from '../registry/namespaces.js';
import type { CallsSum, Edge } from '../registry/traffic.js';
import { columnsOf, padded, shortened, shortenedName } from '../terminal/columns.js';
import { momentText } from '../terminal/moments.js';
import { paint } from '../terminal/paint.js';
import type { Span } from '../terminal/paint.js';
import type { Terminal } from '../terminal/shell.js';
import { ageText, countText } from '../terminal/texts.js';
import { countsOf, isAway, outagesIn, serviceIn } from './outages.js';
import { rowText, shortRow, wholeRow } from './row-text.js';
import { headSpans, STATE_WIDTH, stateSpans } from './state-shapes.js';

/** The content of the table: the view of the registry, and its age. Times are wall clock, ms since 1970. */
export interface View {
  readonly url: string;
  /** True if the change feed is open. */
  readonly isLive: boolean;
  /** True if the feed is open, or accepted, and the registry sends nothing. Left out: no. */
  readonly isSilent?: boolean;
  /** The time of the registry's last message; null before the first. */
  readonly lastMessageAt: number | null;
  readonly revision: number;
  readonly instances: readonly Instance[];
  /** True if there are several namespaces: then each name begins with its own. Left out: no. */
  readonly hasNamespaces?: boolean;
  /** The names of the instances, if these are a part of all; left out: as short as they are unique among these. */
  readonly names?: ReadonlyMap<InstanceId, string>;
  /** The measurements that were requested: they are not part of the feed. */
  readonly heartbeats: ReadonlyMap<InstanceId, Heartbeats>;
  /** The operators' settings that keep instances from callers, with start, reason and end, as far as requested. */
  readonly away?: ReadonlyMap<InstanceId, OverrideTerms>;
  /** The sum of all recent calls that callers reported; null or left out: none were reported, or requested. */
  readonly calls?: CallsSum | null;
  /** The calls of the one service that is shown; left out: all. */
  readonly edges?: readonly Edge[];
  /** A sentence about services in namespaces that are not shown; left out, or empty: none. */
  readonly otherNamespaces?: string;
  /** True if the instances are in their final order. Left out: worst first. */
  readonly isSorted?: boolean;
  /** True if some instances of a service are left out: then there is no verdict about the whole. Left out: no. */
  readonly isPartial?: boolean;
}

/** The terminal and the time of a view. */
export interface Screen extends Terminal {
  /** Wall clock, ms since 1970. */
  readonly now: number;
  /** The number of instances with a row of their own; beyond it those that are HEALTHY share one line. */
  readonly rows: number;
  /** The maximum number of lines; instances that do not fit are counted. Left out: any number. */
  readonly lines?: number;
  /** The maximum number of instances that are shown; the others are counted. Left out: any number. */
  readonly maxInstances?: number;
  /** True if rows are as high as their text needs, instead of being cut to two lines. Left out: no. */
  readonly isWhole?: boolean;
}

/** Worst first; the last two are on the way, and nothing is to be done. */
const ORDER: readonly State[] = ['CRITICAL', 'UNHEALTHY', 'REGISTERING', 'DEREGISTERING', 'HEALTHY'];
/** Below these widths the columns of the heartbeats are dropped, then the evidence. */
export const HEARTBEATS_FROM = 100;
const EVIDENCE_FROM = 80;
const CALLABLE_WIDTH = 10;
const INBOUND_WIDTH = 9;
const OUTBOUND_WIDTH = 10;
/**
 * The minimum width of a short name; it is wider if the sentence keeps this many columns, and up to this share of the
 * width of both.
 */
const MIN_NAME_WIDTH = 13;
const MIN_REASON_WIDTH = 26;
const REASON_SHARE = 0.6;
const MAX_SERVICE_WIDTH = 24;

/** The instances alone, worst first. Empty if there are none. */
export function renderTable(view: View, screen: Screen): readonly string[] {
  if (view.instances.length === 0) return [];
  const healthy = view.instances.filter(isWell);
  const isFolded = view.instances.length > screen.rows && healthy.length > 1;
  const shown = isFolded ? view.instances.filter((instance) => !isWell(instance)) : view.instances;
  const table = layOutTable(view, screen, shown);
  const last = isFolded ? [foldedRow(view, healthy.length, table)] : [];
  const sorted = view.isSorted === true ? shown : worstFirst(shown, view.isPartial === true ? [] : view.instances);
  const rows = fittingRows(table, sorted, {
    lines: (screen.lines ?? Infinity) - last.length - 1,
    maxInstances: screen.maxInstances ?? Infinity,
  });
  return [headOf(table), ...rows, ...last].map((line) => paint(line, screen));
}

/** The rows of the instances that fit, and a count of the others. */
function fittingRows(
  table: Table,
  instances: readonly Instance[],
  { lines: room, maxInstances }: { readonly lines: number; readonly maxInstances: number },
): readonly (readonly Span[])[] {
  const lines: (readonly Span[])[] = [];
  for (const [index, instance] of instances.entries()) {
    const row = rowOf(table, instance);
    const isLast = index === instances.length - 1;
    // the line about the others after the last one that fits counts, too
    const isFull = index >= maxInstances || lines.length + row.length > room - (isLast ? 0 : 1);
    if (isFull) return [...lines, hiddenRow(instances.slice(index))];
    lines.push(...row);
  }
  return lines;
}

function hiddenRow(hidden: readonly Instance[]): readonly Span[] {
  const states = hidden.map((instance) => (isAway(instance) ? instance.admin : instance.state));
  const counts = [...ORDER, ...ADMIN_STATES].map(
    (state) => [states.filter((known) => known === state).length, state] as const,
  );
  const listed = counts.filter(([count]) => count > 0).map(([count, state]) => `${countText(count)} ${state}`);
  return [{ text: `… and ${countText(hidden.length)} more: ${listed.join(', ')}`, look: 'faint' }];
}

interface Table {
  readonly view: View;
  readonly screen: Screen;
  readonly names: ReadonlyMap<InstanceId, string>;
  readonly nameWidth: number;
  readonly sinceWidth: number;
  readonly hasHeartbeats: boolean;
  /** The column where the sentence begins. */
  readonly reasonColumn: number;
}

/**
 * State, callable and since have the width that they need, the sentence a share of it; longer names are cut to the
 * rest.
 */
function layOutTable(view: View, screen: Screen, shown: readonly Instance[]): Table {
  const names = view.names ?? namesOf(view.instances, view.hasNamespaces === true);
  const sinceWidth = widest(5, shown, (instance) => sinceOf(view, instance, screen.now));
  const hasHeartbeats = screen.width >= HEARTBEATS_FROM;
  const directions = hasHeartbeats ? INBOUND_WIDTH + OUTBOUND_WIDTH : 0;
  const otherWidth = STATE_WIDTH + CALLABLE_WIDTH + directions + sinceWidth + 2;
  const shared = screen.width - otherWidth - 2;
  const nameShare =
    shared === Infinity ? shared : Math.ceil(shared - Math.max(MIN_REASON_WIDTH, shared * REASON_SHARE));
  const room = Math.max(MIN_NAME_WIDTH, nameShare);
  const nameWidth = Math.min(
    room,
    widest(MIN_NAME_WIDTH, shown, ({ id }) => names.get(id) ?? id),
  );
  const reasonColumn = otherWidth + nameWidth + 2;
  return { view, screen, names, nameWidth: nameWidth + 2, sinceWidth, hasHeartbeats, reasonColumn };
}

function widest(min: number, shown: readonly Instance[], textOf: (instance: Instance) => string): number {
  return shown.reduce((width, instance) => Math.max(width, columnsOf(textOf(instance))), min);
}

function headOf({ nameWidth, sinceWidth, hasHeartbeats }: Table): readonly Span[] {
  const directions = hasHeartbeats ? '→1'.padEnd(INBOUND_WIDTH) + '←2'.padEnd(OUTBOUND_WIDTH) : '';
  const states = `  ${'STATE'.padEnd(STATE_WIDTH - 2)}${'CALLABLE'.padEnd(CALLABLE_WIDTH)}`;
  const text = `${states}${'INSTANCE'.padEnd(nameWidth)}${directions}${'SINCE'.padStart(sinceWidth)}  WHY / NEXT`;
  return [{ text, look: 'faint' }];
}

/** State, instance, both heartbeats, since, why; then the evidence and what comes next. */
function rowOf(table: Table, instance: Instance): readonly (readonly Span[])[] {
  const { view, screen, reasonColumn } = table;
  const beats = view.heartbeats.get(instance.id) ?? null;
  const first: readonly Span[] = [...headSpans(instance), { text: factsOf(table, instance, beats) }];
  const text = rowText(instance, {
    now: screen.now,
    staleAt: view.isLive ? null : view.lastMessageAt,
    terms: view.away?.get(instance.id),
  });
  const room = { width: screen.width, reasonColumn: reasonColumn };
  // that both heartbeats work does not need a second line in a terminal
  const isPlain = isWell(instance) && instance.weight > 0;
  if (screen.isWhole === true && !isPlain) return wholeRow(first, text, room);
  return shortRow(first, screen.width < EVIDENCE_FROM ? { ...text, evidence: '' } : text, room);
}

/** The columns between the state and the sentence. */
function factsOf(table: Table, instance: Instance, beats: Heartbeats | null): string {
  const { view, screen, names, nameWidth, sinceWidth, hasHeartbeats } = table;
  const { id } = instance;
  const { inbound, outbound } = directionTexts(instance, beats, view.isLive ? screen.now : (view.lastMessageAt ?? 0));
  const directions = hasHeartbeats ? inbound.padEnd(INBOUND_WIDTH) + outbound.padEnd(OUTBOUND_WIDTH) : '';
  const since = sinceOf(view, instance, screen.now).padStart(sinceWidth);
  const callable = callableWord(instance).padEnd(CALLABLE_WIDTH);
  const name = padded(shortenedName(names.get(id) ?? id, nameWidth - 2), nameWidth);
  return `${callable}${name}${directions}${since}  `;
}

/** Whether callers may call it. */
export const callableWord = (instance: Pick<Instance, 'state' | 'admin'>): string =>
  isCallable(instance) ? 'yes' : 'no';

/** Instances that need no attention, service by service: as many services as fit, those with problems first. */
function foldedRow(view: View, count: number, { screen }: Table): readonly Span[] {
  const total = `${`${count} of ${view.instances.length}`.padEnd(CALLABLE_WIDTH - 2)}  `;
  const room = screen.width - STATE_WIDTH - total.length - 'callable: '.length;
  const text = `callable: ${joinFitting(callableShares(view, room), room)}`;
  return [...stateSpans('●', 'HEALTHY', 'healthy'), { text: total + text }];
}

/**
 * The number of callable instances of each service: those with the smallest share first, then those with the fewest
 * that are well. Names are cut: each text fits in `room` with the number of others.
 */
function callableShares({ instances, hasNamespaces }: View, room: number): readonly string[] {
  const unwell = countsOf(
    instances.filter((instance) => !isWell(instance)),
    hasNamespaces,
  );
  const unwellPart = (service: string, all: number): number => (unwell.get(service)?.all ?? 0) / all;
  const services = countsOf(instances, hasNamespaces);
  const forOne = room - hiddenText(services.size).length;
  return [...services]
    .toSorted(
      ([one, a], [other, b]) =>
        a.callable / a.all - b.callable / b.all ||
        unwellPart(other, b.all) - unwellPart(one, a.all) ||
        one.localeCompare(other),
    )
    .map(([service, { callable, all }]) => {
      const count = ` ${callable} of ${all}`;
      return shortened(service, Math.min(MAX_SERVICE_WIDTH, Math.max(MIN_NAME_WIDTH, forOne - count.length))) + count;
    });
}

const hiddenText = (count: number): string => ` · … and ${countText(count)} more`;

/** Joins the texts that fit, and counts the others. */
function joinFitting(texts: readonly string[], room: number): string {
  let line = '';
  for (const [index, text] of texts.entries()) {
    const longer = index === 0 ? text : `${line} · ${text}`;
    const left = texts.length - index - 1;
    const end = left === 0 ? '' : hiddenText(left);
    if (index > 0 && columnsOf(longer + end) > room) return line + hiddenText(left + 1);
    line = longer;
  }
  return line;
}

/** The age of the operator's setting; `–` if unknown. */
function sinceOf(view: View, instance: Instance, now: number): string {
  const since = isAway(instance) ? view.away?.get(instance.id)?.since : instance.since;
  if (since === undefined) return '–';
  return view.isLive ? ageText(now - since) : momentText(since, now);
}

/** HEALTHY, and called: it needs no attention. */
export const isWell = (instance: Instance): boolean => instance.state === 'HEALTHY' && !isAway(instance);

/**
 * Worst first. An instance that an operator keeps from callers follows those that are UNHEALTHY, unless its state is
 * worse.
 */
function rankOf(instance: Instance): number {
  const rank = ORDER.indexOf(instance.state);
  return isAway(instance) ? Math.min(rank, ORDER.indexOf('UNHEALTHY') + 0.5) : rank;
}

/**
 * Instances that need attention first, the newest change first. `all`: a service in it without a callable instance is
 * the worst.
 */
export function worstFirst(instances: readonly Instance[], all: readonly Instance[]): readonly Instance[] {
  const outages = new Set(outagesIn(countsOf(all, true)));
  const nameOf = serviceIn(true);
  const rank = (instance: Instance): number => (outages.has(nameOf(instance)) ? -ORDER.length : 0) + rankOf(instance);
  return instances.toSorted((a, b) => rank(a) - rank(b) || stableOrder(a, b));
}

function stableOrder(a: Instance, b: Instance): number {
  // instances that are well keep their places
  const bySince = isWell(a) ? 0 : b.since - a.since;
  return bySince || a.service.localeCompare(b.service) || a.id.localeCompare(b.id);
}
