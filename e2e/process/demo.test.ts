import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { endAll, exists, start } from './spawn.js';
import type { Child } from './spawn.js';
import { until } from './until.js';

interface Facts {
  readonly name: string;
  readonly pid: number;
  readonly service: string;
  readonly instance: string | null;
}
interface Whole {
  readonly registry: string;
  readonly gateway: string;
  readonly processes: readonly Facts[];
}
type Event = Facts & { readonly event: 'exited' | 'started' };

const NAMES = ['registry', 'gateway', 'a-1', 'a-2', 'a-3', 'b-1', 'b-2'];

async function openDemo(...args: string[]): Promise<{ demo: Child; whole: Whole }> {
  const demo = start('demo', ['--ports', '0', '--json', '--interval', '500', '--restart-after', '0.3', ...args]);
  return { demo, whole: JSON.parse(await demo.line(/^{/)) as Whole };
}

const events = (demo: Child): readonly Event[] => demo.out.slice(1).map((line) => JSON.parse(line) as Event);

async function nextEvent(demo: Child, event: Event['event'], name: string, from = 0): Promise<Event> {
  return until(`${name} ${event}`, () =>
    events(demo)
      .slice(from)
      .find((one) => one.event === event && one.name === name),
  );
}

/** Every process that it ever spoke of. */
function pidsOf(demo: Child, whole: Whole): readonly number[] {
  return [demo.pid, ...whole.processes.map(({ pid }) => pid), ...events(demo).map(({ pid }) => pid)];
}

async function nobodyIsLeft(pids: readonly number[]): Promise<void> {
  await until('no process is left', () => !pids.some(exists));
}

describe('the demo', () => {
  afterAll(endAll);

  it('says where everything is once it is HEALTHY, starts again what dies, and takes everything along at Ctrl-C', async () => {
    const startedAt = performance.now();
    const { demo, whole } = await openDemo();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(whole.processes.map(({ name }) => name).toSorted()).toEqual(NAMES.toSorted());
    for (const { name, pid, service, instance } of whole.processes) {
      expect(exists(pid)).toBe(true);
      expect(service).toBe(name.replace(/-\d$/, ''));
      expect(instance).toEqual(name === 'registry' ? null : expect.stringMatching(new RegExp(`^${service}-`)));
    }
    const instancesOf = (service: string): readonly (string | null)[] =>
      whole.processes.filter((one) => one.service === service).map(({ instance }) => instance);
    for (const service of ['a', 'b']) {
      const answer = (await (await fetch(`${whole.gateway}/${service}/ping`)).json()) as { instance: string };
      expect(instancesOf(service)).toContain(answer.instance);
    }
    const echo = await fetch(`${whole.gateway}/a/echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ hello: 'world' }),
    });
    expect(await echo.json()).toEqual({ instance: expect.stringMatching(/^a-/), echo: { hello: 'world' } });
    const services = (await (await fetch(`${whole.gateway}/services`)).json()) as object[];
    expect(services).toMatchObject([{ name: 'a' }, { name: 'b' }]);

    const victim = whole.processes.find(({ name }) => name === 'a-1')!;
    process.kill(victim.pid, 'SIGKILL');
    expect(await nextEvent(demo, 'exited', 'a-1')).toEqual({ event: 'exited', ...victim });
    const again = await nextEvent(demo, 'started', 'a-1');
    expect(again).toMatchObject({ service: 'a', instance: expect.stringMatching(/^a-/) });
    expect([again.pid, again.instance]).not.toEqual([victim.pid, victim.instance]);

    const registry = whole.processes.find(({ name }) => name === 'registry')!;
    process.kill(registry.pid, 'SIGKILL');
    expect(await nextEvent(demo, 'exited', 'registry')).toEqual({ event: 'exited', ...registry });
    expect(await nextEvent(demo, 'started', 'registry')).toMatchObject({ service: 'registry', instance: null });
    expect((await fetch(`${whole.registry}/health/live`)).status).toBe(200);

    const gateway = whole.processes.find(({ name }) => name === 'gateway')!;
    process.kill(gateway.pid, 'SIGKILL');
    await nextEvent(demo, 'started', 'gateway');
    expect((await fetch(`${whole.gateway}/a/ping`)).status).toBe(200);

    demo.kill('SIGINT');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(demo.err).toEqual([]);
    await nobodyIsLeft(pidsOf(demo, whole));
  });

  it('kills at random, and is survived by nobody when it is killed itself', async () => {
    const { demo, whole } = await openDemo('--kill-every', '0.5', '--stop-every', '0.7');
    await until(
      'several have died and come back',
      () => events(demo).filter(({ event }) => event === 'started').length >= 3,
    );
    expect(events(demo).filter(({ service }) => !['a', 'b'].includes(service))).toEqual([]);
    demo.kill('SIGKILL');
    await demo.exited;
    await nobodyIsLeft(pidsOf(demo, whole));
  });

  it('ends, and everything with it, when nobody reads its lines any more', async () => {
    const { demo, whole } = await openDemo();
    const pids = pidsOf(demo, whole);
    demo.deafen();
    process.kill(whole.processes.find(({ name }) => name === 'b-1')!.pid, 'SIGKILL');
    await demo.exited;
    await nobodyIsLeft(pids);
  });

  it('ends what is frozen too', async () => {
    const { demo, whole } = await openDemo();
    process.kill(whole.processes.find(({ name }) => name === 'a-2')!.pid, 'SIGSTOP');
    demo.kill('SIGTERM');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    await nobodyIsLeft(pidsOf(demo, whole));
  });

  it('knows the way out where a port is taken, and starts nothing', async () => {
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

  it('refuses an option that it does not know', async () => {
    const demo = start('demo', ['--kill-evry', '5']);
    expect((await demo.exited).code).toBe(2);
    expect(demo.err).toEqual(['demo: Option --kill-evry does not exist. Did you mean --kill-every?']);
  });
});
