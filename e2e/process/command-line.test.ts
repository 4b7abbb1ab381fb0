import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
const SLOW_MS = 8_000;

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let url = '';
const services: Child[] = [];

beforeAll(async () => {
  url = await urlOf(startRegistry(INTERVAL_MS, ['--memory']));
  for (const service of ['slow', 'slow']) services.push(start('desk', [], { ROLLCALL_URL: url, SERVICE: service }));
  services.push(start('a', [], { ROLLCALL_URL: url }), start('a', [], { ROLLCALL_URL: url }));
  await Promise.all([healthy('slow', 2), healthy('a', 2)]);
}, 60_000);
afterAll(endAll);

function command(...argv: readonly string[]): Child {
  return start('rollcall', argv, { ROLLCALL_URL: url });
}

async function run(...argv: readonly string[]): Promise<Ran> {
  const child = command(...argv);
  const { code } = await child.exited;
  return { code, out: child.out.join('\n'), err: child.err.join('\n') };
}

/** The ids of a service, once `count` are HEALTHY. */
async function healthy(service: string, count: number): Promise<readonly string[]> {
  const watch = command('watch', service, '--json');
  const states = (): ReadonlyMap<string, string> =>
    new Map(
      watch.out
        .filter((line) => line.includes('"id"'))
        .map((line) => JSON.parse(line) as { id: string; state: string })
        .map(({ id, state }) => [id, state]),
    );
  const found = await waitFor(`${count} of ${service} are HEALTHY`, () => {
    const ids = [...states()].filter(([, state]) => state === 'HEALTHY').map(([id]) => id);
    return ids.length >= count && ids;
  });
  watch.kill('SIGTERM');
  expect(await watch.exited).toEqual({ code: 0, signal: null });
  return found;
}

describe('the command line, as processes', () => {
  it('call -n calls every instance, over TCP, and none fails', async () => {
    const { code, out } = await run('call', 'a', 'ping', '-n', '200', '-c', '8', '-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ calls: 200, failed: 0, instances: [{ failed: 0 }, { failed: 0 }] });
  });

  it('call prints the answer of one instance', async () => {
    const [id = ''] = await healthy('a', 2);
    expect(await run('call', 'a', 'echo', '{"n":1}', '--instance', id.slice(-6))).toMatchObject({
      code: 0,
      out: expect.stringContaining(`"instance": "${id}"`),
    });
  });

  it('watch in a pipe prints a kill, and show prints what happened to the dead instance', async () => {
    const watch = command('watch', 'a');
    await watch.line(/HEALTHY/);
    services.at(-1)?.kill('SIGKILL');
    expect(await watch.line(/CRITICAL/)).toMatch(/^\d\d:\d\d:\d\d {2}▲ CRITICAL +a….+ dead: its line closed/);
    const removed = await watch.line(/REMOVED/);
    watch.kill('SIGINT');
    expect(await watch.exited).toEqual({ code: 0, signal: null });
    const name = / (a…\S+)/.exec(removed)?.[1] ?? '';
    expect(await run('show', name)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/was removed[\s\S]*CRITICAL/),
    });
  });

  it('watch ends when its reader has gone', async () => {
    const watch = command('watch');
    await watch.line(/HEALTHY/);
    watch.closeOutput();
    await run('weight', (await healthy('a', 1))[0] ?? '', '50');
    expect(await watch.exited).toMatchObject({ code: 0 });
  });

  it('drain --wait returns when the call in flight there has ended, and not before', async () => {
    const caller = start('desk', [], { ROLLCALL_URL: url, SERVICE: 'front', CALLS: 'slow', SLOW_MS: String(SLOW_MS) });
    const id = /^asked (\S+)$/.exec(await caller.line(/^asked/))?.[1] ?? '';
    const drained = command('drain', id, '--wait', '--timeout', '60s');
    await drained.line(/is DRAINING/);
    expect(caller.out).not.toContain('answered');
    expect(await drained.exited).toMatchObject({ code: 0 });
    expect(caller.out).toContain('answered');
    expect(drained.out.at(-1)).toMatch(/^Its calls have ended, after \d+ s\.$/);
    expect(await run('undrain', id)).toMatchObject({ code: 0 });
  });

  it('rm removes the record of an instance, and --fail-on sets the exit code', async () => {
    const [id = ''] = await healthy('slow', 2);
    expect(await run('ls', 'slow', '--fail-on', 'CRITICAL')).toMatchObject({ code: 0 });
    expect(await run('ls', 'slow', '--fail-on', 'HEALTHY')).toMatchObject({ code: 1 });
    expect(await run('rm', id)).toMatchObject({ code: 0 });
    expect((await run('ls', 'slow', '-o', 'name')).out).not.toContain(id);
  });

  it.each([
    [['lss'], 2],
    [['ls', '--nonsense'], 2],
    [['show', 'nobody'], 1],
    [['call', 'a', 'nobody-answers-this'], 1],
    [['watch', '--url', 'http://127.0.0.1:1'], 3],
  ])('%j exits with %i and one line with the reason', async (argv, code) => {
    const runCommand = await run(...argv);
    expect(runCommand).toMatchObject({ code, out: '' });
    expect(runCommand.err).toMatch(/^rollcall[^\n]+$/);
  });
});
