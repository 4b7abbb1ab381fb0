import { environmentText } from './environment.js';
import type { Shell } from './terminal/shell.js';

/** `rollcall help` lists the commands; none of them is loaded here. */
const FAILED = 1;

let resolveOutputClosed: () => void = () => {};
const outputClosed = new Promise<void>((resolve) => {
  resolveOutputClosed = resolve;
});

/** Ends the process with a sentence for a failure of the environment, and with the stack for a bug. */
function fail(error: unknown): void {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const text = environmentText(error) ?? stack;
  process.exitCode = FAILED;
  process.stderr.write(`rollcall: ${text}\n`, () => process.exit(FAILED));
}

process.on('uncaughtException', fail);
// the reader of our output may stop reading (`rollcall ls | head -1`): that is not a failure, and no line must be lost
// over it
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') resolveOutputClosed();
  else fail(error);
});
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  // no reader is left
  if (error.code !== 'EPIPE') process.exit(FAILED);
});

async function main(): Promise<void> {
  const [{ run }, { terminalOf, windowOf }, { askOn }] = await Promise.all([
    import('./run.js'),
    import('./terminal/shell.js'),
    import('./terminal/ask.js'),
  ]);
  const shell: Shell = {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    env: process.env,
    terminal: terminalOf(process.stdout, process.env),
    window: () => windowOf(process.stdout, process.env),
    outputClosed,
    ask: askOn({ input: process.stdin, output: process.stderr }),
    waitForSignal: () =>
      new Promise((resolve) => {
        const end = (): void => {
          process.off('SIGINT', end).off('SIGTERM', end);
          resolve();
        };
        process.on('SIGINT', end).on('SIGTERM', end);
      }),
  };
  process.exitCode = await run(process.argv.slice(2), shell);
}

await main().catch(fail);
