import { RollcallError } from '@rollcall/core';

/** The one word that a command accepts; null: none. Throws OPTION_INVALID for more. */
export function onlyWord(command: string, what: string, words: readonly string[]): string | null {
  const [word = null, extra] = words;
  if (extra === undefined) return word;
  throw new RollcallError(
    'OPTION_INVALID',
    `${command} takes one ${what}; received ${words.length}: ${words.join(' ')}.`,
  );
}

/** The number of words that a command needs. Throws OPTION_INVALID with its usage. */
export function neededWords(
  usage: string,
  words: readonly string[],
  least: number,
  most: number = least,
): readonly string[] {
  if (words.length >= least && words.length <= most) return words;
  const received = words.length === 0 ? 'nothing' : `"${words.join(' ')}"`;
  throw new RollcallError('OPTION_INVALID', `It is used as: rollcall ${usage}. Received ${received}.`);
}
