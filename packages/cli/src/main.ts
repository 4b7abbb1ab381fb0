import { run } from './run.js';
import { terminalOf, windowOf } from './shell.js';
import type { Shell } from './shell.js';

let tellsDeaf: () => void = () => {};
const nobodyReads = new Promise<void>((resolve) => {
  tellsDeaf = resolve;
});

const shell: Shell = {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
  env: process.env,
  terminal: terminalOf(process.stdout, process.env),
  window: () => windowOf(process.stdout, process.env),
  nobodyReads,
  asksToEnd: () =>
    new Promise((resolve) => {
      const end = (): void => {
        process.off('SIGINT', end).off('SIGTERM', end);
        resolve();
      };
      process.on('SIGINT', end).on('SIGTERM', end);
    }),
};

// whoever read our lines may stop reading (`rollcall ls | head -1`): that is no failure, and no line must be lost over it
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (stream === process.stdout) tellsDeaf();
  });
}
process.exitCode = await run(process.argv.slice(2), shell);
