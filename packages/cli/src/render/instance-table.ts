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
import { ageText, clockText, countText, explained, nextText } from '../terminal/words.js';
import { countsOf, isAway, outagesIn, serviceIn } from './outages.js';
import { awayTermsText, awayUntilText } from './override-terms.js';
import { headSpans, STATE_WIDTH, stateSpans } from './state-shapes.js';

/** What is shown: everything that the registry says, and how fresh that is. Times are wall clock, ms since 1970. */
export interface View {
  readonly url: string;
  /** Is the change feed open? */
  readonly isLive: boolean;
  /** Is the line open, or taken, without a word on it? Left out: no. */
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
}

/** Worst first; the last two are on the way, and nothing is to be done. */
const ORDER: readonly State[] = ['CRITICAL', 'UNHEALTHY', 'REGISTERING', 'DEREGISTERING', 'HEALTHY'];
/** Below these widths the columns of the heartbeats go, then the evidence. */
export const HEARTBEATS_FROM = 100;
const EVIDENCE_FROM = 80;
const CALLABLE_WIDTH = 10;
const INBOUND_WIDTH = 9;
const OUTBOUND_WIDTH = 10;
/** A short name has at least so many columns, and more where the sentence keeps this many. */
const LEAST_NAME = 13;
const LEAST_WHY = 26;
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
  const rows = fitting(table, sorted, (screen.lines ?? Infinity) - last.length - 1);
  return [headOf(table), ...rows, ...last].map((line) => paint(line, screen));
}

/** The rows of as many instances as have room, and how many more there are. */
function fitting(table: Table, instances: readonly Instance[], room: number): readonly (readonly Span[])[] {
  const lines: (readonly Span[])[] = [];
  for (const [index, instance] of instances.entries()) {
    const row = rowOf(table, instance);
    const isLast = index === instances.length - 1;
    // what comes after the last one that fits needs a line, too
    if (lines.length + row.length > room - (isLast ? 0 : 1)) return [...lines, moreRow(instances.slice(index))];
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
  const room = Math.max(LEAST_NAME, screen.width - others - LEAST_WHY - 2);
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

/** One line, or two: state, instance, both heartbeats, since, why; then the evidence and what comes next. */
function rowOf(table: Table, instance: Instance): readonly (readonly Span[])[] {
  const { view, screen, whyAt } = table;
  const { id, reason } = instance;
  const beats = view.heartbeats.get(id) ?? null;
  const first: readonly Span[] = [...headSpans(instance), { text: factsOf(table, instance, beats) }];
  const { sentence: why, evidence } = explained(reason);
  const terms = view.away?.get(id) ?? null;
  const sentence = isAway(instance) ? awaySentence(instance, { terms, why, now: screen.now }) : why;
  const next = comesNext(view, instance, screen.now);
  const shown = screen.width < EVIDENCE_FROM ? '' : evidence;
  const oneLine = next === '' ? sentence : `${sentence} ${next}`;
  if (shown === '' && (next === '' || whyAt + columnsOf(oneLine) <= screen.width)) {
    return [[...first, { text: oneLine }]];
  }
  const indent = ' '.repeat(STATE_WIDTH);
  // under the sentence if there is room, else further left, but never into the evidence
  const nextAt = Math.max(
    shown === '' ? 0 : columnsOf(shown) + 2,
    Math.min(whyAt, screen.width - next.length) - indent.length,
  );
  return [
    [...first, { text: sentence }],
    [{ text: indent + padded(shown, nextAt) }, { text: next, look: 'faint' }],
  ];
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

interface AwayInput {
  /** Null: not known. */
  readonly terms: OverrideTerms | null;
  readonly why: string;
  readonly now: number;
}

/** Instead of the state stands what an operator wants; here is who does, and the state. */
function awaySentence({ state, admin }: Instance, { terms, why, now }: AwayInput): string {
  const deed = terms === null ? '' : `${awayTermsText(admin, terms, now)} `;
  return `${deed}${state === 'HEALTHY' ? 'Its state is HEALTHY.' : `${state}: ${why}`}`;
}

/** May callers call it? */
export const callableWord = (instance: Pick<Instance, 'state' | 'admin'>): string =>
  isCallable(instance) ? 'yes' : 'no';

/** Those that need nobody's eye, service by service: as many services as have room, those with trouble first. */
function foldedRow(view: View, count: number, { screen }: Table): readonly Span[] {
  const total = `${`${count} of ${view.instances.length}`.padEnd(CALLABLE_WIDTH - 2)}  `;
  const room = screen.width - STATE_WIDTH - total.length;
  return [...stateSpans('●', 'HEALTHY', 'healthy'), { text: total + joined(sharesOf(view), room) }];
}

function sharesOf({ instances, hasNamespaces }: View): readonly string[] {
  const nameOf = serviceIn(hasNamespaces);
  const shares = new Map<string, { well: number; all: number }>();
  for (const instance of instances) {
    const { well, all } = shares.get(nameOf(instance)) ?? { well: 0, all: 0 };
    shares.set(nameOf(instance), { well: well + (isWell(instance) ? 1 : 0), all: all + 1 });
  }
  return [...shares]
    .toSorted(([one, a], [other, b]) => a.well / a.all - b.well / b.all || one.localeCompare(other))
    .map(([service, { well, all }]) => `${shortened(service, MOST_SERVICE)} ${well} of ${all}`);
}

/** As many texts as have room, and how many more there are. */
function joined(texts: readonly string[], room: number): string {
  let line = '';
  for (const [index, text] of texts.entries()) {
    const longer = index === 0 ? text : `${line} · ${text}`;
    const left = texts.length - index - 1;
    const end = left === 0 ? '' : ` · … and ${countText(left)} more`;
    if (index > 0 && columnsOf(longer + end) > room) return `${line} · … and ${countText(left + 1)} more`;
    line = longer;
  }
  return line;
}

/** Of one that an operator keeps away since when he does; `–` where that is not known. */
function sinceOf(view: View, instance: Instance, now: number): string {
  const since = isAway(instance) ? view.away?.get(instance.id)?.since : instance.since;
  if (since === undefined) return '–';
  return view.isLive ? ageText(now - since) : momentText(since, now);
}

function comesNext(view: View, instance: Instance, now: number): string {
  const terms = isAway(instance) ? view.away?.get(instance.id) : undefined;
  if (view.isLive && terms !== undefined && instance.next === null) return sentenceEnd(awayUntilText(terms, now));
  if (view.isLive) return sentenceEnd(nextText(instance, now));
  return instance.next === null || view.heardAt === null ? '' : `unknown after ${clockText(view.heardAt)}`;
}

const sentenceEnd = (text: string): string => (text === '' ? '' : `${text}.`);

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
