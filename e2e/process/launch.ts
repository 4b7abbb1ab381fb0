import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** A process started by a test. */
export interface Child {
  readonly pid: number;
  /** Its output, line by line. */
  readonly out: readonly string[];
  readonly err: readonly string[];
  /** Whether it exists, and is not yet reaped. */
  readonly isAlive: boolean;
  /** Resolves when it is gone and all its output has been read. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** The first line on standard output, past or future, that matches. Rejects when it ends without one. */
  line(match: RegExp): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Writes to its standard input, which it has only if it is launched with `hasInput`. */
  type(text: string): void;
  /** Closes our end of its standard output: no process reads it any more. */
  closeOutput(): void;
}

interface Surroundings {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Whether it has a standard input. Default false. */
  readonly hasInput?: boolean;
}

const children = new Set<ChildProcess>();

/**
 * The one place where tests start processes. `spawn` passes no `execArgv`, as `fork` would: with vitest's
 * `--conditions` they would load sources, which plain Node cannot. They are in the process group of the test, so that
 * ending the group ends them.
 */
export function launch(
  command: string,
  args: readonly string[],
  { cwd, env = {}, hasInput = false }: Surroundings = {},
): Child {
  const child = spawn(command, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...environment(), ...env },
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  const out: string[] = [];
  const err: string[] = [];
  const listeners = new Set<() => void>();
  const notify = (): void => listeners.forEach((listener) => listener());
  collect(child.stdout, out, notify);
  collect(child.stderr, err, notify);
  const exited: Child['exited'] = new Promise((resolve) => {
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve({ code, signal });
      notify();
    });
  });
  const line = (match: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = out.find((text) => match.test(text));
        const isOver = found === undefined && !children.has(child);
        if (found === undefined && !isOver) return;
        listeners.delete(look);
        if (found === undefined)
          reject(new Error(`${[command, ...args].join(' ')} ended without ${match}:\n${[...out, ...err].join('\n')}`));
        else resolve(found);
      };
      listeners.add(look);
      look();
    });
  return {
    pid: child.pid!,
    out,
    err,
    get isAlive() {
      return children.has(child);
    },
    exited,
    line,
    kill: (signal) => void child.kill(signal),
    type: (text) => void child.stdin?.write(text),
    closeOutput: () => void child.stdout?.destroy(),
  };
}

/** Ends everything that tests have left, frozen processes too. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...children].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once('close', () => resolve());
          child.kill('SIGKILL');
        }),
    ),
  );
}

/** Whether a process with this id exists. */
export function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Our environment, without the variables of vitest, npm or another registry. */
function environment(): NodeJS.ProcessEnv {
  const foreign = /^(ROLLCALL_|VITEST|NODE_ENV$|NODE_OPTIONS$|npm_|FORCE_COLOR$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

function collect(stream: ChildProcess['stdout'], lines: string[], notify: () => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    if (parts.length > 0) notify();
  });
}
