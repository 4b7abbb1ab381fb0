import { DEFAULT_POLICY, noMeter } from '@rollcall/core';
import type { Endpoint, Frame, HeartbeatCall, InstanceAnswer, Meter, Registration } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { expect } from 'vitest';
import { DEFAULT_LIMITS } from './instances/limits.js';
import type { Limits } from './instances/limits.js';
import type { ProbeProtocol, ProbeOutcome } from './probing/protocols/caller.js';
import type { Outcome, Watcher } from './registry-api.js';
import { Registry } from './registry.js';
import { MemoryStore } from './store/memory.js';
import type { Store } from './store/store.js';

export const SECOND = 1_000;
export const SECRET = 'a-secret-of-132-bits-22';
export const refused: ProbeOutcome = { kind: 'refused', text: 'connect ECONNREFUSED 10.0.0.5:3001', ms: 1 };
export const silent: ProbeOutcome = { kind: 'failed', text: 'no answer within 2000 ms', ms: 2_000 };
const PEER = { address: '10.0.0.5' };

/** A network of one host; `responders`: the answers of its ports. */
export class FakeNetwork implements ProbeProtocol {
  readonly protocol = 'tcp';
  readonly calls: HeartbeatCall[] = [];
  readonly responders = new Map<number, (call: HeartbeatCall) => ProbeOutcome | Promise<ProbeOutcome>>();

  async call(endpoint: Endpoint, call: HeartbeatCall): Promise<ProbeOutcome> {
    this.calls.push(call);
    return this.responders.get(endpoint.port)?.(call) ?? refused;
  }

  close(): void {}
}

interface FixtureOptions {
  readonly allowedNetworks?: readonly string[];
  readonly limits?: Partial<Limits>;
  /** The store of an earlier registry. */
  readonly store?: Store;
  readonly meter?: Meter;
}

/** A registry, and services on a simulated host. */
export class RegistryFixture {
  readonly time = new ManualTime();
  /** Total time this process was stopped: its clock went on, its timers did not. */
  stoppedMs = 0;
  /** Delay of its timers, as in an overloaded process. */
  lateMs = 0;
  readonly network = new FakeNetwork();
  readonly log = recordingLog();
  readonly registry: Registry;
  readonly #seqs = new Map<string, number>();

  constructor({ store = new MemoryStore(), limits, meter = noMeter, allowedNetworks = [] }: FixtureOptions = {}) {
    this.registry = new Registry(
      {
        time: {
          now: () => this.time.now() + this.stoppedMs,
          wall: () => this.time.wall() + this.stoppedMs,
          setTimer: (ms, run, options) => this.time.setTimer(ms + this.lateMs, run, options),
        },
        random: seededRandom(1),
        log: this.log,
        meter,
        store,
        callers: [this.network],
        resolve: async () => '10.0.0.5',
      },
      { policy: DEFAULT_POLICY, allowedNetworks, limits: { ...DEFAULT_LIMITS, ...limits }, freshEvery: 1 },
    );
  }

  static async start(options: FixtureOptions = {}): Promise<RegistryFixture> {
    const fixture = new RegistryFixture(options);
    await fixture.registry.start();
    return fixture;
  }

  /** Adds a service that answers as itself and, for calls other than opinions, sends a heartbeat at once if `beats`. */
  addService(id: string, port: number, beats = true): void {
    this.network.responders.set(port, (call) => {
      if (beats && call.purpose !== 'opinion') this.beat(id, call.nonce);
      return { kind: 'answered', instance: id, nonce: call.nonce, ms: 2 };
    });
  }

  register(
    id: string,
    port: number,
    options: Partial<Registration> = {},
    peer = PEER,
  ): ReturnType<Registry['register']> {
    const endpoints = [{ protocol: 'tcp' as const, port }];
    return this.registry.register({ id, service: 'orders', endpoints, secret: SECRET, ...options }, peer);
  }

  beat(id: string, nonce: string | null = null, secret = SECRET): ReturnType<Registry['beat']> {
    const seq = (this.#seqs.get(id) ?? 0) + 1;
    this.#seqs.set(id, seq);
    return this.registry.beat(id, secret, { nonce, seq });
  }

  /** Opens a line; `frames` collects its frames. */
  openLine(id: string): { readonly watcher: Watcher; readonly frames: Frame[] } {
    const frames: Frame[] = [];
    const order = {
      namespace: 'default',
      services: ['orders'],
      resume: [],
      cursor: null,
      line: { id, secret: SECRET },
    };
    const sink = {
      flush: (shared: readonly { readonly frame: Frame }[]) => void frames.push(...shared.map(({ frame }) => frame)),
      beat() {},
      backlog: () => 0,
      end() {},
    };
    return { watcher: value(this.registry.watch(order, sink)), frames };
  }

  record(id: string): InstanceAnswer {
    return value(this.registry.instance(id));
  }

  async registerHealthy(id: string, port: number): Promise<void> {
    this.addService(id, port);
    value(await this.register(id, port));
    await this.time.advanceBy(10);
    expect(this.record(id).state).toBe('HEALTHY');
  }
}

/** The value of a successful outcome; throws otherwise. */
export function value<Value>(outcome: Outcome<Value>): Value {
  if (!outcome.ok) throw new Error(`${outcome.problem.code}: ${outcome.problem.detail}`);
  return outcome.value;
}

export const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.problem.code);
