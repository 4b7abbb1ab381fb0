/** The process as a command sees it: passed in, as tests replace it. */
export interface Shell {
  /** Prints one or several lines on standard output: the output. */
  out(text: string): void;
  /** Prints one or several lines on standard error: messages beside the output. */
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  /** The size of the terminal, if pictures can be redrawn in place; null: standard output is not such a terminal. */
  window(): Window | null;
  /** Resolves when the reader of standard output is gone: commands that print continuously end then. */
  readonly outputClosed: Promise<void>;
  /** Resolves when the process is asked to end (SIGINT, SIGTERM); the next signal ends it at once. */
  waitForSignal(): Promise<void>;
  /** Asks a question and resolves with the line that was typed, empty for none; null: no terminal to ask on. */
  readonly ask: ((question: string) => Promise<string>) | null;
}

/** The appearance of lines of text. */
export interface Terminal {
  /** In columns. */
  readonly width: number;
  readonly isColoured: boolean;
  /** True if shapes and arrows beyond ASCII may be used. */
  readonly isUnicode: boolean;
}

/** In columns and lines. */
export interface Window {
  readonly width: number;
  readonly height: number;
}

/** The exit codes; `rollcall help` lists them. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command of `rollcall`. */
export interface Command {
  readonly help: string;
  /** Throws a RollcallError if it fails. */
  run(argv: readonly string[], shell: Shell): Promise<ExitCode>;
}

/** The properties of the stream for output that are used. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

const DEFAULT_WIDTH = 120;
const DEFAULT_HEIGHT = 24;

/**
 * NO_COLOR (no-color.org) and FORCE_COLOR are honoured; without a locale, Unicode is assumed except on the Linux
 * console. Output that is not a terminal gets no colour and practically no width limit.
 */
export function terminalOf(output: Output, env: Shell['env']): Terminal {
  const isTty = output.isTTY === true;
  const isPlain = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  const isForced = !['', '0', 'false'].includes(env['FORCE_COLOR'] ?? '');
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((name) => name !== undefined && name !== '');
  const isUtf8 = locale === undefined ? env['TERM'] !== 'linux' : /utf-?8/i.test(locale);
  return {
    width: isTty ? (output.columns ?? DEFAULT_WIDTH) : DEFAULT_WIDTH,
    isColoured: !isPlain && (isTty || isForced),
    isUnicode: isUtf8,
  };
}

/** The terminal behind a stream at this moment; null if there is none, or one that cannot move its cursor. */
export function windowOf({ isTTY, columns, rows }: Output, env: Shell['env']): Window | null {
  if (isTTY !== true || env['TERM'] === 'dumb') return null;
  return { width: columns ?? DEFAULT_WIDTH, height: rows ?? DEFAULT_HEIGHT };
}
