import { paint } from '../terminal/paint.js';
import type { Look } from '../terminal/paint.js';
import type { Terminal } from '../terminal/shell.js';
import { printable } from '../terminal/words.js';
import { GRAVITIES } from './findings/finding.js';
import type { Diagnosis, Finding, Gravity } from './findings/finding.js';

const SIGNS: Readonly<Record<Gravity, { readonly sign: string; readonly look: Look; readonly words: string }>> = {
  broken: { sign: '✕', look: 'critical', words: 'broken' },
  risk: { sign: '▲', look: 'unhealthy', words: 'at risk' },
  note: { sign: '◌', look: 'registering', words: 'to know' },
};

/** Of a line that goes on. */
const INDENT = 7;
/** Narrower than this nothing can be read: then lines are longer than the terminal. */
const LEAST_WIDTH = 30;
/** Wider than this is hard to read. */
const MOST_WIDTH = 110;

/** The diagnosis for people, line by line. */
export function renderDiagnosis(url: string, diagnosis: Diagnosis, terminal: Terminal): readonly string[] {
  const { findings, fine, unchecked } = diagnosis;
  const page = new Page(terminal);
  const worst = GRAVITIES.find((gravity) => findings.some((one) => one.gravity === gravity));
  const { sign, look } = worst === undefined ? { sign: '●', look: 'healthy' as const } : SIGNS[worst];
  page.add(sign, look, verdictText(url, findings), 'strong');
  for (const one of findings) {
    page.gap();
    page.add(SIGNS[one.gravity].sign, SIGNS[one.gravity].look, one.what, 'strong');
    page.list('seen', one.evidence);
    page.list('why', [one.why]);
    page.list('fix', one.fix);
    page.list('more', [one.link]);
  }
  if (fine.length > 0) page.gap();
  page.list('well', fine, 'healthy');
  if (unchecked.length > 0) page.gap();
  page.list('not checked', unchecked);
  return page.lines;
}

/** One sentence: how much is wrong, and how bad that is. */
export function verdictText(url: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return `Nothing is wrong with ${url}, as far as can be seen from here.`;
  const counts = GRAVITIES.map((gravity) => ({
    words: SIGNS[gravity].words,
    count: findings.filter((one) => one.gravity === gravity).length,
  })).filter(({ count }) => count > 0);
  const parts = counts.map(({ words, count }) => `${count} ${words}`).join(', ');
  return `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'} about ${url}: ${parts}.`;
}

/** Lines of a terminal's width. */
class Page {
  readonly #terminal: Terminal;
  readonly #width: number;
  readonly lines: string[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#width = Math.max(LEAST_WIDTH, Math.min(MOST_WIDTH, terminal.width));
  }

  gap(): void {
    this.lines.push('');
  }

  /** A sentence behind a sign. */
  add(sign: string, look: Look, text: string, textLook: Look): void {
    for (const [index, line] of wrapped(text, this.#width - 2).entries()) {
      this.#line(index === 0 ? sign : ' ', look, ` ${line}`, textLook);
    }
  }

  /** Sentences below each other, behind a word, which stands alone where it is long. */
  list(word: string, texts: readonly string[], look: Look = 'faint'): void {
    if (texts.length === 0) return;
    const isLong = word.length > INDENT - 3;
    if (isLong) this.#line(`  ${word}`, look, '');
    let label = isLong ? '' : word;
    for (const text of texts) {
      for (const [index, line] of wrapped(text, this.#width - INDENT - 2).entries()) {
        this.#line(`  ${label.padEnd(INDENT - 2)}`, look, `${index === 0 ? '' : '  '}${line}`);
        label = '';
      }
    }
  }

  #line(head: string, look: Look, text: string, textLook?: Look): void {
    const spans = [
      { text: head, look },
      { text, ...(textLook === undefined ? {} : { look: textLook }) },
    ];
    // wrapped by us: a word that is longer than a line is better whole, to be copied
    this.lines.push(paint(spans, { ...this.#terminal, width: Infinity }));
  }
}

/** At the spaces; what comes from the network is made harmless. */
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
