import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { paired } from './harness.js';
import type { Bench, Report } from './harness.js';

/** The number of services in the dashboard's screenshots. */
const SERVICES = 14;
const INSTANCES = 45;
const RUNS = 15;
const COMMANDS: readonly (readonly [string, readonly string[], string | undefined])[] = [
  ['rollcall ls, cold', ['ls'], '< 150 ms'],
  ['rollcall ls -o name, cold', ['ls', '-o', 'name'], undefined],
  ['rollcall show, cold', ['show', 's0-0'], undefined],
  ['rollcall --help, cold', ['--help'], undefined],
];

const rollcall = fileURLToPath(new URL('bin/rollcall.js', import.meta.resolve('rollcall/package.json')));

/** The start-up time of the command, beside a Node.js that does nothing, in the same run. */
export const cli: Bench = {
  name: 'cli',
  question: 'How long do rollcall ls and rollcall up take, from the start of the process?',
  run,
};

async function run(report: Report): Promise<void> {
  const registry = await startRegistry();
  try {
    await registerInstances(registry.url);
    for (const [metric, argv, target] of COMMANDS) {
      const pairs = [];
      for (let round = 0; round < RUNS; round += 1) {
        const theirs = await timeProcess(['-e', '0']);
        pairs.push({
          ours: await timeProcess([rollcall, ...argv, '--url', registry.url].filter(isArgumentOf(argv))),
          theirs,
        });
      }
      report(paired(metric, 'ms', pairs, target));
    }
  } finally {
    await stop(registry.process);
  }
  const pairs = [];
  for (let round = 0; round < RUNS; round += 1) {
    const theirs = await timeProcess(['-e', '0']);
    const up = await startRegistry();
    pairs.push({ ours: up.afterMs, theirs });
    await stop(up.process);
  }
  report(paired('rollcall up, until it serves', 'ms', pairs, '< 1000 ms'));
}

/** The help needs no registry, and takes no address of one. */
function isArgumentOf(argv: readonly string[]): (word: string) => boolean {
  return (word) => argv[0] !== '--help' || (word !== '--url' && !word.startsWith('http'));
}

/** ms until the process has ended with exit code 0. */
async function timeProcess(argv: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.resume();
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}.`);
  return performance.now() - startedAt;
}

interface RunningRegistry {
  readonly process: ChildProcess;
  readonly url: string;
  /** From the start of the process to an answer that reports it as ready. */
  readonly afterMs: number;
}

async function startRegistry(): Promise<RunningRegistry> {
  const startedAt = performance.now();
  const argv = [rollcall, 'up', '--json', '--port', '0', '--memory', '--interval', '60000'];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  const ready = await fetch(`${url}/health/ready`);
  if (!ready.ok) throw new Error(`${url} is not ready.`);
  return { process: child, url, afterMs: performance.now() - startedAt };
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

/** Registrations without processes: with such an interval no heartbeat is missed. */
async function registerInstances(url: string): Promise<void> {
  for (let index = 0; index < INSTANCES; index += 1) {
    const service = `s${index % SERVICES}`;
    const id = `${service}-${index}`;
    const endpoints = [{ protocol: 'tcp', port: 10 + index }];
    const answer = await fetch(`${url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, service, endpoints }),
    });
    if (answer.status !== 201) throw new Error(`${id} was answered ${answer.status}.`);
  }
}
