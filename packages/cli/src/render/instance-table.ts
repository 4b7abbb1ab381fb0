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
import { ageText, countText } from '../terminal/words.js';
import { countsOf, isAway, outagesIn, serviceIn } from './outages.js';
import { rowText, shortRow, wholeRow } from './row-text.js';
import { headSpans, STATE_WIDTH, stateSpans } from './state-shapes.js';

/** What is shown: everything that the registry says, and how fresh that is. Times are wall clock, ms since 1970. */
export interface View {
  readonly url: string;
  /** Is the change feed open? */
  readonly isLive: boolean;
  /** Is the feed open, or taken, and the registry says nothing? Left out: no. */
  readonly isSilent?: boolean;
  /** When the registry last spoke; null before the first word. */
  readonly heardAt: number | null;
  readonly revision: number;
  readonly instances: readonly Instance[];
  /** Are there several namespaces? Then each name begins with its own. Left out: no. */
  readonly hasNamespaces?: boolean;
  /** The names of the instances, where these are a part of all; left out: as short as they are unique among these. */
  readonly names?: ReadonlyMap<InstanceId, string>;
  /** As far as they were asked for: they are no part of the feed. */
  readonly heartbeats: ReadonlyMap<InstanceId, Heartbeats>;
  /** Who keeps instances away from callers, since when, why and until when, as far as that was asked for. */
  readonly away?: ReadonlyMap<InstanceId, OverrideTerms>;
  /** All calls of late, as the callers tell; null or left out: nobody told of any, or nobody asked. */
  readonly calls?: CallsSum | null;
  /** The calls of the one service that is shown; left out: all are. */
  readonly edges?: readonly Edge[];
  /** How services of namespaces are that are not shown; left out, or empty: nothing is said of them. */
  readonly others?: string;
  /** Are the instances in the order in which they shall stand? Left out: the worst come first. */
  readonly isSorted?: boolean;
  /** Are some instances of a service left out, so that nothing is said of the whole? Left out: no. */
  readonly isPartial?: boolean;
}

/** Where and when it is shown. */
export interface Screen extends Terminal {
  /** Wall clock, ms since 1970. */
  readonly now: number;
  /** Room for so many instances; beyond it those that are HEALTHY share one line. */
  readonly rows: number;
  /** What is drawn has at most so many lines: of those that do not fit it says how many there are. Left out: any number. */
  readonly lines?: number;
  /** So many instances are shown at most; of the others it says how many there are. Left out: any number. */
  readonly most?: number;
  /** Are rows as high as what they say needs, rather than cut to two lines? Left out: no. */
  readonly isWhole?: boolean;
}

/** Worst first; the last two are on the way, and nothing is to be done. */
const ORDER: readonly State[] = ['CRITICAL', 'UNHEALTHY', 'REGISTERING', 'DEREGISTERING', 'HEALTHY'];
/** Below these widths the columns of the heartbeats go, then the evidence. */
export const HEARTBEATS_FROM = 100;
const EVIDENCE_FROM = 80;
const CALLABLE_WIDTH = 10;
const INBOUND_WIDTH = 9;
const OUTBOUND_WIDTH = 10;
/** A short name has at least so many columns, and more where the sentence keeps this many, and this part of what both share. */
const LEAST_NAME = 13;
const LEAST_WHY = 26;
const WHY_PART = 0.6;
const MOST_SERVICE = 24;

/** The instances alone, worst first. Empty when there are none. */
export function renderTable(view: View, screen: Screen): readonly string[] {
  if (view.instances.length === 0) return [];
  const healthy = view.instances.filter(isWell);
  const isFolded = view.instances.length > screen.rows && healthy.length > 1;
  const shown = isFolded ? view.instances.filter((instance) => !isWell(instance)) : view.instances;
  const table = layOut(view, screen, shown);
  const last = isFolded ? [foldedRow(view, healthy.length, table)] : [];
  const sorted = view.isSorted === true ? shown : worstFirst(shown, view.isPartial === true ? [] : view.instances);
  const rows = fitting(table, sorted, {
    lines: (screen.lines ?? Infinity) - last.length - 1,
    most: screen.most ?? Infinity,
  });
  return [headOf(table), ...rows, ...last].map((line) => paint(line, screen));
}

/** The rows of as many instances as have room, and how many more there are. */
function fitting(
  table: Table,
  instances: readonly Instance[],
  { lines: room, most }: { readonly lines: number; readonly most: number },
): readonly (readonly Span[])[] {
  const lines: (readonly Span[])[] = [];
  for (const [index, instance] of instances.entries()) {
    const row = rowOf(table, instance);
    const isLast = index === instances.length - 1;
    // what comes after the last one that fits needs a line, too
    const isFull = index >= most || lines.length + row.length > room - (isLast ? 0 : 1);
    if (isFull) return [...lines, moreRow(instances.slice(index))];
    lines.push(...row);
  }
  return lines;
}

function moreRow(hidden: readonly Instance[]): readonly Span[] {
  const words = hidden.map((one) => (isAway(one) ? one.admin : one.state));
  const counts = [...ORDER, ...ADMIN_STATES].map((word) => [words.filter((one) => one === word).length, word] as const);
  const listed = counts.filter(([count]) => count > 0).map(([count, word]) => `${countText(count)} ${word}`);
  return [{ text: `… and ${countText(hidden.length)} more: ${listed.join(', ')}`, look: 'faint' }];
}

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

/** State, callable and since have the room that they need, the sentence a part of it; names that are longer than what is left are cut. */
function layOut(view: View, screen: Screen, shown: readonly Instance[]): Table {
  const names = view.names ?? namesOf(view.instances, view.hasNamespaces === true);
  const sinceWidth = widest(5, shown, (instance) => sinceOf(view, instance, screen.now));
  const hasHeartbeats = screen.width >= HEARTBEATS_FROM;
  const directions = hasHeartbeats ? INBOUND_WIDTH + OUTBOUND_WIDTH : 0;
  const others = STATE_WIDTH + CALLABLE_WIDTH + directions + sinceWidth + 2;
  const shared = screen.width - others - 2;
  const nameShare = shared === Infinity ? shared : Math.ceil(shared - Math.max(LEAST_WHY, shared * WHY_PART));
  const room = Math.max(LEAST_NAME, nameShare);
  const nameWidth = Math.min(
    room,
    widest(LEAST_NAME, shown, ({ id }) => names.get(id) ?? id),
  );
  const whyAt = others + nameWidth + 2;
  return { view, screen, names, nameWidth: nameWidth + 2, sinceWidth, hasHeartbeats, whyAt };
}

function widest(least: number, shown: readonly Instance[], textOf: (instance: Instance) => string): number {
  return shown.reduce((width, instance) => Math.max(width, columnsOf(textOf(instance))), least);
}

function headOf({ nameWidth, sinceWidth, hasHeartbeats }: Table): readonly Span[] {
  const directions = hasHeartbeats ? '→1'.padEnd(INBOUND_WIDTH) + '←2'.padEnd(OUTBOUND_WIDTH) : '';
  const states = `  ${'STATE'.padEnd(STATE_WIDTH - 2)}${'CALLABLE'.padEnd(CALLABLE_WIDTH)}`;
  const text = `${states}${'INSTANCE'.padEnd(nameWidth)}${directions}${'SINCE'.padStart(sinceWidth)}  WHY / NEXT`;
  return [{ text, look: 'faint' }];
}

/** State, instance, both heartbeats, since, why; then the evidence and what comes next. */
function rowOf(table: Table, instance: Instance): readonly (readonly Span[])[] {
  const { view, screen, whyAt } = table;
  const beats = view.heartbeats.get(instance.id) ?? null;
  const first: readonly Span[] = [...headSpans(instance), { text: factsOf(table, instance, beats) }];
  const text = rowText(instance, {
    now: screen.now,
    staleAt: view.isLive ? null : view.heardAt,
    terms: view.away?.get(instance.id),
  });
  const room = { width: screen.width, whyAt };
  // that both heartbeats work is worth no second line in a terminal
  const isPlain = isWell(instance) && instance.weight > 0;
  if (screen.isWhole === true && !isPlain) return wholeRow(first, text, room);
  return shortRow(first, screen.width < EVIDENCE_FROM ? { ...text, evidence: '' } : text, room);
}

/** What stands between the state and the sentence. */
function factsOf(table: Table, instance: Instance, beats: Heartbeats | null): string {
  const { view, screen, names, nameWidth, sinceWidth, hasHeartbeats } = table;
  const { id } = instance;
  const { inbound, outbound } = directionTexts(instance, beats, view.isLive ? screen.now : (view.heardAt ?? 0));
  const directions = hasHeartbeats ? inbound.padEnd(INBOUND_WIDTH) + outbound.padEnd(OUTBOUND_WIDTH) : '';
  const since = sinceOf(view, instance, screen.now).padStart(sinceWidth);
  const callable = callableWord(instance).padEnd(CALLABLE_WIDTH);
  const name = padded(shortenedName(names.get(id) ?? id, nameWidth - 2), nameWidth);
  return `${callable}${name}${directions}${since}  `;
}

/** May callers call it? */
export const callableWord = (instance: Pick<Instance, 'state' | 'admin'>): string =>
  isCallable(instance) ? 'yes' : 'no';

/** Those that need nobody's eye, service by service: as many services as have room, those with trouble first. */
function foldedRow(view: View, count: number, { screen }: Table): readonly Span[] {
  const total = `${`${count} of ${view.instances.length}`.padEnd(CALLABLE_WIDTH - 2)}  `;
  const room = screen.width - STATE_WIDTH - total.length - 'callable: '.length;
  const text = `callable: ${joined(sharesOf(view, room), room)}`;
  return [...stateSpans('●', 'HEALTHY', 'healthy'), { text: total + text }];
}

/**
 * Of each service how many callers may call: those with the smallest part first, then those with the fewest that are well. Names are cut, so
 * that each text fits in `room` with how many more there are.
 */
function sharesOf({ instances, hasNamespaces }: View, room: number): readonly string[] {
  const unwell = countsOf(
    instances.filter((one) => !isWell(one)),
    hasNamespaces,
  );
  const unwellPart = (service: string, all: number): number => (unwell.get(service)?.all ?? 0) / all;
  const services = countsOf(instances, hasNamespaces);
  const forOne = room - moreText(services.size).length;
  return [...services]
    .toSorted(
      ([one, a], [other, b]) =>
        a.callable / a.all - b.callable / b.all ||
        unwellPart(other, b.all) - unwellPart(one, a.all) ||
        one.localeCompare(other),
    )
    .map(([service, { callable, all }]) => {
      const count = ` ${callable} of ${all}`;
      return shortened(service, Math.min(MOST_SERVICE, Math.max(LEAST_NAME, forOne - count.length))) + count;
    });
}

const moreText = (count: number): string => ` · … and ${countText(count)} more`;

/** As many texts as have room, and how many more there are. */
function joined(texts: readonly string[], room: number): string {
  let line = '';
  for (const [index, text] of texts.entries()) {
    const longer = index === 0 ? text : `${line} · ${text}`;
    const left = texts.length - index - 1;
    const end = left === 0 ? '' : moreText(left);
    if (index > 0 && columnsOf(longer + end) > room) return line + moreText(left + 1);
    line = longer;
  }
  return line;
}

/** Of one that an operator keeps away since when; `–` where that is not known. */
function sinceOf(view: View, instance: Instance, now: number): string {
  const since = isAway(instance) ? view.away?.get(instance.id)?.since : instance.since;
  if (since === undefined) return '–';
  return view.isLive ? ageText(now - since) : momentText(since, now);
}

/** HEALTHY, and called: it needs nobody's eye. */
export const isWell = (instance: Instance): boolean => instance.state === 'HEALTHY' && !isAway(instance);

/** Worst first. What an operator keeps away comes behind UNHEALTHY, unless its state is worse. */
function rankOf(instance: Instance): number {
  const rank = ORDER.indexOf(instance.state);
  return isAway(instance) ? Math.min(rank, ORDER.indexOf('UNHEALTHY') + 0.5) : rank;
}

/** Those that need attention first, the newest of them first. `all`: of which a service that nobody may be called of is the worst. */
export function worstFirst(instances: readonly Instance[], all: readonly Instance[]): readonly Instance[] {
  const outages = new Set(outagesIn(countsOf(all, true)));
  const nameOf = serviceIn(true);
  const rank = (instance: Instance): number => (outages.has(nameOf(instance)) ? -ORDER.length : 0) + rankOf(instance);
  return instances.toSorted((one, other) => rank(one) - rank(other) || settledOrder(one, other));
}

function settledOrder(one: Instance, other: Instance): number {
  // among those that are well nobody looks for the newest: they keep their places
  const bySince = isWell(one) ? 0 : other.since - one.since;
  return bySince || one.service.localeCompare(other.service) || one.id.localeCompare(other.id);
}
