import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A statement that writes a log line. */
export interface LogSite {
  /** `registry/src/lifecycle/engine.ts` */
  readonly file: string;
  readonly level: string;
  /** The line with `…` for each part that is put in; null: it is not written here as text. */
  readonly line: string | null;
  /** The expression that makes the line, joined to one line. */
  readonly expression: string;
}

/** The receivers of log lines: `log`, `this.#log`, `ports.log`, and throttled logs. */
const CALL = /\b(?:log|seldom|line)\.(debug|info|warn|error)\(/g;

/** Every place in the sources of these packages, but for tests, that writes a line of a log. */
export function logSites(packages: string, names: readonly string[]): readonly LogSite[] {
  return names.flatMap((name) =>
    readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(file))
      .toSorted()
      .flatMap((file) => sitesIn(`${name}/src/${file}`, readFileSync(join(packages, name, 'src', file), 'utf8'))),
  );
}

function sitesIn(file: string, code: string): readonly LogSite[] {
  return [...code.matchAll(CALL)].map(({ 0: call, 1: level = '', index }) => {
    const expression = argumentAt(code, index + call.length)
      .trim()
      .replace(/,$/, '')
      .replaceAll(/\s+/g, ' ')
      .trim();
    return { file, level, line: lineOf(expression), expression };
  });
}

/** The text after an opening bracket up to the closing one. */
function argumentAt(code: string, from: number): string {
  let at = from;
  for (let depth = 1; at < code.length; at += 1) {
    const sign = code.charAt(at);
    if (sign === "'" || sign === '"' || sign === '`') at = endOfText(code, at);
    else if (sign === '(' || sign === '{' || sign === '[') depth += 1;
    else if (sign === ')' || sign === '}' || sign === ']') depth -= 1;
    if (depth === 0) break;
  }
  return code.slice(from, at);
}

/** The end of the literal that begins here; the expressions of a template may contain literals. */
function endOfText(code: string, from: number): number {
  const quote = code.charAt(from);
  for (let at = from + 1; at < code.length; at += 1) {
    if (code.charAt(at) === '\\') at += 1;
    else if (quote === '`' && code.startsWith('${', at)) at += 2 + argumentAt(code, at + 2).length;
    else if (code.charAt(at) === quote) return at;
  }
  return code.length;
}

/** The text of one literal, or of several that are concatenated; null for anything else. */
function lineOf(expression: string): string | null {
  let [line, remaining] = ['', expression];
  while (/^['"`]/.test(remaining)) {
    const end = endOfText(remaining, 0);
    line += textOf(remaining.slice(1, end));
    remaining = remaining.slice(end + 1).trim();
    if (remaining === '') return line.replaceAll(/…+/g, '…');
    if (!remaining.startsWith('+')) return null;
    remaining = remaining.slice(1).trim();
  }
  return null;
}

function textOf(literal: string): string {
  let text = '';
  for (let at = 0; at < literal.length; at += 1) {
    if (literal.startsWith('${', at)) {
      text += '…';
      at += 2 + argumentAt(literal, at + 2).length;
    } else if (literal.charAt(at) !== '\\') text += literal.charAt(at);
  }
  return text;
}
