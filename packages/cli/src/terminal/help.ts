import { columnsOf, wrapped } from './columns.js';

/** The minimum and maximum width of help lines, columns. */
const MIN_WIDTH = 80;
const MAX_WIDTH = 100;

/** The head of a row of flags or commands, before its text: `  -p, --port <port>  `. */
const ROW_HEAD = /^ {2,}\S.*? {2,}(?=\S)/;
/** Commands stay on one line: they can be copied. */
const EXAMPLES = 'Examples:';

/**
 * A help text for a terminal of this width: paragraphs are filled again, rows of flags wrap below their text, and
 * examples and lines of usage stay as they are. No other line is wider than 100 columns.
 */
export function fitHelp(help: string, terminalWidth: number): string {
  const width = Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, terminalWidth));
  const sections = help.split('\n\n');
  return sections.map((section) => fitSection(section, width)).join('\n\n');
}

function fitSection(section: string, width: number): string {
  if (section.startsWith(EXAMPLES) || section.startsWith('Usage:')) return section;
  const lines: string[] = [];
  let paragraph: string[] = [];
  const endParagraph = (): void => {
    if (paragraph.length > 0) lines.push(...wrapped(paragraph.join(' '), width));
    paragraph = [];
  };
  for (const line of section.split('\n')) {
    if (line.startsWith(' ')) {
      endParagraph();
      lines.push(...fitRow(line, width));
    } else {
      // a heading of rows, and each sentence that begins a line of its own, stays alone
      if (/^(Environment|Exit codes|Formats):/.test(line)) endParagraph();
      paragraph.push(line);
    }
  }
  endParagraph();
  return lines.join('\n');
}

/** A row whose second column is wrapped below itself. */
function fitRow(line: string, width: number): readonly string[] {
  if (columnsOf(line) <= width) return [line];
  const head = ROW_HEAD.exec(line)?.[0] ?? /^ */.exec(line)?.[0] ?? '';
  const [first = '', ...further] = wrapped(line.slice(head.length), width - head.length);
  return [head + first, ...further.map((text) => ' '.repeat(head.length) + text)];
}
