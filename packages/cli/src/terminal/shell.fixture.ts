import type { Shell, Terminal, Window } from './shell.js';

/** A shell for tests that records its output. */
export interface TestShell extends Shell {
  readonly outLines: readonly string[];
  readonly errLines: readonly string[];
  /** Ends the command like Ctrl-C. */
  end(): void;
  /** Resolves at the first output on standard output. */
  readonly hasOutput: Promise<void>;
  /** The first line on standard output that matches, printed already or later. */
  line(match: RegExp): Promise<string>;
  /** The same on standard error. */
  errorLine(match: RegExp): Promise<string>;
}

/** The differences from the default terminal. */
export interface TestTerminal extends Partial<Terminal> {
  /** Lines: standard output is a terminal. Default: it is none. */
  readonly height?: number;
  /** The answer to questions. Default: no terminal to ask on. */
  readonly answer?: string;
}

export function createTestShell(
  env: Shell['env'] = {},
  { height, answer, ...different }: TestTerminal = {},
): TestShell {
  const outLines: string[] = [];
  const errLines: string[] = [];
  const [ended, end] = createDeferred();
  const [hasOutput, signalOutput] = createDeferred();
  const waiting = new Set<() => void>();
  const terminal: Terminal = { width: 100, isColoured: false, isUnicode: true, ...different };
  const window: Window | null = height === undefined ? null : { width: terminal.width, height };
  const lineOf = (lines: readonly string[], match: RegExp): Promise<string> =>
    new Promise((resolve) => {
      const check = (): void => {
        const found = lines.find((text) => match.test(text));
        if (found === undefined) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  const err = (text: string): void => {
    errLines.push(text);
    for (const check of waiting) check();
  };
  const ask = async (question: string): Promise<string> => {
    err(question);
    return answer ?? '';
  };
  return {
    out: (text) => {
      outLines.push(text);
      signalOutput();
      for (const check of waiting) check();
    },
    err,
    ask: answer === undefined ? null : ask,
    env,
    terminal,
    window: () => window,
    outputClosed: new Promise(() => {}),
    line: (match) => lineOf(outLines, match),
    errorLine: (match) => lineOf(errLines, match),
    waitForSignal: () => ended,
    outLines,
    errLines,
    end,
    hasOutput,
  };
}

/** A promise and the function that resolves it. */
function createDeferred(): [Promise<void>, () => void] {
  let resolve: (() => void) | null = null;
  const created = new Promise<void>((done) => {
    resolve = done;
  });
  return [created, () => resolve?.()];
}
