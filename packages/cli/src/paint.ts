import type { Terminal } from './shell.js';

/** A piece of a line and how it looks. */
export interface Span {
  readonly text: string;
  readonly look?: Look;
}

export type Look = 'healthy' | 'unhealthy' | 'critical' | 'registering' | 'leaving' | 'strong' | 'faint';

/** The terminal's own sixteen colours, so that its theme decides. What is not HEALTHY is bold too: colour is for trouble. */
const CODES: Readonly<Record<Look, string>> = {
  healthy: '32',
  unhealthy: '1;33',
  critical: '1;31',
  registering: '1;34',
  leaving: '1;35',
  strong: '1',
  faint: '2',
};

/** What stands for our signs where there is only ASCII. */
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
  const isLong = spans.reduce((sum, { text }) => sum + text.length, 0) > terminal.width;
  let room = isLong ? terminal.width - 1 : terminal.width;
  let line = '';
  for (const { text, look } of spans) {
    const shown = text.slice(0, Math.max(0, room));
    room -= shown.length;
    line += coloured(terminal.isUnicode ? shown : plain(shown), look, terminal);
  }
  return (isLong ? `${line}${terminal.isUnicode ? '…' : '~'}` : line).trimEnd();
}

function coloured(text: string, look: Look | undefined, { isColoured }: Terminal): string {
  return look === undefined || !isColoured || text.trim() === '' ? text : `\u001b[${CODES[look]}m${text}\u001b[0m`;
}

/** Every sign is one column wide, so lines stay aligned; what has no stand-in becomes `?`. */
function plain(text: string): string {
  return text.replaceAll(/[^\u0020-\u007e]/gu, (sign) => ASCII[sign] ?? '?');
}
