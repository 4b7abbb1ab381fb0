import type { Shell } from './shell.js';

/** A shell that keeps what it is told, for tests. */
export interface TestShell extends Shell {
  readonly outLines: readonly string[];
  readonly errLines: readonly string[];
  /** As Ctrl-C does. */
  end(): void;
  /** Resolves as soon as something has been said on standard output. */
  readonly spoke: Promise<void>;
}

export function testShell(env: Shell['env'] = {}): TestShell {
  const outLines: string[] = [];
  const errLines: string[] = [];
  const [ended, end] = promise();
  const [spoke, speak] = promise();
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

/** A promise and how to resolve it. */
function promise(): [Promise<void>, () => void] {
  let resolve: (() => void) | null = null;
  const made = new Promise<void>((done) => {
    resolve = done;
  });
  return [made, () => resolve?.()];
}
