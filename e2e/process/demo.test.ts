import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import { launch } from './launch.js';
import { endAll, exists, PROGRAMS, start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

interface ProcessInfo {
  readonly name: string;
  readonly pid: number;
  readonly service: string;
  readonly instance: string | null;
}
interface DemoInfo {
  readonly registry: string;
  readonly dashboard: string;
  readonly gateway: string;
  readonly processes: readonly ProcessInfo[];
}
type Event =
  | (ProcessInfo & { readonly event: 'exited' | 'started' })
  | { readonly event: 'changed'; readonly instance: string; readonly state: string; readonly reason: string | null }
  | { readonly event: 'calls'; readonly calls: number; readonly failed: number; readonly firstError: string | null }
  | { readonly event: 'notice'; readonly text: string };
type ProcessEvent = Extract<Event, { event: 'exited' | 'started' }>;

const NAMES = ['registry', 'gateway', 'a-1', 'a-2', 'a-3', 'b-1', 'b-2'];

const INTERVAL_MS = 500;
/** Effects of a heartbeat appear after a few intervals; the rest is for busy machines. */
const TIMEOUT_MS = 40 * INTERVAL_MS;
const ARGUMENTS = ['--ports', '0', '--interval', String(INTERVAL_MS), '--restart-after', '0.3'];

async function openDemo(...args: string[]): Promise<{ demo: Child; info: DemoInfo }> {
  const demo = launch(process.execPath, [PROGRAMS.demo, ...ARGUMENTS, '--json', ...args], { hasInput: true });
  return { demo, info: JSON.parse(await demo.line(/^{/)) as DemoInfo };
}

const events = (demo: Child): readonly Event[] => demo.out.slice(1).map((line) => JSON.parse(line) as Event);

const processEvents = (demo: Child): readonly ProcessEvent[] =>
  events(demo).filter((one): one is ProcessEvent => one.event === 'exited' || one.event === 'started');

/** `from`: the number of events before it. */
async function nextEvent(demo: Child, event: ProcessEvent['event'], name: string, from = 0): Promise<ProcessEvent> {
  return waitFor(`${name} ${event}`, () =>
    events(demo)
      .slice(from)
      .find((one): one is ProcessEvent => one.event === event && one.name === name),
  );
}

/** The demo's newest report of its own calls. */
function lastCalls(demo: Child): Extract<Event, { event: 'calls' }> {
  return events(demo).findLast((one) => one.event === 'calls')!;
}

async function emptyProgramMs(): Promise<number> {
  const startedAt = performance.now();
  await launch(process.execPath, ['-e', '0']).exited;
  return performance.now() - startedAt;
}

/** Every process that it ever reported. */
function pidsOf(demo: Child, info: DemoInfo): readonly number[] {
  return [demo.pid, ...info.processes.map(({ pid }) => pid), ...processEvents(demo).map(({ pid }) => pid)];
}

async function waitUntilAllEnded(pids: readonly number[]): Promise<void> {
  await waitFor('no process is left', () => !pids.some(exists));
}

describe('the demo', () => {
  afterAll(endAll);

  it('prints all addresses once it is HEALTHY, restarts what dies, and ends everything at Ctrl-C', async () => {
    const startedAt = performance.now();
    const { demo, info } = await openDemo();
    const tookMs = performance.now() - startedAt;
    // ten seconds, and more only on a machine so busy that even an empty program is slow
    expect(tookMs).toBeLessThan(Math.max(10_000, 100 * (await emptyProgramMs())));
    expect(info.processes.map(({ name }) => name).toSorted()).toEqual(NAMES.toSorted());
    for (const { name, pid, service, instance } of info.processes) {
      expect(exists(pid)).toBe(true);
      expect(service).toBe(name.replace(/-\d$/, ''));
      expect(instance).toEqual(name === 'registry' ? null : expect.stringMatching(new RegExp(`^${service}-`)));
    }
    const instancesOf = (service: string): readonly (string | null)[] =>
      info.processes.filter((one) => one.service === service).map(({ instance }) => instance);
    for (const service of ['a', 'b']) {
      const answer = (await (await fetch(`${info.gateway}/${service}/ping`)).json()) as { instance: string };
      expect(instancesOf(service)).toContain(answer.instance);
    }
    const echo = await fetch(`${info.gateway}/a/echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ hello: 'world' }),
    });
    expect(await echo.json()).toEqual({ instance: expect.stringMatching(/^a-/), echo: { hello: 'world' } });
    const services = (await (await fetch(`${info.gateway}/services`)).json()) as object[];
    expect(services).toMatchObject([{ name: 'a' }, { name: 'b' }]);

    const victim = info.processes.find(({ name }) => name === 'a-1')!;
    process.kill(victim.pid, 'SIGKILL');
    expect(await nextEvent(demo, 'exited', 'a-1')).toEqual({ event: 'exited', ...victim });
    const again = await nextEvent(demo, 'started', 'a-1');
    expect(again).toMatchObject({ service: 'a', instance: expect.stringMatching(/^a-/) });
    expect([again.pid, again.instance]).not.toEqual([victim.pid, victim.instance]);

    const registry = info.processes.find(({ name }) => name === 'registry')!;
    process.kill(registry.pid, 'SIGKILL');
    expect(await nextEvent(demo, 'exited', 'registry')).toEqual({ event: 'exited', ...registry });
    expect(await nextEvent(demo, 'started', 'registry')).toMatchObject({ service: 'registry', instance: null });
    expect((await fetch(`${info.registry}/health/live`)).status).toBe(200);

    const gateway = info.processes.find(({ name }) => name === 'gateway')!;
    process.kill(gateway.pid, 'SIGKILL');
    await nextEvent(demo, 'started', 'gateway');
    expect((await fetch(`${info.gateway}/a/ping`)).status).toBe(200);

    demo.kill('SIGINT');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(demo.err).toEqual([]);
    // calls fail while there is no gateway, and the first failure shows how
    expect(lastCalls(demo).failed).toBeGreaterThan(0);
    expect(lastCalls(demo).firstError).toMatch(
      /^GET \/[ab]\/ping: .*(ECONNREFUSED 127\.0\.0\.1:|ECONNRESET|socket hang up)/,
    );
    await waitUntilAllEnded(pidsOf(demo, info));
  });

  it.skipIf(isShort)('kills at random, and leaves no process behind when it is killed itself', async () => {
    const { demo, info } = await openDemo('--kill-every', '0.5', '--stop-every', '0.7');
    await waitFor(
      'several have died and come back',
      () => processEvents(demo).filter(({ event }) => event === 'started').length >= 3,
    );
    expect(processEvents(demo).filter(({ service }) => !['a', 'b'].includes(service))).toEqual([]);
    demo.kill('SIGKILL');
    await demo.exited;
    await waitUntilAllEnded(pidsOf(demo, info));
  });

  it.skipIf(isShort)('ends, with all its processes, when its output is no longer read', async () => {
    const { demo, info } = await openDemo();
    const pids = pidsOf(demo, info);
    demo.closeOutput();
    process.kill(info.processes.find(({ name }) => name === 'b-1')!.pid, 'SIGKILL');
    await demo.exited;
    await waitUntilAllEnded(pids);
  });

  it.skipIf(isShort)('ends frozen processes too', async () => {
    const { demo, info } = await openDemo();
    process.kill(info.processes.find(({ name }) => name === 'a-2')!.pid, 'SIGSTOP');
    demo.kill('SIGTERM');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    await waitUntilAllEnded(pidsOf(demo, info));
  });

  it('suggests another port where one is taken, and starts nothing', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    for (const ports of [`${port},0`, `0,${port}`]) {
      const demo = start('demo', ['--ports', ports, '--json']);
      expect((await demo.exited).code).toBe(1);
      expect(demo.out).toEqual([]);
      expect(demo.err.join('\n')).toMatch(new RegExp(`Port ${port}, .* is taken.*--ports 0`));
    }
    other.close();
  });

  it.skipIf(isShort)('takes free ports where the default ones are taken, and logs that', async () => {
    const other = createServer();
    // if the port is taken already, that is fine
    const isTaken = new Promise((resolve) => other.once('listening', resolve).once('error', resolve));
    other.listen(1337, '127.0.0.1');
    await isTaken;
    const demo = start('demo', ['--json', '--interval', String(INTERVAL_MS), '--no-load']);
    const info = JSON.parse(await demo.line(/^{/)) as DemoInfo;
    expect(new URL(info.registry).port).not.toBe('1337');
    expect(demo.err[0]).toBe('demo: Port 1337 is taken by another program: the registry has a free one.');
    other.close();
    demo.kill('SIGTERM');
    await demo.exited;
    expect(events(demo).filter(({ event }) => event === 'calls')).toEqual([]);
    await waitUntilAllEnded(pidsOf(demo, info));
  });

  it('refuses an option that it does not know', async () => {
    const demo = start('demo', ['--kill-evry', '5']);
    expect((await demo.exited).code).toBe(2);
    expect(demo.err).toEqual(['demo: Option --kill-evry does not exist. Did you mean --kill-every?']);
  });
});

describe('a key of the demo', () => {
  let demo: Child;
  let info: DemoInfo;

  beforeAll(async () => {
    ({ demo, info } = await openDemo('--keys'));
  }, 60_000);
  afterAll(endAll);

  /** What the demo reported about the key, and the number of events before. */
  async function press(key: string): Promise<{ text: string; from: number }> {
    const from = events(demo).length;
    demo.type(key);
    const text = await waitFor(
      `the demo reports ${key}`,
      () =>
        events(demo)
          .slice(from)
          .flatMap((one) => (one.event === 'notice' ? one.text : []))
          .find((line) => line.startsWith(`${key}: `)),
      TIMEOUT_MS,
    );
    return { text, from };
  }

  /** The process that a report refers to: the one that runs, or ran last, under the name. */
  function processIn(text: string): ProcessInfo {
    const name = /\b([ab]-\d)\b/.exec(text)![1];
    return [...info.processes, ...processEvents(demo)].findLast(
      (one) => one.name === name && text.includes(String(one.pid)),
    )!;
  }

  async function waitForChange(instance: string, state: string, reason: RegExp, from: number): Promise<void> {
    await waitFor(
      `${instance} ${state}`,
      () =>
        events(demo)
          .slice(from)
          .some((one) => {
            if (one.event !== 'changed' || one.instance !== instance || one.state !== state) return false;
            return reason.test(one.reason ?? '');
          }),
      TIMEOUT_MS,
    );
  }

  async function countHealthy(): Promise<number> {
    const answer = await fetch(`${info.registry}/api/v1/services`);
    const { services } = (await answer.json()) as { services: { states: Record<string, number> }[] };
    return services.reduce((sum, { states }) => sum + (states['HEALTHY'] ?? 0), 0);
  }

  async function waitForReplacement(name: string, from: number): Promise<void> {
    const { instance } = await nextEvent(demo, 'started', name, from);
    await waitForChange(instance!, 'HEALTHY', /./, from);
  }

  it('k kills one process: it is detected as dead, is removed, and a new one starts', async () => {
    const { text, from } = await press('k');
    expect(text).toMatch(/^k: killed [ab]-\d \([ab]….{4}, pid \d+\)/);
    const { name, pid, instance } = processIn(text);
    await waitForChange(instance!, 'CRITICAL', /^dead: /, from);
    await waitForChange(instance!, 'REMOVED', /^dead: /, from);
    expect(exists(pid)).toBe(false);
    await waitForReplacement(name, from);
  });

  it('p partitions a-3: it is unreachable, and HEALTHY again once healed', async () => {
    const { text, from } = await press('p');
    const port = /port (\d+)/.exec(text)![1];
    const { instance } = info.processes.find(({ name }) => name === 'a-3')!;
    await waitForChange(
      instance!,
      'UNHEALTHY',
      new RegExp(`it cannot be reached: connect ECONNREFUSED 127.0.0.1:${port}`),
      from,
    );
    const healed = await press('p');
    expect(healed.text).toContain('healed the way to a-3');
    await waitForChange(instance!, 'HEALTHY', /./, healed.from);
  });

  it('f freezes one process: it is UNHEALTHY, and HEALTHY again once it continues', async () => {
    const { text, from } = await press('f');
    const { instance } = processIn(text);
    await waitForChange(instance!, 'UNHEALTHY', /Heartbeat-1/, from);
    const resumed = await press('f');
    expect(resumed.text).toContain('thawed');
    await waitForChange(instance!, 'HEALTHY', /./, resumed.from);
  });

  it('d drains one process: it deregisters and ends, and a new one starts', async () => {
    const { text, from } = await press('d');
    const { name, pid, instance } = processIn(text);
    await waitForChange(instance!, 'DEREGISTERING', /it said goodbye/, from);
    await waitForChange(instance!, 'REMOVED', /^it (said goodbye|left)/, from);
    expect(await nextEvent(demo, 'exited', name, from)).toMatchObject({ pid });
    await waitForReplacement(name, from);
  });

  it('n starts one more instance, which is called', async () => {
    const { text, from } = await press('n');
    expect(text).toMatch(/^n: started b-3 /);
    const { instance } = await nextEvent(demo, 'started', 'b-3', from);
    const answered = new Set<unknown>();
    for (let calls = 0; calls < 1_000 && !answered.has(instance); calls += 1) {
      const answer = await fetch(`${info.gateway}/b/ping`);
      answered.add(((await answer.json()) as { instance: string }).instance);
    }
    expect(answered).toContain(instance);
  });

  it('r restarts the registry, and all instances confirm again', async () => {
    const before = processEvents(demo).length;
    const { text, from } = await press('r');
    expect(text).toContain('killed the registry');
    expect(text).not.toMatch(/knows nobody|is back/);
    await nextEvent(demo, 'started', 'registry', from);
    // the rows reported by the demo match the registry's
    const back = await waitFor(
      'the demo reports that all instances have confirmed',
      () =>
        events(demo)
          .slice(from)
          .flatMap((one) => (one.event === 'notice' ? one.text : []))
          .find((line) => /the registry is back \(pid \d+\): 7 of 7 instances are HEALTHY again$/.test(line)),
      TIMEOUT_MS,
    );
    expect(back).toMatch(/^r: /);
    // three of a, three of b since one is new, and the gateway
    const deadline = performance.now() + TIMEOUT_MS;
    let healthy: number;
    do healthy = await countHealthy();
    while (healthy < 7 && performance.now() < deadline);
    expect(healthy).toBe(7);
    // no process was restarted for it
    expect(
      processEvents(demo)
        .slice(before)
        .map(({ name }) => name),
    ).toEqual(['registry', 'registry']);
  });

  it('leads to the dashboard, which the registry serves with its files', async () => {
    expect(info.dashboard).toBe(`${info.registry}/`);
    const page = await fetch(info.dashboard);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')]);
    const files = [...(await page.text()).matchAll(/(?:src|href)="(?:\.\/)?(assets\/[^"]+)"/g)].map(([, path]) => path);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect((await fetch(info.dashboard + file)).status).toBe(200);
  });

  it('q ends everything, and no call has failed throughout', async () => {
    demo.type('q');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(demo.err).toEqual([]);
    const { calls, failed, firstError } = lastCalls(demo);
    expect([failed, firstError]).toEqual([0, null]);
    expect(calls).toBeGreaterThan(100);
    await waitUntilAllEnded(pidsOf(demo, info));
  });
});

/** A program of util-linux that provides a terminal. */
const SCRIPT = '/usr/bin/script';
const hasTerminal = process.platform === 'linux' && existsSync(SCRIPT);
if (!hasTerminal) console.warn(`skipped: the demo on a terminal, since there is no ${SCRIPT} (Linux, util-linux)`);

describe.skipIf(isShort || !hasTerminal)('the demo on a terminal', () => {
  afterAll(endAll);

  it('shows the dashboard, the calls and the keys, and obeys the keys', async () => {
    const command = `stty cols 120 rows 40; exec '${process.execPath}' '${PROGRAMS.demo}' ${ARGUMENTS.join(' ')}`;
    const shown = launch(SCRIPT, ['-qec', command, '/dev/null'], {
      hasInput: true,
      env: { TERM: 'xterm', LANG: 'C.UTF-8', NO_COLOR: '1' },
    });
    await shown.line(/Dashboard http:\/\/127\.0\.0\.1:\d+\/ /);
    await shown.line(/calls [\d.]+\/s {2}success 100\.00 % {2}went elsewhere \d+ {2}p99 [\d.]+ ms/);
    await shown.line(
      /demo: k kill {2}f freeze {2}p cut one way {2}d drain {2}n new instance {2}r restart the registry {2}q quit/,
    );
    shown.type('k');
    await shown.line(/^k: killed [ab]-\d \([ab]….{4}, pid \d+\); a new process starts in 0\.3 s/);
    await shown.line(/▲ CRITICAL .*(refused|dead)/i);
    shown.type('q');
    expect((await shown.exited).code).toBe(0);
    expect(shown.out.findLast((line) => line.includes('Ended'))).toMatch(
      /Ended: no process is left\. \d+ calls, 0 failed\./,
    );
  });
});
