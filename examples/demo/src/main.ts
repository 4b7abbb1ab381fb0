import { isRollcallError, messageOf } from '@rollcall/core';
import { terminalOf } from 'rollcall';
import { Demo } from './demo.js';
import { KEYS, listenToKeys } from './keys.js';
import { readOptions } from './options.js';
import type { DemoOptions } from './options.js';
import { checkPorts } from './ports.js';
import { JsonReport } from './report/json.js';
import { LinesReport } from './report/lines.js';
import type { Out, Report } from './report/report.js';
import { TableReport } from './report/table.js';

/** How often to look whether npm is still there: killed, it takes nobody along. */
const PARENT_CHECK_MS = 500;

const out: Out = {
  write: (line) => void process.stdout.write(`${line}\n`),
  complain: (text) => void process.stderr.write(`demo: ${text}\n`),
};

function reportFor(options: DemoOptions, demo: Demo): Report {
  const { stdout, env } = process;
  const terminal = () => terminalOf(stdout, env);
  if (options.isJson) return new JsonReport(out);
  if (!stdout.isTTY) return new LinesReport(out, terminal());
  return new TableReport({
    out,
    terminal,
    height: () => stdout.rows,
    view: () => demo.view(),
    measure: () => demo.measure(),
    runs: () => demo.runs,
    keys: process.stdin.isTTY ? KEYS : 'Ctrl-C ends all',
  });
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (typeof options === 'string') return out.write(options);
  await checkPorts(options.ports);
  const end = (code: number): void => {
    process.exitCode ??= code;
    void demo.close().then(() => process.exit());
  };
  const demo = new Demo({
    options,
    makeReport: (made) => reportFor(options, made),
    failed: () => end(1),
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0));
  process.stdout.on('error', () => end(0)); // nobody reads on
  if (process.env['npm_lifecycle_event'] !== undefined) endWithParent(() => end(0));
  if (process.stdin.isTTY && process.stdout.isTTY && !options.isJson) listenToKeys(process.stdin, demo, () => end(0));
  demo.start();
}

/** A shell or npm that is killed with SIGKILL leaves its child to init. */
function endWithParent(end: () => void): void {
  const parent = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(look);
    end();
  }, PARENT_CHECK_MS);
}

try {
  await main();
} catch (error) {
  if (!isRollcallError(error)) throw error;
  out.complain(messageOf(error));
  process.exitCode = error.code === 'OPTION_INVALID' ? 2 : 1;
}
