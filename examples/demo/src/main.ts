import { readFileSync } from 'node:fs';
import { isRollcallError, messageOf } from '@rollcall/core';
import { terminalOf, windowOf } from 'rollcall';
import { Demo } from './demo.js';
import { openPartitionProxy } from './partition-proxy.js';
import { keysText, listenToKeys } from './keys.js';
import { readOptions } from './options.js';
import type { DemoOptions } from './options.js';
import { choosePorts } from './ports.js';
import { JsonReport } from './report/json.js';
import { LinesReport } from './report/lines.js';
import type { Out, Report } from './report/report.js';
import { TableReport } from './report/table.js';

/** The interval of checks whether npm is still there. */
const PARENTS_CHECK_MS = 500;

const out: Out = {
  write: (line) => void process.stdout.write(`${line}\n`),
  warn: (text) => void process.stderr.write(`demo: ${text}\n`),
};

function reportFor(options: DemoOptions, demo: Demo): Report {
  const { stdout, env } = process;
  const terminal = () => terminalOf(stdout, env);
  if (options.isJson) return new JsonReport(out);
  if (windowOf(stdout, env) === null) return new LinesReport(out, terminal());
  return new TableReport({
    out,
    terminal,
    height: () => windowOf(stdout, env)?.height ?? 0,
    view: () => demo.view(),
    measure: () => demo.measure(),
    traffic: () => demo.traffic(),
    runs: () => demo.runs,
    keys: (width) => (process.stdin.isTTY || options.isKeyed ? keysText(width) : 'Ctrl-C ends all'),
  });
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (typeof options === 'string') return out.write(options);
  const { ports, notes } = await choosePorts(options.ports);
  const proxy = await openPartitionProxy();
  const end = (code: number): void => {
    process.exitCode ??= code;
    void demo.close().then(() => process.exit());
  };
  const demo = new Demo({
    options,
    ports,
    proxy,
    makeReport: (made) => reportFor(options, made),
    failed: () => end(1),
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0));
  process.stdout.on('error', () => end(0)); // the reader is gone
  if (process.env['npm_lifecycle_event'] !== undefined) endWithParents(() => end(0));
  const isAtKeyboard = process.stdin.isTTY && process.stdout.isTTY && !options.isJson;
  if (isAtKeyboard || options.isKeyed) {
    listenToKeys(process.stdin, { pressed: (key, action) => demo.press(key, action), quit: () => end(0) });
  }
  demo.start(notes);
}

/** `npm run` starts a shell, and that starts us: a kill of either does not end its child. */
function endWithParents(end: () => void): void {
  const parents = parentsNow();
  const look = setInterval(() => {
    if (parentsNow() === parents) return;
    clearInterval(look);
    end();
  }, PARENTS_CHECK_MS);
}

/** Our parent's id, and its parent's where the system reports it: an orphan gets another parent. */
function parentsNow(): string {
  const parent = process.ppid;
  try {
    const stat = readFileSync(`/proc/${parent}/stat`, 'utf8');
    const [, grandparent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${parent} ${grandparent}`;
  } catch {
    return String(parent);
  }
}

try {
  await main();
} catch (error) {
  if (!isRollcallError(error)) throw error;
  out.warn(messageOf(error));
  process.exitCode = error.code === 'OPTION_INVALID' ? 2 : 1;
}
