import type { ReadStream } from 'node:tty';
import type { Demo } from './demo.js';

export const KEYS = 'k kill one  f freeze one, then thaw it  d drain one  r kill the registry  q quit';

/** One key, one deed. In raw mode Ctrl-C is a key like any other. */
export function listenToKeys(input: ReadStream, demo: Demo, quit: () => void): void {
  const deeds: Readonly<Record<string, () => void>> = {
    k: () => demo.strike('SIGKILL'),
    f: () => (demo.isFrozen ? demo.thaw() : demo.strike('SIGSTOP')),
    d: () => demo.strike('SIGTERM'),
    r: () => demo.killRegistry(),
    q: quit,
    '\u0003': quit,
  };
  input.setRawMode(true);
  input.setEncoding('utf8');
  input.on('data', (text: string) => {
    for (const key of text) if (Object.hasOwn(deeds, key)) deeds[key]?.();
  });
}
