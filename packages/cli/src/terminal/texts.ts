/** The texts of the terminal, with the terms of the dashboard: state, reason, since, next. */
import { partsOf, printableText } from '@rollcall/core';
import type { Instance, Reason } from '@rollcall/core';
import { columnsOf, padded } from './columns.js';

/** A duration: seconds under a minute, then `3 min`, `3 h 12 min`, `2 d 4 h`. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return joined(hours, 'h', minutes % 60, 'min');
  return joined(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function joined(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** `14:02:23`, in the time zone of the reader. */
export function clockText(wallMs: number): string {
  const at = new Date(wallMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** `48,213` */
export const countText = (count: number): string => count.toLocaleString('en-US');

/** A round trip: `0.4 ms`, `42 ms`. */
export const tripText = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

/**
 * A reason as a sentence and its evidence, the error with its address (empty: none). For an instance
 * held by self-preservation the failure comes first and the hold second.
 */
export function explainReason(reason: Reason): { readonly sentence: string; readonly evidence: string } {
  const { sentence, detail, rule } = partsOf({ code: reason.code, text: printable(reason.text) });
  const error = detail.replace(/^connect /, '');
  const hold = rule === null ? '' : `self-preservation holds it: ${rule}`;
  return { sentence: toSentence(sentence), evidence: [error, hold].filter((part) => part !== '').join('; ') };
}

/** The next transition if nothing else happens, without a full stop; empty if none is known. */
export function nextText(instance: Pick<Instance, 'state' | 'since' | 'next'>, now: number): string {
  const { state, since, next } = instance;
  if (next === null) return '';
  const left = since + next.afterMs - now;
  // rounded up: nothing happens before the announced time
  const span = ageText(Math.ceil(left / 1_000) * 1_000);
  if (state === 'REGISTERING') return left > 0 ? `HEALTHY once proved, it has ${span} for that` : 'HEALTHY once proved';
  const when = left > 0 ? `in ${span}` : 'now';
  if (next.unless === null) return `${next.state} ${when} at the latest`;
  return `${next.state} ${when} unless it ${PREVENTIONS[next.unless]}`;
}

const PREVENTIONS = {
  HEARTBEAT_1: 'answers Heartbeat-1',
  HEARTBEAT_2: 'sends Heartbeat-2',
  PROOF: 'does both',
} as const;

/** Printed ids. */
export function shortNames(instances: readonly Pick<Instance, 'id' | 'service'>[]): ReadonlyMap<string, string> {
  const ids = new Map<string, Set<string>>();
  for (const { id, service } of instances) {
    const known = ids.get(service);
    if (known === undefined) ids.set(service, new Set([id]));
    else known.add(id);
  }
  const names = new Map<string, string>();
  for (const [service, known] of ids) nameAll(service, [...known], SHORT_LENGTH, names);
  // in the order of the input
  return new Map(instances.map(({ id }) => [id, names.get(id) ?? id]));
}

/** The fewest last characters of an id that are printed. */
const SHORT_LENGTH = 4;

/** Names the ids of one service by their last characters, with one more for those that end alike. */
function nameAll(service: string, ids: readonly string[], length: number, names: Map<string, string>): void {
  const byEnd = new Map<string, string[]>();
  for (const id of ids) {
    const end = id.slice(-length);
    const same = byEnd.get(end);
    if (same === undefined) byEnd.set(end, [id]);
    else same.push(id);
  }
  for (const [end, same] of byEnd) {
    const [only, other] = same;
    if (only !== undefined && other === undefined) names.set(only, `${service}…${end}`);
    else nameAll(service, same, length + 1, names);
  }
}

/**
 * An id as it is printed: `orders…1e07`, with as many last characters as distinguish it from the ids `among` which it
 * is, within its service.
 */
export function shortName(
  { id, service }: Pick<Instance, 'id' | 'service'>,
  among: readonly Pick<Instance, 'id' | 'service'>[],
): string {
  const siblings = among.filter((other) => other.service === service && other.id !== id);
  let length = 4;
  while (length < id.length && siblings.some((other) => other.id.endsWith(id.slice(-length)))) length += 1;
  return `${service}…${id.slice(-length)}`;
}

/** Texts come from the network: nothing in them may control a terminal. */
export const printable = (text: string): string => printableText(text, Infinity);

/** Rows of cells as lines with aligned columns. */
export function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const [head = []] = rows;
  const widths = head.map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, columnsOf(row[column] ?? '')), 0),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => padded(cell, widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function toSentence(text: string): string {
  const ended = /[.!?]$/.test(text) ? text : `${text}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}
