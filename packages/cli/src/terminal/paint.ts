import { columnsOf, cut } from './columns.js';
import type { Terminal } from './shell.js';

/** A piece of a line and how it looks. */
export interface Span {
  readonly text: string;
  readonly look?: Look;
}

export type Look = 'healthy' | 'unhealthy' | 'critical' | 'registering' | 'leaving' | 'strong' | 'faint';

/**
 * Colours of the 256 of xterm that are readable on white and on black (contrast at least 4.5 and 3.9): the first
 * sixteen depend on the theme, and its yellow is not readable on white, nor its blue on black. States other than
 * HEALTHY are bold too: colour means trouble.
 */
const CODES: Readonly<Record<Look, string>> = {
  healthy: '38;5;28',
  unhealthy: '1;38;5;130',
  critical: '1;38;5;160',
  registering: '1;38;5;27',
  leaving: '1;38;5;98',
  strong: '1',
  faint: '2',
};

/** ASCII replacements of our symbols. */
const ASCII: Readonly<Record<string, string>> = {
  '●': '*',
  '◒': 'v',
  '◓': '^',
  '⊖': '-',
  '⊘': '/',
  '▲': '!',
  '◌': ':',
  '⇥': '>',
  '→': '>',
  '⇄': '=',
  '←': '<',
  '…': '~',
  '–': '-',
  '·': ',',
  '×': 'x',
  '•': 'o',
  '─': '-',
  '╌': '.',
  '▸': '>',
  '◂': '<',
  '✕': 'x',
  '▌': '|',
  '▐': '|',
  '┆': ':',
};

/** One line for this terminal: cut to its width, with its colours, in its characters. */
export function paint(spans: readonly Span[], terminal: Terminal): string {
  const isLong = spans.reduce((sum, { text }) => sum + columnsOf(text), 0) > terminal.width;
  let room = isLong ? terminal.width - 1 : terminal.width;
  let line = '';
  for (const { text, look } of spans) {
    const shown = cut(text, room);
    // nothing follows the cut, although a narrower text would fit
    room = shown === text ? room - columnsOf(shown) : 0;
    line += coloured(terminal.isUnicode ? shown : plain(shown), look, terminal);
  }
  return (isLong ? `${line}${terminal.isUnicode ? '…' : '~'}` : line).trimEnd();
}

function coloured(text: string, look: Look | undefined, { isColoured }: Terminal): string {
  return look === undefined || !isColoured || text.trim() === '' ? text : `\u001b[${CODES[look]}m${text}\u001b[0m`;
}

/** A replacement is as wide as its symbol, so lines stay aligned; a symbol without one becomes `?`. */
function plain(text: string): string {
  return text.replaceAll(/[^\u0020-\u007e]/gu, (sign) => ASCII[sign] ?? '?'.repeat(columnsOf(sign)));
}
