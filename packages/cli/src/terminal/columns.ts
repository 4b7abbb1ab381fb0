/** Texts in a terminal, whose characters are one column wide, two (CJK, emoji) or none (combining marks). */

/** One column per UTF-16 unit: ASCII, Latin letters, and the signs that this program draws itself. */
const NARROW = /^[\u0020-\u007e\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u25fc]*$/;
/** Half-width forms are narrow, though their scripts are wide. */
const HALF_WIDTH = /^[\uff61-\uffdc]/;
/** Wide by the tables of Unicode that the engine keeps: CJK scripts, their punctuation and full-width forms, emoji. */
const WIDE =
  /^(?:[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|.\ufe0f)/u;
const INVISIBLE = /^[\p{M}\p{Cf}]+$/u;

const isNarrow = (text: string): boolean => NARROW.test(text);

/** The visible characters (grapheme clusters). */
function charactersOf(text: string): readonly string[] {
  return Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
}

function columnsOfOne(character: string): number {
  if (INVISIBLE.test(character)) return 0;
  return WIDE.test(character) && !HALF_WIDTH.test(character) ? 2 : 1;
}

/** The width of a text in columns. */
export function columnsOf(text: string): number {
  if (isNarrow(text)) return text.length;
  return charactersOf(text).reduce((sum, character) => sum + columnsOfOne(character), 0);
}

/** The start of a text that fits into this many columns. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (isNarrow(text)) return text.slice(0, columns);
  let [shown, room] = ['', columns];
  for (const character of charactersOf(text)) {
    room -= columnsOfOne(character);
    if (room < 0) break;
    shown += character;
  }
  return shown;
}

/** Like `padEnd`, in columns. */
export const padded = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - columnsOf(text)));

/** The whole text, or its start and `…`. */
export function shortened(text: string, columns: number): string {
  return columnsOf(text) <= columns ? text : `${cut(text, columns - 1)}…`;
}

/**
 * A short name, `payment-gateway…1e07`, fitted into `columns`: its service is cut, as its end distinguishes it from
 * others. The namespace of `staging/payment-gateway…1e07` is kept as long as one character of the service fits behind
 * it; else both are cut.
 */
export function shortenedName(name: string, columns: number): string {
  if (columnsOf(name) <= columns) return name;
  const tail = name.slice(name.lastIndexOf('…') + 1);
  const room = columns - tail.length - 1;
  if (name === tail || room < 1) return shortened(name, columns);
  const slash = name.indexOf('/');
  if (slash + 1 < room || room < MIN_BOTH_WIDTH) return `${cut(name, room)}…${tail}`;
  const service = name.slice(slash + 1, -tail.length - 1);
  const before = Math.max(Math.floor(room / 2), room - 1 - columnsOf(service));
  return `${shortened(name.slice(0, slash), before)}/${cut(service, room - before - 1)}…${tail}`;
}

/** Columns in which the start of a namespace, a slash and that of a service can be distinguished. */
const MIN_BOTH_WIDTH = 5;

/**
 * A text in lines of at most `columns`, broken at spaces; a longer word has lines of its own, and is broken where a
 * line ends.
 */
export function wrapped(text: string, columns: number): readonly string[] {
  const width = Math.max(1, columns);
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    if (line !== '' && columnsOf(line) + 1 + columnsOf(word) > width) {
      lines.push(line);
      line = '';
    }
    while (columnsOf(word) > width) {
      const part = cut(word, width) || word.slice(0, 1);
      lines.push(part);
      word = word.slice(part.length);
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** The minimum width of a last column: the columns before it are cut first. */
const MIN_LAST_WIDTH = 24;
const MIN_FIRST_WIDTH = 12;
const GAP = '  ';

/**
 * Rows of cells in lines of at most `width` columns, with aligned cells: the last one is wrapped below itself, and the
 * first one is cut if the others would not fit.
 */
export function fitted(rows: readonly (readonly string[])[], width: number): readonly string[] {
  const natural = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, columnsOf(row[column] ?? '')), 0),
  );
  const [first = 0, ...following] = natural;
  const last = natural.at(-1) ?? 0;
  const gaps = GAP.length * (natural.length - 1);
  const otherWidth =
    following.slice(0, -1).reduce((sum, columns) => sum + columns, 0) + gaps + Math.min(last, MIN_LAST_WIDTH);
  const widths = [Math.min(first, Math.max(MIN_FIRST_WIDTH, width - otherWidth)), ...following.slice(0, -1)];
  const indent = widths.reduce((sum, columns) => sum + columns, 0) + gaps;
  return rows.flatMap((row) => {
    const cells = widths.map((columns, at) => padded(shortened(row[at] ?? '', columns), columns));
    const [text = '', ...further] = wrapped(row.at(-1) ?? '', width - indent);
    return [[...cells, text].join(GAP).trimEnd(), ...further.map((line) => ' '.repeat(indent) + line)];
  });
}
