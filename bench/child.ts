import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A program of the benchmark in a process of its own, which sends a message when it is ready. */
export interface Child {
  readonly process: ChildProcess;
  /** The message that it sent when it was ready: what others must know of it, such as its URL. */
  readonly readyMessage: string;
  /** Kills it and waits until it is gone. */
  kill(): Promise<void>;
}

/** Starts `bench/dist/<program>.js` and waits until it is ready. Rejects when it ends first. */
export async function start(program: string, args: readonly string[]): Promise<Child> {
  const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
  const child = fork(path, [...args], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  const readyMessage = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve(typeof message === 'string' ? message : JSON.stringify(message)));
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code} before it was ready.`)));
  });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return { process: child, readyMessage, kill };
}
