/**
 * The text of a row behind the state of the instance: reason, evidence and what comes next; and their places in the
 * row.
 */
import type { AwayState, Instance, OverrideTerms } from '@rollcall/core';
import { isCallable } from '@rollcall/core';
import { columnsOf, padded, wrapped } from '../terminal/columns.js';
import type { Span } from '../terminal/paint.js';
import { clockText, explainReason, nextText } from '../terminal/texts.js';
import { isAway } from './outages.js';
import { awayAction, untilText } from './override-terms.js';
import { STATE_WIDTH } from './state-shapes.js';

export interface RowText {
  readonly sentence: string;
  /** The error with its address, or the state behind an admin state; empty: none. */
  readonly evidence: string;
  /** Empty: no known transition. */
  readonly next: string;
}

/** The time at which the instance is shown, wall clock, ms since 1970. */
export interface RowOptions {
  readonly now: number;
  /**
   * The time of the last message of the registry if the view is old; null: the view is live, or nothing was received
   * yet.
   */
  readonly staleAt: number | null;
  /** The setting with which an operator keeps it from callers, as far as known; undefined: unknown. */
  readonly terms: OverrideTerms | undefined;
}

export function rowText(instance: Instance, options: RowOptions): RowText {
  const { sentence, evidence } = explainReason(instance.reason);
  const next = nextSentence(instance, options);
  if (isAway(instance)) return awayText(instance, options, { sentence, evidence, next });
  const isPassedOver = instance.weight === 0 && isCallable(instance);
  return { sentence: isPassedOver ? `${sentence} ${WEIGHTLESS}` : sentence, evidence, next };
}

const WEIGHTLESS = 'Weight 0: callers pass it over while another one as good has a weight.';

/** The action of the operator comes first, as far as known, and the state second. */
function awayText(
  { admin, state }: Pick<Instance, 'state'> & { readonly admin: AwayState },
  { now, terms }: RowOptions,
  own: RowText,
): RowText {
  const why = `${state}: ${own.sentence}`;
  const isHealthy = state === 'HEALTHY';
  if (terms === undefined) return isHealthy ? { ...own, sentence: HEALTHY_STATE_TEXT } : { ...own, sentence: why };
  const action = toSentence(awayAction(admin, terms, now));
  const until = untilText(terms, now).trimStart();
  const next = [until === '' ? '' : toSentence(until), own.next].filter((text) => text !== '').join(' ');
  if (isHealthy) return { ...own, sentence: `${action} ${HEALTHY_STATE_TEXT}`, next };
  return { sentence: action, evidence: own.evidence === '' ? why : `${why} ${own.evidence}`, next };
}

const HEALTHY_STATE_TEXT = 'Its state is HEALTHY.';

const toSentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function nextSentence(instance: Instance, { now, staleAt }: RowOptions): string {
  if (staleAt !== null) return instance.next === null ? '' : `unknown after ${clockText(staleAt)}`;
  const text = nextText(instance, now);
  return text === '' ? '' : `${text}.`;
}

/** The space of a row, in columns. */
export interface RowSpace {
  readonly width: number;
  /** The column where the sentence begins. */
  readonly reasonColumn: number;
}

/**
 * One line, or two: the sentence behind `first`; then the evidence and what comes next. Longer text is cut where it is
 * painted.
 */
export function shortRow(first: readonly Span[], text: RowText, room: RowSpace): readonly (readonly Span[])[] {
  const { sentence: why, evidence, next } = text;
  const oneLine = next === '' ? why : `${why} ${next}`;
  if (evidence === '' && (next === '' || room.reasonColumn + columnsOf(oneLine) <= room.width)) {
    return [[...first, { text: oneLine }]];
  }
  return [[...first, { text: why }], lastLine(evidence, next, room)];
}

/** Uses as many lines as the text needs: text that does not fit beside the facts continues below them. */
export function wholeRow(first: readonly Span[], text: RowText, room: RowSpace): readonly (readonly Span[])[] {
  const { sentence: why, evidence, next } = text;
  const [head = ''] = wrapped(why, room.width - room.reasonColumn);
  const remaining = [why.slice(head.length).trimStart(), evidence].filter((part) => part !== '').join(' ');
  if (remaining === '' && room.reasonColumn + columnsOf(head) + 1 + columnsOf(next) <= room.width) {
    return [[...first, { text: next === '' ? head : `${head} ${next}` }]];
  }
  const below = room.width - STATE_WIDTH;
  const lines = remaining === '' ? [] : wrapped(remaining, below);
  const above: readonly (readonly Span[])[] = [[...first, { text: head }]];
  if (next === '') return [...above, ...plain(lines)];
  const last = lines.at(-1) ?? '';
  const gap = last === '' ? 0 : 2;
  if (columnsOf(last) + gap + columnsOf(next) <= below) {
    return [...above, ...plain(lines.slice(0, -1)), lastLine(last, next, room)];
  }
  return [...above, ...plain(lines), ...wrapped(next, below).map((line) => lastLine('', line, room))];
}

const plain = (lines: readonly string[]): readonly (readonly Span[])[] =>
  lines.map((line) => [{ text: INDENT + line }]);

const INDENT = ' '.repeat(STATE_WIDTH);

/** The next transition is under the sentence if it fits, else further left, but never in the evidence. */
function lastLine(evidence: string, next: string, { width, reasonColumn }: RowSpace): readonly Span[] {
  const nextColumn = Math.max(
    evidence === '' ? 0 : columnsOf(evidence) + 2,
    Math.min(reasonColumn, width - columnsOf(next)) - STATE_WIDTH,
  );
  return [{ text: INDENT + padded(evidence, nextColumn) }, { text: next, look: 'faint' }];
}
