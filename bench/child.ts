import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A program of the benchmark in a process of its own; it says when it is ready, and what others must know of it. */
export interface Child {
  readonly process: ChildProcess;
  /** What it said when it was ready. */
  readonly said: string;
  /** Ends it at once and waits until it is gone. */
  kill(): Promise<void>;
}

/** Starts `bench/dist/<program>.js` and waits for its word. Rejects when it ends first. */
export async function start(program: string, args: readonly string[]): Promise<Child> {
  const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
  const child = fork(path, [...args], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  const said = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve(typeof message === 'string' ? message : JSON.stringify(message)));
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code} before it was ready.`)));
  });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return { process: child, said, kill };
}
