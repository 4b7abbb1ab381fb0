import { paint } from '../terminal/paint.js';
import type { Look } from '../terminal/paint.js';
import type { Terminal } from '../terminal/shell.js';
import { printable } from '../terminal/texts.js';
import { partsOf } from './findings/command.js';

/** The indentation of continuation lines. */
const INDENT = 7;
/** Narrower than this nothing can be read: then lines are longer than the terminal. */
const MIN_WIDTH = 30;
/** The maximum width: wider lines are hard to read. */
const MAX_WIDTH = 110;

/** Lines of a terminal's width. */
export class Page {
  readonly #terminal: Terminal;
  readonly width: number;
  readonly lines: string[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.width = Math.max(MIN_WIDTH, Math.min(MAX_WIDTH, terminal.width));
  }

  gap(): void {
    this.lines.push('');
  }

  /** A sentence behind a sign. */
  add(sign: string, look: Look, text: string, textLook: Look): void {
    for (const [index, line] of wrapped(text, this.width - 2).entries()) {
      this.#line(index === 0 ? sign : ' ', look, ` ${line}`, textLook);
    }
  }

  /**
   * Sentences below each other, after a label, which is on its own line if it is long. Commands in them are never
   * wrapped.
   */
  list(label: string, texts: readonly string[], { look = 'faint', commands = [] }: ListOptions = {}): void {
    if (texts.length === 0) return;
    const isLong = label.length > INDENT - 3;
    if (isLong) this.#line(`  ${label}`, look, '');
    let head = isLong ? '' : label;
    for (const text of texts) {
      for (const line of this.#broken(text, commands)) {
        this.#line(`  ${head.padEnd(INDENT - 2)}`, look, line);
        head = '';
      }
    }
  }

  /** A text in lines. A command is on a line of its own unless the whole text fits into one. */
  #broken(text: string, commands: readonly string[]): readonly string[] {
    const width = this.width - INDENT - 2;
    if (printable(text).length <= width) return [printable(text)];
    return partsOf(text, commands).flatMap((part, at) => {
      const indent = at === 0 ? '' : '  ';
      if (part.isCommand) return [`${indent}${printable(part.text)}`];
      const prose = part.text.trim().replace(/^[;,.]\s*/, '');
      if (prose === '') return [];
      return wrapped(prose, width).map((line, index) => `${index === 0 ? indent : '  '}${line}`);
    });
  }

  #line(head: string, look: Look, text: string, textLook?: Look): void {
    const spans = [
      { text: head, look },
      { text, ...(textLook === undefined ? {} : { look: textLook }) },
    ];
    // already wrapped: a word longer than a line stays whole and can be copied
    this.lines.push(paint(spans, { ...this.#terminal, width: Infinity }));
  }
}

interface ListOptions {
  /** The look of the label. */
  readonly look?: Look;
  /** The commands that occur in the texts. */
  readonly commands?: readonly string[];
}

/** Split at spaces; control characters of texts from the network are replaced. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of printable(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
