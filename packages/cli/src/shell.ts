/** What a command sees of the process it runs in: handed in, so that a test can be the shell. */
export interface Shell {
  /** One line (or several) on standard output: what was asked for. */
  out(text: string): void;
  /** One line (or several) on standard error: what people are told beside it. */
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  /** Resolves when somebody asks the process to end (SIGINT, SIGTERM); the next time ends it at once. */
  asksToEnd(): Promise<void>;
}

/** How lines for people may look. */
export interface Terminal {
  /** In columns. */
  readonly width: number;
  readonly isColoured: boolean;
  /** May shapes and arrows beyond ASCII be used? */
  readonly isUnicode: boolean;
}

/** What a command hands to the shell that called it; `rollcall help` lists them. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** One word of `rollcall`. */
export interface Command {
  readonly help: string;
  /** Throws a RollcallError where it cannot do what it was asked for. */
  run(argv: readonly string[], shell: Shell): Promise<ExitCode>;
}

interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const DEFAULT_WIDTH = 120;

/**
 * NO_COLOR (no-color.org) and FORCE_COLOR are honoured; where the locale says nothing, Unicode is assumed but for the Linux
 * console. What is not a terminal gets no colour and no width limit worth mentioning.
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
