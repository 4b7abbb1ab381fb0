import type { ReadStream } from 'node:tty';
import type { Deed } from './deeds.js';

const KEYS = 'demo: k kill  f freeze  p cut one way  d drain  n new instance  r restart the registry  q quit';
const SHORT_KEYS = 'k kill  f freeze  p cut  d drain  n new  r restart registry  q quit';

/** What the last line of the view says, on a terminal of so many columns. */
export const keysText = (width: number): string => (width < KEYS.length ? SHORT_KEYS : KEYS);

const DEEDS: Readonly<Record<string, Deed>> = {
  k: 'kill',
  f: 'freeze',
  p: 'cut',
  d: 'drain',
  n: 'add',
  r: 'restart',
};

export interface Keyboard {
  /** A key was pressed that does something. */
  pressed(key: string, deed: Deed): void;
  quit(): void;
}

/** One key, one deed, from a terminal or from whoever writes letters. In raw mode Ctrl-C is a key like any other. */
export function listenToKeys(input: ReadStream, keyboard: Keyboard): void {
  if (input.isTTY) input.setRawMode(true);
  input.setEncoding('utf8');
  input.on('data', (text: string) => {
    for (const key of text) {
      const deed = Object.hasOwn(DEEDS, key) ? DEEDS[key] : undefined;
      if (deed !== undefined) keyboard.pressed(key, deed);
      else if (key === 'q' || key === '\u0003') keyboard.quit();
    }
  });
}
