import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** A process that should run: its name, and how to start it (called at each start). */
export interface Role {
  readonly name: string;
  readonly service: string;
  launch(): Launch;
}

export interface Launch {
  /** A file, and its arguments. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** One process of a role. */
export interface Run {
  readonly role: Role;
  readonly pid: number;
  /** The id under which it registered; null before that, and for processes that do not register. */
  instance: string | null;
  /** The last lines of its standard error. */
  readonly stderrLines: readonly string[];
}

export interface SupervisorParts {
  readonly restartAfterMs: number;
  /** A process starts. */
  spawned(run: Run): void;
  /** A line on a child's standard output. */
  printed(run: Run, line: string): void;
  /** It is gone; `how` as text. It will be started again unless everything ends. */
  exited(run: Run, how: string): void;
}

interface RunningProcess extends Run {
  readonly child: ChildProcess;
  readonly stderrLines: string[];
  /** How it ended. */
  readonly gone: Promise<string>;
}

const EXIT_WITH_PARENT = new URL('exit-with-parent.js', import.meta.url).href;
const STDERR_LINES = 20;

/** Starts processes, restarts dead ones, and ends them all. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #processes = new Map<string, RunningProcess>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  #isEnding = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  /** The running processes. */
  get runs(): readonly Run[] {
    return [...this.#processes.values()];
  }

  run(name: string): Run | undefined {
    return this.#processes.get(name);
  }

  start(role: Role): Run {
    const { argv, env } = role.launch();
    // a group of its own: Ctrl-C in the terminal reaches the demo alone, which ends the others in the right order
    const child = spawn(process.execPath, ['--import', EXIT_WITH_PARENT, ...argv], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const gone = new Promise<string>((resolve) => {
      child.on('exit', (code, signal) => resolve(signal ?? `code ${code ?? 0}`));
      child.on('error', (error) => child.pid === undefined && resolve(error.message)); // it never ran
    });
    const stderrLines: string[] = [];
    const run: RunningProcess = { role, pid: child.pid ?? 0, instance: null, stderrLines, child, gone };
    this.#processes.set(role.name, run);
    this.#parts.spawned(run);
    eachLine(child.stdout, (line) => this.#parts.printed(run, line));
    eachLine(child.stderr, (line) => {
      stderrLines.push(line);
      if (stderrLines.length > STDERR_LINES) stderrLines.shift();
    });
    void gone.then((how) => this.#exited(run, how));
    return run;
  }

  /** Sends a signal to the process that runs under this name now. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#processes.get(name)?.child.kill(signal);
  }

  /** Ends these roles with SIGTERM, and with SIGKILL after `graceMs`. Nothing is started again. */
  async end(names: readonly string[], graceMs: number): Promise<void> {
    this.#isEnding = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    const processes = names.flatMap((name) => this.#processes.get(name) ?? []);
    const kill = setTimeout(() => processes.forEach(({ child }) => child.kill('SIGKILL')), graceMs);
    for (const { child } of processes) {
      child.kill('SIGTERM');
      child.kill('SIGCONT'); // it may have been frozen
    }
    await Promise.all(processes.map(({ gone }) => gone));
    clearTimeout(kill);
  }

  #exited(run: RunningProcess, how: string): void {
    this.#processes.delete(run.role.name);
    this.#parts.exited(run, how);
    if (this.#isEnding) return;
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.start(run.role);
    }, this.#parts.restartAfterMs);
    this.#restarts.add(timer);
  }
}

function eachLine(stream: NodeJS.ReadableStream | null, use: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) use(line);
  });
}
