import type { ReadStream } from 'node:tty';
import type { Action } from './actions.js';

const KEYS = 'demo: k kill  f freeze  p cut one way  d drain  n new instance  r restart the registry  q quit';
const SHORT_KEYS = 'k kill  f freeze  p cut  d drain  n new  r restart registry  q quit';

/** The last line of the view, on a terminal of this width. */
export const keysText = (width: number): string => (width < KEYS.length ? SHORT_KEYS : KEYS);

const ACTIONS: Readonly<Record<string, Action>> = {
  k: 'kill',
  f: 'freeze',
  p: 'cut',
  d: 'drain',
  n: 'add',
  r: 'restart',
};

export interface Keyboard {
  /** A key with an action was pressed. */
  pressed(key: string, action: Action): void;
  quit(): void;
}

/** Maps keys to actions, from a terminal or any other input. In raw mode Ctrl-C is a key like any other. */
export function listenToKeys(input: ReadStream, keyboard: Keyboard): void {
  if (input.isTTY) input.setRawMode(true);
  input.setEncoding('utf8');
  input.on('data', (text: string) => {
    for (const key of text) {
      const action = Object.hasOwn(ACTIONS, key) ? ACTIONS[key] : undefined;
      if (action !== undefined) keyboard.pressed(key, action);
      else if (key === 'q' || key === '\u0003') keyboard.quit();
    }
  });
}
