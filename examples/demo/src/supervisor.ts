import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** A process that is to be there: what runs in it, and how to start it (asked again at each start). */
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

/** One life of a role. */
export interface Run {
  readonly role: Role;
  readonly pid: number;
  /** As it registered; null before that, and for what does not register. */
  instance: string | null;
  /** The last lines of its standard error. */
  readonly complaints: readonly string[];
}

export interface SupervisorParts {
  readonly restartAfterMs: number;
  /** A process begins. */
  began(run: Run): void;
  /** A line on a child's standard output. */
  said(run: Run, line: string): void;
  /** It is gone; `how` in words. It will be started again unless everything ends. */
  exited(run: Run, how: string): void;
}

interface Life extends Run {
  readonly child: ChildProcess;
  readonly complaints: string[];
  /** How it ended. */
  readonly gone: Promise<string>;
}

const LEASH = new URL('leash.js', import.meta.url).href;
const COMPLAINTS_KEPT = 20;

/** Starts processes, starts again what dies, and ends them all. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #lives = new Map<string, Life>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  #isEnding = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  /** What runs now. */
  get runs(): readonly Run[] {
    return [...this.#lives.values()];
  }

  run(name: string): Run | undefined {
    return this.#lives.get(name);
  }

  start(role: Role): Run {
    const { argv, env } = role.launch();
    // a group of its own: Ctrl-C in the terminal asks the demo alone, which ends the others in the right order
    const child = spawn(process.execPath, ['--import', LEASH, ...argv], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const gone = new Promise<string>((resolve) => {
      child.on('exit', (code, signal) => resolve(signal ?? `code ${code ?? 0}`));
      child.on('error', (error) => child.pid === undefined && resolve(error.message)); // it never ran
    });
    const complaints: string[] = [];
    const life: Life = { role, pid: child.pid ?? 0, instance: null, complaints, child, gone };
    this.#lives.set(role.name, life);
    this.#parts.began(life);
    eachLine(child.stdout, (line) => this.#parts.said(life, line));
    eachLine(child.stderr, (line) => {
      complaints.push(line);
      if (complaints.length > COMPLAINTS_KEPT) complaints.shift();
    });
    void gone.then((how) => this.#exited(life, how));
    return life;
  }

  /** Sends a signal to what runs under this name now. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#lives.get(name)?.child.kill(signal);
  }

  /** Ends these roles, first by asking; what is not gone after `graceMs` is killed. Nothing is started again. */
  async end(names: readonly string[], graceMs: number): Promise<void> {
    this.#isEnding = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    const lives = names.flatMap((name) => this.#lives.get(name) ?? []);
    const kill = setTimeout(() => lives.forEach(({ child }) => child.kill('SIGKILL')), graceMs);
    for (const { child } of lives) {
      child.kill('SIGTERM');
      child.kill('SIGCONT'); // it may have been frozen
    }
    await Promise.all(lives.map(({ gone }) => gone));
    clearTimeout(kill);
  }

  #exited(life: Life, how: string): void {
    this.#lives.delete(life.role.name);
    this.#parts.exited(life, how);
    if (this.#isEnding) return;
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.start(life.role);
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
