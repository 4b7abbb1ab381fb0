import type { Shell } from './shell.js';

/** A shell that keeps what it is told, for tests. */
export interface TestShell extends Shell {
  readonly outLines: readonly string[];
  readonly errLines: readonly string[];
  /** As Ctrl-C does. */
  end(): void;
  /** Resolves as soon as something has been said on standard output. */
  spoke: Promise<void>;
}

export function testShell(env: Shell['env'] = {}): TestShell {
  const outLines: string[] = [];
  const errLines: string[] = [];
  let end = (): void => {};
  let speak = (): void => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  const spoke = new Promise<void>((resolve) => (speak = resolve));
  return {
    out: (text) => {
      outLines.push(text);
      speak();
    },
    err: (text) => void errLines.push(text),
    env,
    terminal: { width: 100, isColoured: false, isUnicode: true },
    asksToEnd: () => ended,
    outLines,
    errLines,
    end,
    spoke,
  };
}
