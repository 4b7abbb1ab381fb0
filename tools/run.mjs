// Runs stages one after another. A stage has waves, a wave has steps that run concurrently, each in a process group of
// its own.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const windows = process.platform === 'win32';
const running = new Set();

/** A step that counts as one test: it passes when the tool exits with 0. */
export const tool = (name, ...args) => ({
  name: [name, ...args].join(' '),
  command: join(root, 'node_modules', '.bin', name),
  args,
});

/** Names the tests that passed only on a retry. */
const RETRIES = join(root, 'tools', 'retries.mjs');

let reports = 0;

/** A step that counts the tests of a vitest project, and fails when there are none. */
export function vitest(project, ...options) {
  reports += 1;
  const report = join(tmpdir(), `rollcall-${process.pid}-${project}-${reports}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`, `--reporter=${RETRIES}`];
  return {
    ...tool('vitest', 'run', '--project', project, ...options, ...reporters),
    name: `vitest --project ${project}`,
    report,
  };
}

/** Runs the stages, prints `N passed, N failed` as the last line, and sets the exit code. */
export async function runStages(stages) {
  const total = { passed: 0, failed: 0 };
  for (const stage of stages) {
    if (stage.folder !== undefined && !existsSync(join(root, stage.folder))) {
      console.log(`skip ${stage.name}: there is no ${stage.folder}`);
      continue;
    }
    const skipReason = stage.skipReason?.();
    if (skipReason !== undefined) {
      console.log(`skip ${stage.name}: ${skipReason}`);
      continue;
    }
    const { passed, failed } = await runStage(stage);
    total.passed += passed;
    total.failed += failed;
    if (failed > 0 && stage.isRequired === true) break;
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}

async function runStage({ name, capMs, expectedMs = Infinity, prepare, waves }) {
  console.log(`# ${name}`);
  prepare?.();
  const started = performance.now();
  const deadline = started + capMs;
  const results = [];
  for (const wave of waves) {
    const isAlone = wave.length === 1;
    results.push(...(await Promise.all(wave.map((step) => runStep(step, { deadline, isAlone })))));
  }
  const took = performance.now() - started;
  if (took > expectedMs) console.log(`slow ${name}: ${seconds(took)} instead of at most ${seconds(expectedMs)}`);
  return {
    passed: results.reduce((sum, { passed }) => sum + passed, 0),
    failed: results.reduce((sum, { failed }) => sum + failed, 0),
  };
}

/** The output of a step that is alone in its wave is shown live, that of others only when they fail. */
async function runStep(step, { deadline, isAlone }) {
  const started = performance.now();
  const { code, output, isCapped } = await execute(step, { capMs: deadline - started, isLive: isAlone });
  const result = step.report === undefined ? exitResult(step, code) : vitestResult(step, code);
  const note = isCapped ? ', killed: the stage took longer than it may' : (result.note ?? '');
  console.log(`${result.failed === 0 ? 'ok  ' : 'FAIL'} ${step.name} (${seconds(performance.now() - started)}${note})`);
  if (result.failed > 0 && output !== '') console.log(output);
  return result;
}

function exitResult({ counts = 1 }, code) {
  return code === 0 ? { passed: counts, failed: 0 } : { passed: 0, failed: 1 };
}

/** A file that cannot be imported has no tests; an unhandled rejection shows only in the exit code. */
function vitestResult({ report }, code) {
  if (!existsSync(report)) return { passed: 0, failed: 1, note: ', no report' };
  const {
    numPassedTests: passed,
    numFailedTests,
    numPendingTests: skipped,
    testResults,
  } = JSON.parse(readFileSync(report, 'utf8'));
  rmSync(report);
  const brokenFiles = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = Math.max(numFailedTests + brokenFiles.length, code === 0 ? 0 : 1);
  if (passed + failed === 0) return { passed: 0, failed: 1, note: ', no test ran' };
  return { passed, failed, note: `, ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}` };
}

function execute({ command, args }, { capMs, isLive }) {
  return new Promise((done) => {
    const stdio = isLive ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'];
    const child = spawn(command, args, { cwd: root, stdio, detached: !windows, shell: windows });
    let output = '';
    let isCapped = false;
    const cap = setTimeout(
      () => {
        isCapped = true;
        end(child);
      },
      Math.max(1, capMs),
    );
    running.add(child);
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => (output += error.message));
    child.on('exit', () => kill(child, 'SIGKILL')); // anything it left behind in its group
    child.on('close', (code) => {
      clearTimeout(cap);
      running.delete(child);
      done({ code: isCapped ? 1 : code, output, isCapped });
    });
  });
}

/** Sends SIGTERM to the whole group, so that tests can end what they started elsewhere, then kills it. */
function end(child) {
  kill(child, 'SIGTERM');
  setTimeout(() => kill(child, 'SIGKILL'), 2000).unref();
}

function kill(child, signal) {
  try {
    if (windows) child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {} // it has ended
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.on(signal, () => {
    for (const child of running) kill(child, 'SIGKILL');
    process.exit(code);
  });
}
