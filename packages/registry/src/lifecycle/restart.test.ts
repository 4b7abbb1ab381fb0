import { DEFAULT_POLICY, noMeter } from '@rollcall/core';
import type { Endpoint, Frame, HeartbeatCall, Time } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../instances/limits.js';
import type { ProbeProtocol, ProbeOutcome } from '../probing/protocols/caller.js';
import type { Outcome } from '../registry-api.js';
import { Registry } from '../registry.js';
import { Bench } from '../store/disk/disk.fixture.js';
import type { End } from '../store/disk/fake-disk.fixture.js';

const PEER = { address: '10.0.0.5' };
const INTERVAL = DEFAULT_POLICY.intervalMs;
const secretOf = (id: string): string => `the-secret-of-22-or-more-${id}`;

/** A registry on a disk, and services that outlive it. */
class RestartFixture implements ProbeProtocol {
  readonly protocol = 'tcp';
  readonly bench = new Bench();
  /** The calls of instances, with their time after the last start, ms. */
  calls: { readonly id: string; readonly afterMs: number }[] = [];
  #life = { isAlive: true };
  registry = this.#registry(this.#life);
  readonly #idsByPort = new Map<number, string>();
  readonly #vanished = new Set<number>();
  #seq = 0;
  #startedAt = 0;

  async start(): Promise<void> {
    this.#life = { isAlive: true };
    this.registry = this.#registry(this.#life);
    this.calls = [];
    const { time } = this.bench;
    const starting = this.registry.start().then(() => time.now());
    // after a power failure it waits to see whether the owner of the folder lock is alive
    while (!this.registry.ready) await time.advanceBy(100);
    this.#startedAt = await starting;
  }

  /** Kills the registry and starts another one. */
  async restart(end: End = 'kill'): Promise<void> {
    this.bench.disk.end(end);
    this.#life.isAlive = false;
    await this.start();
  }

  async join(id: string, port: number, service = 'orders'): Promise<void> {
    this.#idsByPort.set(port, id);
    value(await this.register(id, port, service));
    await this.bench.time.advanceBy(20);
  }

  register(id: string, port: number, service = 'orders'): ReturnType<Registry['register']> {
    const endpoints = [{ protocol: 'tcp' as const, port }];
    return this.registry.register({ id, service, endpoints, secret: secretOf(id) }, PEER);
  }

  die(port: number): void {
    this.#idsByPort.delete(port);
  }

  /** The machine is gone: calls are not even refused. */
  vanish(port: number): void {
    this.die(port);
    this.#vanished.add(port);
  }

  async call({ port }: Endpoint, { nonce, purpose }: HeartbeatCall): Promise<ProbeOutcome> {
    const id = this.#idsByPort.get(port);
    this.calls.push({ id: id ?? `nothing at ${port}`, afterMs: this.bench.time.now() - this.#startedAt });
    if (this.#vanished.has(port)) return { kind: 'failed', text: 'no connection within 2000 ms', ms: 2_000 };
    if (id === undefined) return { kind: 'refused', text: 'connect ECONNREFUSED', ms: 1 };
    if (purpose !== 'opinion') this.registry.beat(id, secretOf(id), { nonce, seq: (this.#seq += 1) });
    return { kind: 'answered', instance: id, nonce, ms: 2 };
  }

  close(): void {}

  states(service = 'orders'): Readonly<Record<string, string>> {
    const { instances } = value(this.registry.service('default', service));
    return Object.fromEntries(instances.map(({ id, state }) => [id, state]));
  }

  frames(): readonly Frame[] {
    const frames: Frame[] = [];
    const flush = (shared: readonly { readonly frame: Frame }[]): void =>
      void frames.push(...shared.map(({ frame }) => frame));
    const order = { namespace: 'default', services: ['orders'], resume: [], cursor: null, line: null };
    value(this.registry.watch(order, { flush, beat() {}, backlog: () => 0, end() {} }));
    return frames;
  }

  /** Its timers die with it. */
  #registry(life: { readonly isAlive: boolean }): Registry {
    const { log } = this.bench;
    const time: Time = {
      now: () => this.bench.time.now(),
      wall: () => this.bench.time.wall(),
      setTimer: (ms, run, options) => this.bench.time.setTimer(ms, () => (life.isAlive ? run() : undefined), options),
    };
    const ports = {
      time,
      log,
      random: seededRandom(1),
      meter: noMeter,
      callers: [this],
      resolve: async () => '10.0.0.7',
    };
    return new Registry(
      { ...ports, store: this.bench.store({ time }) },
      { policy: DEFAULT_POLICY, allowedNetworks: ['10.0.0.0/8'], limits: DEFAULT_LIMITS, freshEvery: 1 },
    );
  }
}

function value<Value>(outcome: Outcome<Value>): Value {
  if (!outcome.ok) throw new Error(`${outcome.problem.code}: ${outcome.problem.detail}`);
  return outcome.value;
}

const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.problem.code);

async function startFixture(count: number): Promise<RestartFixture> {
  const fixture = new RestartFixture();
  await fixture.start();
  for (let index = 0; index < count; index += 1) await fixture.join(`orders-${index}`, 3_000 + index);
  return fixture;
}

describe.each(['kill', 'power'] as const)('a registry that was ended by %s and starts again on its disk', (end) => {
  it('has every instance it acknowledged, in its former state', async () => {
    const fixture = await startFixture(10);
    const before = fixture.states();
    expect(Object.values(before)).toEqual(Array.from({ length: 10 }, () => 'HEALTHY'));
    await fixture.restart(end);
    expect(fixture.states()).toEqual(before);
  });

  it('sends a watcher the whole list at once, so no list shrinks', async () => {
    const fixture = await startFixture(10);
    await fixture.restart(end);
    const frames = fixture.frames();
    await fixture.bench.time.advanceBy(100);
    const shown = frames.flatMap((frame) => (frame.event === 'reset' ? frame.data.instances : []));
    expect(shown.map(({ id }) => id)).toHaveLength(10);
  });

  it('calls every instance within one interval, spread over it, and loses none', async () => {
    const fixture = await startFixture(20);
    await fixture.restart(end);
    await fixture.bench.time.advanceBy(INTERVAL);
    expect(new Set(fixture.calls.map(({ id }) => id)).size).toBe(20);
    for (let part = 0; part < 5; part += 1) {
      const within = fixture.calls.filter(({ afterMs }) => Math.min(4, Math.floor((5 * afterMs) / INTERVAL)) === part);
      expect(within.length).toBeGreaterThan(1);
      expect(within.length).toBeLessThan(8);
    }
    await fixture.bench.time.advanceBy(5 * INTERVAL);
    expect(new Set(Object.values(fixture.states()))).toEqual(new Set(['HEALTHY']));
  });

  it('begins another epoch, with revisions above the former ones', async () => {
    const fixture = await startFixture(3);
    const before = value(fixture.registry.describe());
    await fixture.restart(end);
    const after = value(fixture.registry.describe());
    expect(after.epoch).not.toBe(before.epoch);
    expect(after.revision).toBeGreaterThan(before.revision);
    for (const { revision } of value(fixture.registry.service('default', 'orders')).instances) {
      expect(revision).toBeGreaterThan(before.revision);
    }
  });

  it('distinguishes instances that said goodbye (410) from silent ones (404)', async () => {
    const fixture = await startFixture(3);
    value(await fixture.registry.leave('orders-0', { secret: secretOf('orders-0') }));
    fixture.die(3_001);
    await fixture.bench.time.advanceBy(10 * INTERVAL);
    expect(Object.keys(fixture.states())).toEqual(['orders-2']);
    await fixture.restart(end);
    expect(codeOf(fixture.registry.instance('orders-0'))).toBe('ENDED');
    expect(codeOf(await fixture.register('orders-0', 3_000))).toBe('ENDED');
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('NOT_FOUND');
    expect(
      codeOf(
        await fixture.registry.register(
          { id: 'orders-1', service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }], secret: secretOf('x') },
          PEER,
        ),
      ),
    ).toBe('ID_HELD');
    expect(codeOf(await fixture.register('orders-1', 3_001))).toBe('ok');
    expect(value(fixture.registry.service('default', 'orders')).removed.map(({ id }) => id)).toEqual(['orders-0']);
  });

  it('does not let self-preservation remove more silent instances than before', async () => {
    const fixture = await startFixture(7);
    fixture.die(3_000);
    await fixture.bench.time.advanceBy(4 * INTERVAL);
    expect(fixture.states()).toMatchObject({ 'orders-0': 'CRITICAL' });
    fixture.vanish(3_001);
    await fixture.restart(end);
    await fixture.bench.time.advanceBy(6 * INTERVAL);
    expect(fixture.states()).toMatchObject({ 'orders-1': 'UNHEALTHY' });
    expect(value(fixture.registry.instance('orders-1')).reason.code).toBe('PRESERVED');
  });

  it('calls the address that a name had at registration', async () => {
    const fixture = await startFixture(0);
    const endpoints = [{ protocol: 'tcp' as const, host: 'orders.internal', port: 3_000 }];
    value(
      await fixture.registry.register({ id: 'orders-1', service: 'orders', endpoints, secret: secretOf('a') }, PEER),
    );
    await fixture.restart(end);
    const called: string[] = [];
    fixture.call = async ({ host }) => {
      called.push(host);
      return { kind: 'refused', text: '', ms: 1 };
    };
    await fixture.bench.time.advanceBy(INTERVAL);
    expect(new Set(called)).toEqual(new Set(['10.0.0.7']));
  });

  it('has the details of the last registration, and treats an instance at a new address as unproved', async () => {
    const fixture = await startFixture(2);
    await fixture.bench.settle();
    const endpoints = [{ protocol: 'tcp' as const, port: 4_000 }];
    const again = { id: 'orders-0', service: 'orders', endpoints, version: '2.0.0', secret: secretOf('orders-0') };
    // it dies as soon as it answers
    value(await fixture.registry.register(again, PEER));
    await fixture.restart(end);
    expect(value(fixture.registry.instance('orders-0'))).toMatchObject({
      state: 'REGISTERING',
      version: '2.0.0',
      endpoints,
    });
    expect(fixture.states()).toMatchObject({ 'orders-1': 'HEALTHY' });
  });
});

describe.each([
  ['ENOSPC', ['append', 'create']],
  ['EIO', ['sync', 'sync-folder']],
  ['EROFS', undefined],
] as const)('a registry whose disk answers %s', (code, verbs) => {
  it('refuses new registrations with an error and continues everything else', async () => {
    const fixture = await startFixture(3);
    fixture.bench.disk.refuse(code, verbs);
    const refused = await fixture.register('orders-9', 3_009);
    expect(refused).toMatchObject({
      ok: false,
      problem: { code: 'NOT_READY', detail: expect.stringContaining('cannot store') },
    });
    expect(fixture.bench.log.texts('error').join('\n')).toContain(`(${code})`);
    expect(Object.keys(fixture.states())).toHaveLength(3);

    // a registered instance may register again, is called, and falls when it dies
    expect(codeOf(await fixture.register('orders-0', 3_000))).toBe('ok');
    fixture.die(3_001);
    expect(codeOf(await fixture.registry.leave('orders-2', { secret: secretOf('orders-2') }))).toBe('NOT_READY');
    await fixture.bench.time.advanceBy(10 * INTERVAL);
    expect(fixture.states()).toEqual({ 'orders-0': 'HEALTHY' });
  });

  it('has lost nothing once the disk works again', async () => {
    const fixture = await startFixture(3);
    fixture.bench.disk.refuse(code, verbs);
    await fixture.register('orders-9', 3_009);
    expect(codeOf(await fixture.registry.leave('orders-2', { secret: secretOf('orders-2') }))).toBe('NOT_READY');
    await fixture.bench.time.advanceBy(INTERVAL);
    fixture.bench.disk.repair();
    await fixture.bench.time.advanceBy(2_000);
    await fixture.join('orders-4', 3_004);
    await fixture.restart('power');
    expect(Object.keys(fixture.states())).toEqual(['orders-0', 'orders-1', 'orders-4']);
    expect(codeOf(fixture.registry.instance('orders-2'))).toBe('ENDED');
  });
});
