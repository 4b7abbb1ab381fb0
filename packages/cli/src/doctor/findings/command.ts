// A text may contain commands. They are marked where the text is made: code that prints it keeps them whole.

const OPEN = '\u{E000}';
const CLOSE = '\u{E001}';
const MARKED = new RegExp(`${OPEN}([^${CLOSE}]*)${CLOSE}`, 'gu');

/** Marks a command inside a text. */
export const command = (text: string): string => `${OPEN}${text}${CLOSE}`;

/** The text without the marks. */
export const unmarked = (text: string): string => text.replaceAll(new RegExp(`[${OPEN}${CLOSE}]`, 'gu'), '');

/** The commands that are marked in a text, in their order. */
export const commandsIn = (text: string): readonly string[] =>
  [...text.matchAll(MARKED)].map(([, found = '']) => found);

/** A part of a text: a command, or the text between commands. */
export interface Part {
  readonly text: string;
  readonly isCommand: boolean;
}

/** Cuts a text without marks at the first place of each of these commands. */
export function partsOf(text: string, commands: readonly string[]): readonly Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const found of commands) {
    const at = text.indexOf(found, from);
    if (at < 0) continue;
    parts.push({ text: text.slice(from, at), isCommand: false }, { text: found, isCommand: true });
    from = at + found.length;
  }
  return [...parts, { text: text.slice(from), isCommand: false }].filter((part) => part.text.trim() !== '');
}
